import { execFile } from 'node:child_process';
import { TransferError } from '../../errors.ts';
import { findProgram } from '../../find-program.ts';
import { labelsIn } from './contents.ts';
import type { SifObject } from './layout.ts';

/** What apptainer looks for in the root of an image. */
export interface SifInside {
  readonly hasRunscript: boolean;
  readonly hasStartscript: boolean;
  /** Names of the scripts that set variables. */
  readonly environment: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** Bytes of a listing or of labels that are looked at. */
const MOST = 4 * 1024 * 1024;
const FOLDER = '.singularity.d';

/**
 * Looks into the squashfs of a partition by `unsquashfs`, without unpacking it; undefined where that program is not in
 * `programs`, which is as `PATH` is. Rejects with `invalid-request` and the program's words where it cannot be read.
 */
export async function lookInside(
  path: string,
  { offset }: SifObject,
  { programs, signal }: { readonly programs: string; readonly signal: AbortSignal },
): Promise<SifInside | undefined> {
  const program = findProgram(['unsquashfs'], programs);
  if (!program) return undefined;
  const call = (...args: string[]) =>
    new Promise<string>((resolve, reject) => {
      const options = { env: { PATH: programs, LC_ALL: 'C' }, maxBuffer: MOST, signal };
      execFile(program.file, args, options, (error, output, said) => {
        if (!error) return resolve(output);
        const code = signal.aborted ? 'canceled' : 'invalid-request';
        const reason = said.trim().split('\n').pop() || error.message;
        reject(new TransferError(code, `looking into \`${path}\`: ${reason}`, { cause: error }));
      });
    });
  const at = ['-o', String(offset)];
  const listed = await call('-lc', ...at, '-d', '', path, FOLDER);
  const names = new Set(listed.split('\n').map((line) => line.replace(/^\/+/, '')));
  const has = (name: string) => names.has(`${FOLDER}/${name}`);
  const environment = [...names]
    .filter((name) => name.startsWith(`${FOLDER}/env/`))
    .map((name) => name.slice(`${FOLDER}/env/`.length))
    .sort();
  const labels = has('labels.json') ? await call('-cat', ...at, path, `${FOLDER}/labels.json`) : '';
  return {
    hasRunscript: has('runscript'),
    hasStartscript: has('startscript'),
    environment,
    labels: labelsIn(Buffer.from(labels)),
  };
}

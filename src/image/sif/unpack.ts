import fs from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { TransferError, toTransferError } from '../../errors.ts';
import { findProgram } from '../../find-program.ts';
import { makeScratchDirectory } from '../../local/scratch-directory.ts';
import { safeText } from '../../safe-text.ts';
import { extract, refuseFilled } from '../layers/extract.ts';
import { type InflationLimits, mostInflated } from '../layers/uncompressed.ts';
import { type Program, startProgram } from '../program.ts';
import { PRIMARY_SYSTEM, type SifObject, SQUASHFS } from './layout.ts';
import { readSif } from './read.ts';
import { tidyTree } from './tidy-tree.ts';

export interface UnpackCall {
  /** Directories of programs, as `PATH` has them. */
  readonly programs: string;
  readonly signal: AbortSignal;
  readonly limits?: InflationLimits;
}

export interface UnpackedSif {
  /** Of all files. */
  readonly bytes: number;
  /** What was left out, a sentence each. */
  readonly notes: readonly string[];
}

/** The first gives an archive, which we extract as any other; the second makes the tree itself, which is put in order then. */
const UNPACKERS = ['sqfs2tar', 'unsquashfs'] as const;
/** `unsquashfs` tells by it of what it could not make, such as devices; anything worse is 1. */
const SOME_LEFT_OUT = 2;
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  2: 'ext3',
  3: 'an archive',
  4: 'raw',
  5: 'encrypted',
};

/**
 * The root file system of the SIF file at `path` lies in the directory `to`, which must be absent or empty: without
 * devices and the bits that lend power, nothing outside touched, nothing left on a failure. Rejects as `readSif` and
 * `extract` do, and with `unsupported` for another file system than squashfs and where no program that unpacks one is in
 * `call.programs`.
 */
export async function unpackSif(path: string, to: string, call: UnpackCall): Promise<UnpackedSif> {
  const doing = `unpacking \`${path}\``;
  const { objects } = await readSif(path);
  const partition = objects.find((object) => object.partition?.kind === PRIMARY_SYSTEM);
  if (partition?.partition?.fileSystem !== SQUASHFS) {
    const other = FILE_SYSTEMS[partition?.partition?.fileSystem ?? 0] ?? 'unknown';
    throw new TransferError(
      'unsupported',
      `${doing}: expected a squashfs in it, its file system is ${other}`,
    );
  }
  const program = findProgram(UNPACKERS, call.programs);
  if (!program) {
    throw new TransferError('unsupported', `${doing}: none of ${UNPACKERS.join(', ')} is in PATH`, {
      hint: "install Debian's `squashfs-tools` or `squashfs-tools-ng`: apt-get install squashfs-tools",
    });
  }
  refuseFilled(to);
  const scratch = await makeScratchDirectory(to).catch((error: unknown) => {
    throw toTransferError(error, doing);
  });
  try {
    const place = { path, partition, scratch: scratch.path, to };
    return await (program.name === 'sqfs2tar' ? byArchive : byTree)(program.file, place, call);
  } catch (error) {
    throw toTransferError(error, doing);
  } finally {
    await scratch.close();
  }
}

interface Place {
  readonly path: string;
  readonly partition: SifObject;
  readonly scratch: string;
  readonly to: string;
}

async function byArchive(
  program: string,
  { path, partition: { offset, size }, scratch, to }: Place,
  { signal, programs, limits }: UnpackCall,
): Promise<UnpackedSif> {
  // The program takes whole files alone.
  const squashfs = join(scratch, 'squashfs');
  const source = fs.createReadStream(path, { start: offset, end: offset + size - 1, highWaterMark: 1 << 20 });
  await pipeline(source, fs.createWriteStream(squashfs, { flags: 'wx', mode: 0o600 }), { signal });
  const running = startProgram(program, ['--root-becomes', '.', squashfs], { path: programs, signal });
  running.input.end();
  async function* archive(): AsyncGenerator<Uint8Array> {
    const bound = mostInflated(size, limits);
    let length = 0;
    for await (const chunk of running.output) {
      length += chunk.length;
      if (length > bound)
        throw new TransferError('invalid-request', `it inflates from ${size} to more than ${bound} bytes`);
      yield chunk as Buffer;
    }
    await requireEnd(program, running, signal, 0);
  }
  try {
    return await extract(archive(), to, { signal });
  } finally {
    await running.stop();
  }
}

async function byTree(
  program: string,
  { path, partition: { offset }, scratch, to }: Place,
  { signal, programs }: UnpackCall,
): Promise<UnpackedSif> {
  const root = join(scratch, 'root');
  const args = ['-quiet', '-no-progress', '-no-xattrs', '-o', String(offset), '-d', root, path];
  const running = startProgram(program, args, { path: programs, signal });
  running.input.end();
  try {
    running.output.resume();
    const good = process.geteuid?.() === 0 ? [0] : [0, SOME_LEFT_OUT];
    await requireEnd(program, running, signal, ...good);
  } finally {
    await running.stop();
  }
  const { bytes, notes } = tidyTree(root);
  if (signal.aborted) throw new TransferError('canceled', 'canceled');
  fs.renameSync(root, to);
  return { bytes, notes };
}

/** Rejects unless the program ends with one of these. */
async function requireEnd(
  file: string,
  program: Program,
  signal: AbortSignal,
  ...good: readonly number[]
): Promise<void> {
  const { status, said } = await program.ended;
  if (signal.aborted) throw new TransferError('canceled', 'canceled');
  if (good.some((one) => one === status)) return;
  throw new TransferError('invalid-request', `\`${file}\`: ${safeText(said.split('\n').pop() ?? '')}`);
}

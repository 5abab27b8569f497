import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { TransferError, toTransferError } from '../../errors.ts';
import type { Environment } from '../../request.ts';

/** Variables that name a directory for jobs, in the order in which PegasusLite looks at them; `/tmp` comes last. */
const CANDIDATES = [
  'PEGASUS_WN_TMP',
  '_CONDOR_SCRATCH_DIR',
  'OSG_WN_TMP',
  'TG_NODE_SCRATCH',
  'TG_CLUSTER_SCRATCH',
  'SCRATCH',
  'TMPDIR',
  'TMP',
] as const;

/** KiB that must be free, as PegasusLite asks for them. */
const LEAST_SPACE = 1_000_000;
const KIB = 1024;

/**
 * A new private directory (mode 0700) in `asked`, else in the first directory of the list that is there, has the space
 * that `PEGASUS_WN_TMP_MIN_SPACE` (KiB) asks for, and can be written to.
 */
export function makeWorkDirectory(asked: string | undefined, env: Environment): string {
  if (asked !== undefined) return makeIn(resolve(asked));
  const least = leastSpace(env.PEGASUS_WN_TMP_MIN_SPACE);
  const tried: string[] = [];
  for (const [name, path] of [...CANDIDATES.map((one) => [one, env[one]] as const), ['', '/tmp'] as const]) {
    if (!path) continue;
    const problem = problemOf(path, least);
    if (problem === undefined) return makeIn(resolve(path));
    tried.push(`${name === '' ? '' : `${name} `}\`${path}\` ${problem}`);
  }
  throw new TransferError('not-found', `looking for a work directory: ${tried.join(', ')}`, {
    hint: 'name one with --work-directory, or ask for less with PEGASUS_WN_TMP_MIN_SPACE (KiB)',
  });
}

function leastSpace(text: string | undefined): number {
  if (!text) return LEAST_SPACE;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new TransferError(
    'invalid-request',
    `PEGASUS_WN_TMP_MIN_SPACE: expected a whole number of KiB, got \`${text}\``,
  );
}

function problemOf(path: string, least: number): string | undefined {
  try {
    if (!statSync(path).isDirectory()) return 'is no directory';
    const { bavail, bsize } = statfsSync(path);
    if (bavail * bsize < least * KIB) return `has less than ${least} KiB free`;
    accessSync(path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return toTransferError(error, 'cannot be used').code;
  }
}

function makeIn(parent: string): string {
  try {
    return mkdtempSync(join(realpathSync(parent), 'bridle-run.'));
  } catch (error) {
    throw toTransferError(error, `making a work directory in \`${parent}\``);
  }
}

/** Removes it with all that is in it, directories that the job closed to itself included. */
export function removeWorkDirectory(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    openUp(path);
    rmSync(path, { recursive: true, force: true });
  }
}

function openUp(directory: string): void {
  chmodSync(directory, 0o700);
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (lstatSync(path).isDirectory()) openUp(path);
  }
}

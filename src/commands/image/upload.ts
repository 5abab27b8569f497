import { toTransferError } from '../../errors.ts';
import { localLocation } from '../../location.ts';
import { safeText } from '../../safe-text.ts';
import { noDirectory } from './file-argument.ts';
import type { Goal } from './goal.ts';
import { moveFile } from './moved.ts';
import { showBytes } from './progress.ts';
import type { Work } from './tools.ts';

/**
 * Makes a file where `goal` says: at once on this machine; for a URL below `TMPDIR`, from where it is sent as any
 * transfer is, and seen there once it is whole. Throws `invalid-request` for a directory at a URL.
 */
export async function makeAt<T>(goal: Goal, work: Work, make: (path: string) => Promise<T>): Promise<T> {
  const { place, path, format } = goal;
  const making = (to: string) => make(to).catch(named(goal));
  if (!place) return making(path);
  if (format === 'oci' || format === 'sandbox') throw noDirectory(goal.shown);
  const { values, io, signal, scratch } = work;
  const made = await scratch.path('made');
  const result = await making(made);
  const shown = showBytes('sent', undefined, values.quiet, io);
  const say = (line: string) => io.err(`${line}\n`);
  // A cache is for what comes in.
  const call = {
    values: { ...values, cache: undefined, checksums: [] },
    env: io.env,
    signal,
    say,
    onBytes: shown.onBytes,
  };
  await moveFile({ location: localLocation(made) }, place, call).finally(shown.end);
  return result;
}

/** Rejects with the error, which tells what was made where it does not say itself. */
function named({ shown }: Goal): (error: unknown) => never {
  return (error) => {
    throw toTransferError(error, `make \`${safeText(shown)}\``);
  };
}

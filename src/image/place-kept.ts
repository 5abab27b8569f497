import { createHash } from 'node:crypto';
import type { Cache, Obtained } from '../cache/cache.ts';
import type { Wanted } from '../cache/fill.ts';
import { isMismatch, TransferError } from '../errors.ts';
import { copyStaged } from '../local/copy.ts';
import { linkAtomically } from '../local/link.ts';
import { proveOnceAWeek } from './proven-before.ts';

/** Finds of something wrong, or of something just dropped, before that is an error. */
const MOST_TRIES = 3;

/** What is to be put somewhere, and how it is had. */
export interface Keeping {
  readonly subject: Wanted['subject'];
  /** Finds it in the cache, or brings it there. */
  obtain(): Promise<Obtained>;
  /** Rejects with `digest-mismatch` or `size-mismatch` when it is not what it must be. */
  prove(kept: Obtained): Promise<void>;
  /** Permission bits of a copy; a link has those of the cache's file. */
  readonly mode: number;
}

/**
 * Puts a file of the cache at `path`, in one step: a hard link to it where the file system is the same, else a copy. What
 * turns out to be wrong is dropped and had anew. Resolves with its bytes.
 */
export async function placeKept(
  path: string,
  keeping: Keeping,
  { cache, signal }: { readonly cache: Cache; readonly signal: AbortSignal },
): Promise<number> {
  const { subject, mode } = keeping;
  for (let tries = 1; ; tries += 1) {
    try {
      const obtained = await keeping.obtain();
      try {
        const known = { obtained, cache, subject, now: Date.now() };
        await proveOnceAWeek(known, () => keeping.prove(obtained));
        await placeFile(obtained.path, path, { signal, mode });
      } finally {
        obtained.close();
      }
      return obtained.size;
    } catch (error) {
      if (tries === MOST_TRIES || signal.aborted || !(error instanceof TransferError)) throw error;
      if (isMismatch(error)) cache.drop(subject);
      // Dropped by another process between finding and linking it.
      else if (error.code !== 'not-found') throw error;
    }
  }
}

/** Whatever forbids a link (another file system, too many of them), a copy tells whether the place can have the file at all. */
async function placeFile(
  from: string,
  to: string,
  { signal, mode }: { readonly signal: AbortSignal; readonly mode: number },
): Promise<void> {
  const key = createHash('sha256').update(`image ${to}`).digest('hex').slice(0, 32);
  try {
    await linkAtomically(from, to, { kind: 'hard', key });
  } catch {
    const staged = await copyStaged(from, to, { key, signal, mode, mayBeLinked: true });
    await staged.commit(signal);
  }
}

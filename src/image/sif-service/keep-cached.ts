import type { Cache, Obtained } from '../../cache/cache.ts';
import { isMismatch, TransferError } from '../../errors.ts';
import type { Bytes, Digest } from '../../protocol.ts';
import { placeFile } from '../keep-cached.ts';
import { proveKept } from '../keep-cached-sif.ts';
import { proveOnceAWeek } from '../proven-before.ts';
import { whileItBrings } from '../several.ts';

/** Finds of something wrong, or of something just dropped, before that is an error. */
const MOST_TRIES = 3;
const MODE = 0o755;

/** A file whose digest is known before it is fetched. */
export interface CachedFile {
  /** For messages; no secrets. */
  readonly name: string;
  readonly digest: Digest;
  readonly size: number | undefined;
  /** The bytes from `start` on. */
  fetch(start: number, signal: AbortSignal): Promise<Bytes>;
}

/**
 * Puts the file at `path` by way of the cache, which fetches it once for all processes of the machine: a hard link to
 * the cache's where the file system is the same, else a copy. What the cache has already is compared with the digest
 * before, as `proveOnceAWeek` has it. Resolves with its bytes.
 */
export async function keepCachedFile(
  { name, digest, size, fetch }: CachedFile,
  path: string,
  call: { readonly signal: AbortSignal; readonly onBytes?: (bytes: number) => void },
  cache: Cache,
): Promise<number> {
  const { signal } = call;
  const subject = { digest };
  const wanted = { subject, name, ...(size === undefined ? {} : { size }), fetch };
  let came = 0;
  const onBytes = (bytes: number) => {
    call.onBytes?.(bytes - came);
    came = bytes;
  };
  for (let tries = 1; ; tries += 1) {
    try {
      const kept = await obtain();
      try {
        const at = { obtained: kept, cache, subject, now: Date.now() };
        await proveOnceAWeek(at, () => proveKept(kept, signal));
        await placeFile(kept.path, path, { signal, mode: MODE });
        onBytes(kept.size);
        return kept.size;
      } finally {
        kept.close();
      }
    } catch (error) {
      if (tries === MOST_TRIES || signal.aborted || !(error instanceof TransferError)) throw error;
      if (isMismatch(error)) cache.drop(subject);
      // Dropped by another process between finding and linking it.
      else if (error.code !== 'not-found') throw error;
    }
  }

  async function obtain(): Promise<Obtained> {
    let kept: Obtained | undefined;
    await whileItBrings(
      { signal },
      () => came,
      async () => {
        kept = await cache.obtain(wanted, { signal, onBytes });
      },
    );
    if (!kept) throw new TransferError('unexpected', `keep \`${name}\`: the cache gave nothing`);
    return kept;
  }
}

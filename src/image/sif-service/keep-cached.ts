import type { Cache, Obtained } from '../../cache/cache.ts';
import { TransferError } from '../../errors.ts';
import type { Bytes, Digest } from '../../protocol.ts';
import { proveKept } from '../keep-cached-sif.ts';
import { placeKept } from '../place-kept.ts';
import { whileItBrings } from '../several.ts';

/** Runnable, as apptainer leaves it. */
const MODE = 0o755;
/** Nobody is to write into what others have, too. */
const KEPT_MODE = 0o555;

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
 * the cache's where the file system is the same, else a copy, as `placeKept` has it. Resolves with its bytes.
 */
export async function keepCachedFile(
  { name, digest, size, fetch }: CachedFile,
  path: string,
  call: { readonly signal: AbortSignal; readonly onBytes?: (bytes: number) => void },
  cache: Cache,
): Promise<number> {
  const { signal } = call;
  const subject = { digest };
  const wanted = { subject, name, ...(size === undefined ? {} : { size }), fetch, mode: KEPT_MODE };
  let came = 0;
  const onBytes = (bytes: number) => {
    call.onBytes?.(bytes - came);
    came = bytes;
  };
  const prove = (kept: Obtained) => proveKept(kept, signal);
  const bytes = await placeKept(path, { subject, mode: MODE, obtain, prove }, { cache, signal });
  onBytes(bytes);
  return bytes;

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

import { TransferError } from '../errors.ts';
import { changedWhileRead } from '../regular-file.ts';
import { SLAB_BYTES, SMALL_BYTES, takeSlabFor } from '../slabs.ts';
import { type DiskKind, readAt } from './disk.ts';

/** A file that is open for reading. */
export interface ReadFile {
  readonly fd: number;
  readonly kind: DiskKind;
  /** How messages begin. */
  readonly doing: string;
}

/**
 * Bytes `start` up to, not including, `end`, in chunks of up to {@link SLAB_BYTES}. Rejects with `changed` where the
 * file ends earlier, with `canceled` between two chunks.
 */
export async function* chunksOf(
  { fd, kind, doing }: ReadFile,
  { start, end }: { readonly start: number; readonly end: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; ) {
    if (signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
    const want = Math.min(end - at, SLAB_BYTES);
    const into = takeSlabFor(end - start).subarray(0, want);
    const got = await readAt(fd, into, at, want <= SMALL_BYTES && kind === 'disk' ? 'memory' : kind);
    if (got === 0) throw changedWhileRead(doing);
    yield got === want ? into : into.subarray(0, got);
    at += got;
  }
}

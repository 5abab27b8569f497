/** Bytes of one slab: the chunk size that a single stream is fastest with (64 KiB halves it). */
export const SLAB_BYTES = 1024 * 1024;

/** Slabs kept for reuse. Fresh ones cost page faults: reuse took a loopback stream from 950 to 1,400 MB/s. */
const KEPT = 16;

const free: ArrayBuffer[] = [];
const lent = new WeakSet<ArrayBuffer>();

/** A slab to fill, of {@link SLAB_BYTES}. Yield at most one chunk of it. */
export function takeSlab(): Uint8Array<ArrayBuffer> {
  const buffer = free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES).buffer;
  lent.add(buffer);
  return new Uint8Array(buffer);
}

/**
 * The memory of `chunk` may be written to again. Only for the one who read the chunk last; calling it is never
 * required. Memory that is no slab, or was given back before, is left alone.
 */
export function giveBack(chunk: Uint8Array): void {
  const buffer = chunk.buffer;
  if (!(buffer instanceof ArrayBuffer) || !lent.delete(buffer)) return;
  if (free.length < KEPT) free.push(buffer);
}

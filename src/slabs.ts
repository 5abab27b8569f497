/** Bytes of one slab: the chunk size that a single stream is fastest with (64 KiB halves it). */
export const SLAB_BYTES = 1024 * 1024;

/** Files up to this size never touch a slab of that size: 64 of them under way must not hold 64 MiB. */
export const SMALL_BYTES = 64 * 1024;

/** Nor do files up to this size: one slab of 1 MiB for each would let few of them be under way. */
export const MEDIUM_BYTES = 256 * 1024;

/** A byte more than such a file, so that a read shows what comes behind its declared end. */
const TAIL_ROOM = 1;

/**
 * Slabs of a size kept for reuse: of the large ones what `--memory` lends by default. Fresh ones cost page faults (reuse
 * took a loopback stream from 950 to 1,400 MB/s), and those that are dropped stay until a collection, which sees only
 * their names: with 16 kept, reading 1.5 GB of S3 in pieces took 157 MiB at its peak instead of 118.
 */
const KEPT = 64;
const SMALL_KEPT = 128;
/** As many as are fetched at a time, and as many again on their way to the disk. */
const MEDIUM_KEPT = 128;

/** Memory and who still needs it. */
interface Slab {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  isLent: boolean;
  holds: number;
}

/** Shared memory, so that the threads that hash and store read the very bytes that came in: a copy costs a tenth of a stream. */
const slabs = new WeakMap<ArrayBufferLike, Slab>();
const free: Slab[] = [];
const freeMedium: Slab[] = [];
const freeSmall: Slab[] = [];

/** A slab to fill, of {@link SLAB_BYTES}, in memory that threads share. Yield at most one chunk of it. */
export function takeSlab(): Uint8Array<SharedArrayBuffer> {
  return lend(free.pop() ?? makeSlab(SLAB_BYTES));
}

/** The smallest kind of slab with room for `size` bytes and, below {@link SLAB_BYTES}, for one more. */
export function takeSlabFor(size: number): Uint8Array<SharedArrayBuffer> {
  if (size > MEDIUM_BYTES) return takeSlab();
  return size > SMALL_BYTES
    ? lend(freeMedium.pop() ?? makeSlab(MEDIUM_BYTES + TAIL_ROOM))
    : lend(freeSmall.pop() ?? makeSlab(SMALL_BYTES + TAIL_ROOM));
}

function makeSlab(size: number): Slab {
  const slab = { bytes: new Uint8Array(new SharedArrayBuffer(size)), isLent: false, holds: 0 };
  slabs.set(slab.bytes.buffer, slab);
  return slab;
}

function lend(slab: Slab): Uint8Array<SharedArrayBuffer> {
  slab.isLent = true;
  return slab.bytes;
}

/**
 * The memory of `chunk` may be written to again. Only for the one who read the chunk last; calling it is never
 * required. Memory that is no slab, or was given back before, is left alone.
 */
export function giveBack(chunk: Uint8Array): void {
  const slab = slabs.get(chunk.buffer);
  if (!slab?.isLent) return;
  slab.isLent = false;
  if (slab.holds === 0) recycle(slab);
}

/** Keeps the memory of `chunk` as it is until as many {@link letGo}, whoever gives it back. Memory that is no slab always stays. */
export function hold(chunk: Uint8Array): void {
  const slab = slabs.get(chunk.buffer);
  if (slab) slab.holds += 1;
}

/** The same bytes, held, in memory that threads share: `chunk` itself when it lies in a slab, else a copy. At most {@link SLAB_BYTES}. */
export function holdShared(chunk: Uint8Array): Uint8Array {
  if (slabs.has(chunk.buffer)) {
    hold(chunk);
    return chunk;
  }
  const copy = takeSlabFor(chunk.length).subarray(0, chunk.length);
  copy.set(chunk);
  hold(copy);
  giveBack(copy);
  return copy;
}

/** Ends one {@link hold}. */
export function letGo(chunk: Uint8Array): void {
  const slab = slabs.get(chunk.buffer);
  if (!slab) return;
  slab.holds -= 1;
  if (slab.holds === 0 && !slab.isLent) recycle(slab);
}

function recycle(slab: Slab): void {
  const { length } = slab.bytes;
  if (length === SLAB_BYTES) keep(slab, free, KEPT);
  else if (length > SMALL_BYTES + TAIL_ROOM) keep(slab, freeMedium, MEDIUM_KEPT);
  else keep(slab, freeSmall, SMALL_KEPT);
}

function keep(slab: Slab, list: Slab[], most: number): void {
  if (list.length < most) list.push(slab);
}

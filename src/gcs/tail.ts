import { giveBack } from '../slabs.ts';

/** Bytes that wait, and where in the file they begin. */
export interface Tail {
  readonly start: number;
  readonly length: number;
  /** Takes in as much of `chunk` as fits into `most` bytes; returns how much. */
  add(chunk: Uint8Array, most: number): number;
  bytes(): Uint8Array;
  /** Goes on behind what is here. */
  drop(): void;
  /** The chunk was taken in whole. */
  release(chunk: Uint8Array): void;
}

/** Memory for a file of unknown size to begin with. */
const FIRST_BYTES = 64 * 1024;

/** Copies what it takes: many small chunks would hold a slab each. Memory for `expected` bytes is taken when the first come. */
export function createTail(start: number, expected: number): Tail {
  let memory: Buffer | undefined;
  let length = 0;
  let at = start;
  const roomFor = (bytes: number, most: number): Buffer => {
    if (memory && memory.length >= bytes) return memory;
    const doubled = Math.max(bytes, (memory?.length ?? FIRST_BYTES / 2) * 2);
    const larger = Buffer.allocUnsafeSlow(Math.min(most, Math.max(doubled, expected)));
    memory?.copy(larger, 0, 0, length);
    memory = larger;
    return larger;
  };
  return {
    get start() {
      return at;
    },
    get length() {
      return length;
    },
    add(chunk, most) {
      const taken = Math.min(chunk.length, most - length);
      roomFor(length + taken, most).set(chunk.subarray(0, taken), length);
      length += taken;
      return taken;
    },
    bytes: () => memory?.subarray(0, length) ?? new Uint8Array(0),
    drop() {
      at += length;
      length = 0;
    },
    release: giveBack,
  };
}

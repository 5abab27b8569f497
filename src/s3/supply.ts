import type { Bytes } from '../protocol.ts';
import { giveBack, hold, letGo } from '../slabs.ts';

/** Bytes taken in portions of any size. */
export interface Supply {
  /** Fills `buffer`, with less only at the end; resolves with how many bytes. `tap` is shown each piece of them in its place. */
  take(buffer: Uint8Array, tap?: (piece: Uint8Array) => void): Promise<number>;
  /** The next chunk, if it has just that many bytes: as it is, until `release`. Undefined leaves everything to the others. */
  takeChunk(size: number): Promise<Kept | undefined>;
  /** The next `size` bytes as they come, fewer only at the end. */
  pass(size: number): Bytes;
  isAtEnd(): Promise<boolean>;
  /** No more is wanted. */
  close(): void;
}

/** Bytes that stay as they are. */
export interface Kept {
  readonly bytes: Uint8Array;
  release(): void;
}

/** The portions of `bytes`. */
export function createSupply(bytes: Bytes): Supply {
  const iterator = bytes[Symbol.asyncIterator]();
  let chunk: Uint8Array | undefined;
  let at = 0;
  let isEnded = false;

  /** What is there of the chunk at hand, with at least one byte unless everything is at its end. */
  async function peek(): Promise<Uint8Array | undefined> {
    while (!isEnded && (chunk === undefined || at === chunk.length)) {
      if (chunk) giveBack(chunk);
      chunk = undefined;
      at = 0;
      const step = await iterator.next();
      if (step.done) isEnded = true;
      else chunk = step.value;
    }
    return chunk?.subarray(at);
  }

  return {
    async take(buffer, tap) {
      let filled = 0;
      while (filled < buffer.length) {
        const there = await peek();
        if (!there) break;
        const part = there.subarray(0, buffer.length - filled);
        buffer.set(part, filled);
        tap?.(buffer.subarray(filled, filled + part.length));
        filled += part.length;
        at += part.length;
      }
      return filled;
    },
    async takeChunk(size) {
      const there = await peek();
      const whole = chunk;
      if (!whole || there?.length !== size || whole.length !== size) return undefined;
      // Held as well: whoever sends a chunk may give its memory back.
      hold(whole);
      chunk = undefined;
      at = 0;
      return {
        bytes: whole,
        release() {
          letGo(whole);
          giveBack(whole);
        },
      };
    },
    async *pass(size) {
      let left = size;
      while (left > 0) {
        const there = await peek();
        if (!there) return;
        // Copied: whoever sends a chunk gives its memory back, and the rest of this one is still to come.
        const part = Buffer.from(there.subarray(0, left));
        left -= part.length;
        at += part.length;
        yield part;
      }
    },
    isAtEnd: async () => (await peek()) === undefined,
    close() {
      isEnded = true;
      Promise.resolve(iterator.return?.()).catch(() => undefined);
    },
  };
}

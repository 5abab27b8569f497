import type { Bytes } from '../protocol.ts';
import { giveBack } from '../slabs.ts';

/** Bytes taken in portions of any size. */
export interface Supply {
  /** Fills `buffer`, with less only at the end; resolves with how many bytes. */
  take(buffer: Uint8Array): Promise<number>;
  /** The next `size` bytes as they come, fewer only at the end. */
  pass(size: number): Bytes;
  isAtEnd(): Promise<boolean>;
  /** No more is wanted. */
  close(): void;
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
    async take(buffer) {
      let filled = 0;
      while (filled < buffer.length) {
        const there = await peek();
        if (!there) break;
        const part = there.subarray(0, buffer.length - filled);
        buffer.set(part, filled);
        filled += part.length;
        at += part.length;
      }
      return filled;
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

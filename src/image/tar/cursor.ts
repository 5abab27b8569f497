import { TransferError } from '../../errors.ts';
import type { Bytes } from '../../protocol.ts';
import { hold } from '../../slabs.ts';

/** A place in a stream of bytes, which only goes forward. */
export interface Cursor {
  /**
   * The next `length` bytes, copied only where they lie across chunks; undefined when the stream has ended before them.
   * Rejects with `invalid-request` when it ends inside them.
   */
  take(length: number, what: string): Promise<Uint8Array | undefined>;
  /** As {@link take}, when the bytes are here already. */
  takeNow(length: number): Uint8Array | undefined;
  /** Some of the next bytes, 1 to `most`, never copied; undefined at the end. */
  piece(most: number): Promise<Uint8Array | undefined>;
  /** Releases the stream. Harmless when it has ended. */
  close(): Promise<void>;
}

const NOTHING = new Uint8Array(0);

export function cursor(bytes: Bytes): Cursor {
  const source = bytes[Symbol.asyncIterator]();
  let chunk: Uint8Array = NOTHING;
  let at = 0;

  async function fill(): Promise<boolean> {
    while (at === chunk.length) {
      const next = await source.next();
      if (next.done) return false;
      chunk = next.value;
      at = 0;
      // Pieces of it go to readers who may give back what they were given, and with it everybody's.
      hold(chunk);
    }
    return true;
  }

  function takeNow(length: number): Uint8Array | undefined {
    if (chunk.length - at < length) return undefined;
    at += length;
    return chunk.subarray(at - length, at);
  }

  return {
    takeNow,
    take: async (length, what) => {
      if (!(await fill())) return undefined;
      const whole = takeNow(length);
      if (whole) return whole;
      const joined = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        if (!(await fill())) throw truncated(what);
        const part = chunk.subarray(at, at + length - filled);
        joined.set(part, filled);
        filled += part.length;
        at += part.length;
      }
      return joined;
    },
    piece: async (most) => {
      if (at === chunk.length && !(await fill())) return undefined;
      const from = at;
      at = Math.min(chunk.length, at + most);
      return chunk.subarray(from, at);
    },
    close: async () => {
      await source.return?.();
    },
  };
}

export const truncated = (what: string): TransferError =>
  new TransferError('invalid-request', `reading the archive: it ends inside ${what}`);

import type { Bytes } from '../../protocol.ts';
import { skipping } from '../../skipping.ts';
import { hold } from '../../slabs.ts';

/** The bytes of a blob in pieces one behind the other, opened anew only where a piece does not follow the last one. */
export interface BlobPieces {
  /** The `length` bytes from `start` on. */
  at(start: number, length: number): Promise<Bytes>;
  /** Releases what is open. Harmless otherwise. */
  close(): Promise<void>;
}

const NOTHING = new Uint8Array(0);

/** `open` gives the blob from its first byte on, and rejects at its end when the whole is not what it should be. */
export function blobPieces(open: () => Promise<Bytes>): BlobPieces {
  let source: AsyncIterator<Uint8Array> | undefined;
  let rest: Uint8Array = NOTHING;
  let position = 0;

  async function close(): Promise<void> {
    const last = source;
    source = undefined;
    rest = NOTHING;
    await last?.return?.();
  }

  async function* piece(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; ) {
      if (rest.length === 0) {
        const next = await source?.next();
        if (!next || next.done) return;
        rest = next.value;
      }
      let chunk = rest;
      if (chunk.length > left) {
        // Whoever reads this part may give it back, and with it what comes in the next piece.
        hold(chunk);
        chunk = rest.subarray(0, left);
      }
      rest = rest.subarray(chunk.length);
      position += chunk.length;
      left -= chunk.length;
      yield chunk;
    }
  }

  return {
    async at(start, length) {
      if (!source || position !== start) {
        await close();
        const bytes = await open();
        source = (start === 0 ? bytes : skipping(bytes, start))[Symbol.asyncIterator]();
        position = start;
      }
      return piece(length);
    },
    close,
  };
}

import type { Bytes } from '../../protocol.ts';
import { giveBack } from '../../slabs.ts';
import type { Layer } from '../image.ts';
import { uncompressed } from './uncompressed.ts';

/** gzip inflates by some 1,030 at most: nothing is kept of what comes out here, so that whatever is gzip may. */
const RATIO = 1_100;

/**
 * The bytes of a layer as `stored` gives them, all of them; the archive in them is compared with the layer's diff id on
 * the way, and the last bytes are held back until it is known to be right. Rejects as `stored` and `uncompressed` do.
 */
export async function* alsoUnpacked(
  layer: Layer,
  stored: Bytes,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const hand = handOver();
  const verdict = prove({ ...layer, read: async () => hand.taken() }, signal);
  let isRefused = false;
  // It is awaited once all is handed over, and told before that.
  verdict.catch(() => {
    isRefused = true;
  });
  let held: Uint8Array | undefined;
  try {
    for await (const chunk of stored) {
      if (held) yield held;
      held = chunk;
      // Whoever gets the chunk may give it back before it is unpacked.
      await Promise.race([hand.over(Buffer.from(chunk)), verdict]);
    }
    hand.end();
    await verdict;
  } catch (error) {
    // What came before a break is gone on behind.
    if (held && !isRefused) yield held;
    throw error;
  } finally {
    hand.end();
  }
  if (held) yield held;
}

/** Reads a layer for its digests alone: that of the bytes as stored, and that of the archive in them. */
export async function prove(layer: Layer, signal: AbortSignal): Promise<void> {
  for await (const chunk of await uncompressed(layer, signal, { ratio: RATIO })) giveBack(chunk);
}

/** Chunks from one who has them to one who asks for them, one at a time. */
function handOver() {
  let chunk: Uint8Array | undefined;
  let isOver = false;
  let wake = () => {};
  const changed = () =>
    new Promise<void>((resolve) => {
      const before = wake;
      wake = () => {
        before();
        resolve();
      };
    });
  const tell = () => {
    const waiting = wake;
    wake = () => {};
    waiting();
  };
  return {
    /** Resolves once there is room for the next one. */
    async over(next: Uint8Array): Promise<void> {
      chunk = next;
      tell();
      while (chunk === next && !isOver) await changed();
    },
    end(): void {
      isOver = true;
      tell();
    },
    async *taken(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          const next = chunk;
          if (next) {
            chunk = undefined;
            tell();
            yield next;
          } else if (isOver) return;
          else await changed();
        }
      } finally {
        isOver = true;
        tell();
      }
    },
  };
}

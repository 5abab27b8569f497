import type { Hasher } from './integrity/hasher.ts';
import type { PrefixDigest } from './integrity/prefix.ts';
import type { Source } from './protocol.ts';
import { giveBack } from './slabs.ts';
import { throttle } from './stages.ts';
import type { StreamCall } from './stream.ts';

/**
 * Feeds the hasher with the first `end` bytes of `source`, and compares at the end of each block. Resolves with how far
 * they are what the blocks say: `end`, or the last block before a difference. Without blocks nothing is compared.
 */
export async function hashPrefix(
  source: Source,
  proof: {
    readonly hasher: Hasher;
    readonly end: number;
    /** In order, none behind `end`. */
    readonly blocks: readonly PrefixDigest[];
    readonly call: Pick<StreamCall, 'limiter' | 'signal'>;
  },
): Promise<number> {
  const { hasher, end, blocks, call } = proof;
  const ends = blocks.length === 0 ? [end] : [...blocks.map((block) => block.end), end];
  const bytes = call.limiter ? throttle(source.bytes, call.limiter, call.signal) : source.bytes;
  let at = 0;
  let next = 0;
  for await (const chunk of bytes) {
    let rest = chunk.subarray(0, end - at);
    while (rest.length > 0) {
      const piece = rest.subarray(0, (ends[next] ?? end) - at);
      const wait = hasher.update(piece);
      if (wait) await wait;
      at += piece.length;
      rest = rest.subarray(piece.length);
      if (at < (ends[next] ?? end)) continue;
      const block = blocks[next];
      if (block && (await hasher.prefix()) !== block.sha256) return blocks[next - 1]?.end ?? 0;
      next += 1;
    }
    giveBack(chunk);
    if (at >= end) break;
  }
  return at === end ? end : (blocks[next - 1]?.end ?? 0);
}

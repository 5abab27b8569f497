import type { Bytes } from './protocol.ts';

/** `bytes` without the first `count`. */
export async function* skipping(bytes: Bytes, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const chunk of bytes) {
    if (left >= chunk.length) left -= chunk.length;
    else if (left > 0) {
      yield chunk.subarray(left);
      left = 0;
    } else yield chunk;
  }
}

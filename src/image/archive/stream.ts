import { TransferError } from '../../errors.ts';
import type { Bytes, ReadCall } from '../../protocol.ts';
import { skipping } from '../../skipping.ts';
import { giveBack } from '../../slabs.ts';
import type { Layer } from '../image.ts';
import { alsoUnpacked } from '../layers/prove.ts';
import { type Seen, startSeen } from '../verified.ts';
import type { Layout } from './members.ts';

/** A layer of a place that can be read from the middle on. */
interface FromAnywhere extends Layer {
  readFrom?(start: number, signal: AbortSignal, seen?: Seen): Promise<Bytes>;
}

/** Which bytes of an archive are asked for. */
interface Part extends Pick<ReadCall, 'before'> {
  readonly start: number;
  readonly end?: number | undefined;
}

/**
 * The archive's bytes from `start` up to `end`. Every layer that is reached is compared with its descriptor, also one
 * that `start` lies in, with what `before` has of it; only one that `end` cuts off is not. One that is read as a whole is
 * compared with its diff id, too.
 */
export async function* archiveBytes(
  { pieces, size }: Layout,
  part: Part,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { start, end = size, before } = part;
  for (const piece of pieces) {
    if (piece.at + piece.size <= start && piece.size > 0) continue;
    if (piece.at >= end) return;
    const from = Math.max(0, start - piece.at);
    const most = Math.min(piece.size, end - piece.at);
    if ('bytes' in piece) {
      if (most > from) yield piece.bytes.subarray(from, most);
      continue;
    }
    const seen = from > 0 && before ? await see(await before(piece.at), from) : undefined;
    const bytes = upTo(await layerFrom(piece.layer, from, signal, seen), most - from);
    yield* most - from === piece.size ? alsoUnpacked(piece.layer, bytes, signal) : bytes;
  }
}

async function see(bytes: Bytes, count: number): Promise<Seen> {
  const seen = startSeen();
  for await (const chunk of bytes) {
    seen.hash.update(chunk);
    seen.at += chunk.length;
    giveBack(chunk);
  }
  if (seen.at === count) return seen;
  throw new TransferError('changed', `what was there of the archive has ${seen.at} of ${count} bytes now`);
}

function layerFrom(
  layer: FromAnywhere,
  start: number,
  signal: AbortSignal,
  seen: Seen | undefined,
): Promise<Bytes> {
  if (start === 0) return layer.read(signal);
  if (layer.readFrom) return layer.readFrom(start, signal, seen);
  return layer.read(signal).then((bytes) => skipping(bytes, start));
}

/** The first `count` bytes; the rest is not asked for, unless there is none: then the source's last word is waited for. */
async function* upTo(bytes: Bytes, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const chunk of bytes) {
    if (chunk.length > left) {
      yield chunk.subarray(0, left);
      return;
    }
    left -= chunk.length;
    yield chunk;
  }
}

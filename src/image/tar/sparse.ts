import { fromBytes } from '../../job/byte-text.ts';
import type { Bytes } from '../../protocol.ts';
import { type Cursor, truncated } from './cursor.ts';
import { malformed, numberAt, type RawHeader } from './header.ts';
import { BLOCK, type Extent } from './member.ts';
import { wholeNumber } from './pax.ts';

/** More extents than any file system makes of a file worth storing so, in 4 MiB of memory. */
export const MOST_EXTENTS = 262_144;

/** Extents, and how many bytes of the body their map took. */
export interface SparseMap {
  readonly extents: readonly Extent[];
  readonly mapBytes: number;
}

/** Of the old form: four extents in the header, 21 in each block behind it (GNU tar manual, "Old GNU Format"). */
const IN_HEADER = { at: 386, count: 4, goesOn: 482 };
const IN_BLOCK = { at: 0, count: 21, goesOn: 504 };
export const OLD_REAL_SIZE = [483, 12] as const;

/** The extents of the old GNU form; the blocks that go on with them lie between header and body and count to neither. */
export async function oldMap(header: RawHeader, from: Cursor): Promise<readonly Extent[]> {
  const extents: Extent[] = [];
  let block = header.block;
  let layout = IN_HEADER;
  for (;;) {
    for (let at = 0; at < layout.count; at += 1) {
      const offset = layout.at + at * 24;
      if (block[offset] === 0) break;
      push(extents, numberAt(block, [offset, 12], 'offset'), numberAt(block, [offset + 12, 12], 'length'));
    }
    if (block[layout.goesOn] === 0) return extents;
    layout = IN_BLOCK;
    const next = await from.take(BLOCK, 'the map of a sparse file');
    if (!next) throw truncated('the map of a sparse file');
    block = next;
  }
}

/** Versions 0.0 and 0.1: `offset,length,offset,length…` in an extended header. */
export function listedMap(list: string): readonly Extent[] {
  const extents: Extent[] = [];
  const numbers = list === '' ? [] : list.split(',', 2 * MOST_EXTENTS + 3);
  if (numbers.length % 2 !== 0) throw malformed('a map of a sparse file with an odd number of entries');
  for (let at = 0; at < numbers.length; at += 2) {
    push(
      extents,
      wholeNumber(numbers[at] ?? '', 'GNU.sparse.map'),
      wholeNumber(numbers[at + 1] ?? '', 'GNU.sparse.map'),
    );
  }
  return extents;
}

/** Version 1.0: decimal numbers a line in front of the body, the count first, filled up to whole blocks. */
export async function storedMap(from: Cursor, bodyBytes: number): Promise<SparseMap> {
  let text = '';
  let mapBytes = 0;
  const numbers: number[] = [];
  for (;;) {
    if (mapBytes + BLOCK > bodyBytes + BLOCK - 1)
      throw malformed('a map of a sparse file that is longer than its body');
    const block = await from.take(BLOCK, 'the map of a sparse file');
    if (!block) throw truncated('the map of a sparse file');
    mapBytes += BLOCK;
    text += fromBytes(Buffer.from(block.buffer, block.byteOffset, BLOCK));
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      numbers.push(wholeNumber(line, 'GNU.sparse.map'));
      const count = numbers[0] ?? 0;
      if (count > MOST_EXTENTS) throw tooMany();
      if (numbers.length < 1 + 2 * count) continue;
      const extents: Extent[] = [];
      for (let at = 1; at < numbers.length; at += 2) push(extents, numbers[at] ?? 0, numbers[at + 1] ?? 0);
      return { extents, mapBytes };
    }
    if (text.length > BLOCK) throw malformed('a map of a sparse file with an endless number');
  }
}

function push(extents: Extent[], offset: number, length: number): void {
  if (extents.length >= MOST_EXTENTS) throw tooMany();
  extents.push({ offset, length });
}

const tooMany = () => malformed(`a sparse file of more than ${MOST_EXTENTS} extents`);

/** Without empty extents. Throws unless they are in order, apart, inside `size`, and as long together as what is stored. */
export function checkedExtents(extents: readonly Extent[], size: number, stored: number): readonly Extent[] {
  let end = 0;
  let total = 0;
  for (const { offset, length } of extents) {
    if (offset < end || length < 0 || offset + length > size)
      throw malformed('a map of a sparse file that contradicts itself');
    end = offset + length;
    total += length;
  }
  if (total !== stored) throw malformed('a sparse file whose map and body differ in length');
  return extents.filter(({ length }) => length > 0);
}

const ZEROS = new Uint8Array(64 * 1024);

/** The file that `extents` of `stored` make, `size` bytes long, holes as zeros. */
export async function* withHoles(
  stored: Bytes,
  extents: readonly Extent[],
  size: number,
): Bytes & AsyncGenerator<Uint8Array> {
  let at = 0;
  let next = 0;
  let left = 0;
  for await (let piece of stored) {
    while (piece.length > 0) {
      if (left === 0) {
        const extent = extents[next];
        if (!extent) throw malformed('a sparse file whose map and body differ in length');
        yield* zeros(extent.offset - at);
        at = extent.offset;
        left = extent.length;
        next += 1;
      }
      const part = piece.subarray(0, left);
      yield part;
      at += part.length;
      left -= part.length;
      piece = piece.subarray(part.length);
    }
  }
  yield* zeros(size - at);
}

function* zeros(count: number): Generator<Uint8Array> {
  for (; count > 0; count -= ZEROS.length) yield ZEROS.subarray(0, Math.min(count, ZEROS.length));
}

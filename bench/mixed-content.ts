import { numbersFrom } from '../fixtures/misbehaving/content.ts';
import { bodyPadding, END_OF_ARCHIVE, memberHeader } from '../src/image/tar/write.ts';

const MIB = 1024 * 1024;
/** Far more than the window of gzip, and more than a block of squashfs: what is cut out of it twice is not found again. */
const POOL = 16 * MIB;

/** What files of an image are made of: words, machine code and tables, and what is compressed already. */
type Pools = readonly [words: Buffer, code: Buffer, random: Buffer];

let made: Pools | undefined;

/**
 * A tar archive of some `size` bytes as layers of images are: many small files and few large ones, of which gzip leaves
 * a little less than half. The same arguments give the same bytes.
 */
export function* mixedArchive(size: number, seed: number): Generator<Uint8Array> {
  made ??= pools();
  const next = numbersFrom(seed);
  let left = size - END_OF_ARCHIVE.length;
  for (let index = 0; left > 4096; index += 1) {
    const kind = next() % 100;
    const pool = made[kind < 50 ? 0 : kind < 72 ? 1 : 2];
    const length = Math.min(left - 1024, fileSize(next));
    const from = next() % (POOL - length);
    const name = `usr/share/layer-${seed}/${index % 97}/file-${index}`;
    const parts = [
      memberHeader({ name, size: length }),
      pool.subarray(from, from + length),
      bodyPadding(length),
    ];
    yield* parts;
    left -= parts.reduce((sum, part) => sum + part.length, 0);
  }
  yield END_OF_ARCHIVE;
}

/** Most are small, most bytes are in large ones. */
function fileSize(next: () => number): number {
  const kind = next() % 100;
  if (kind < 70) return 512 + (next() % (32 * 1024));
  if (kind < 95) return 32 * 1024 + (next() % (512 * 1024));
  return MIB + (next() % (7 * MIB));
}

function pools(): Pools {
  const next = numbersFrom(7);
  const words = Array.from({ length: 4096 }, () => {
    const letters = Array.from({ length: 2 + (next() % 9) }, () => 97 + (next() % 26));
    return Buffer.from([...letters, next() % 12 === 0 ? 10 : 32]);
  });
  const codes = Array.from({ length: 512 }, () => next() & 0xffff);
  const [text, code, random] = [Buffer.alloc(POOL), Buffer.alloc(POOL), Buffer.alloc(POOL)];
  for (let at = 0; at < POOL; ) {
    const word = words[rare(next, words.length)] ?? Buffer.from(' ');
    at += word.copy(text, at);
    at += again(text, at, next);
  }
  for (let at = 0; at < POOL; at += again(code, at + 8, next) + 8) {
    code.writeUInt16LE(codes[rare(next, codes.length)] ?? 0, at);
    code.writeUInt16LE(codes[rare(next, codes.length)] ?? 0, at + 2);
    // Every other record has an operand of its own, the others small ones.
    code.writeUInt32LE(next() % 4 === 0 ? next() : next() % 256, at + 4);
  }
  for (let at = 0; at < POOL; at += 4) random.writeUInt32LE(next(), at);
  return [text, code, random];
}

/** Now and then repeats what stands a little before, in multiples of 8 bytes; tells how many bytes. */
function again(pool: Buffer, at: number, next: () => number): number {
  const back = 8 * (1 + (next() % 1024));
  const length = Math.min(8 * (1 + (next() % 24)), POOL - at);
  if (next() % 8 !== 0 || back > at || length <= 0) return 0;
  pool.copy(pool, at, at - back, at - back + length);
  return length;
}

/** Below `count`, the smaller the likelier. */
function rare(next: () => number, count: number): number {
  const part = next() / 2 ** 32;
  return Math.floor(count * part * part * part);
}

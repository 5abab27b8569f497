import { constants, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import type { Layer } from '../../src/image/image.ts';
import { type InflationLimits, uncompressed } from '../../src/image/layers/uncompressed.ts';
import { archive, joined } from './archives.ts';
import { layerOf, sha256 } from './layer.ts';

const { signal } = new AbortController();
const CONTENT = archive([
  { name: 'random', data: Buffer.from(Array.from({ length: 500_000 }, (_, at) => (at * 7919) % 251)) },
  { name: 'zeros', data: Buffer.alloc(700_000) },
]);

/** One frame of raw and run-length blocks (RFC 8878 §3.1.1), made here so that no program is needed. */
function zstdFrame(content: Uint8Array): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(content.length));
  const parts = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0]), size];
  const most = 100_000;
  for (let at = 0; at < content.length || at === 0; at += most) {
    const block = content.subarray(at, at + most);
    const isRun = block.length > 1 && block.every((byte) => byte === block[0]);
    const isLast = at + most >= content.length ? 1 : 0;
    const header = Buffer.alloc(3);
    header.writeUIntLE(isLast | ((isRun ? 1 : 0) << 1) | (block.length << 3), 0, 3);
    parts.push(header, isRun ? Buffer.from(block.subarray(0, 1)) : Buffer.from(block));
  }
  return Buffer.concat(parts);
}

const SKIPPABLE = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
const half = CONTENT.length >> 1;
const GZIP = gzipSync(CONTENT);
const ZSTD = zstdFrame(CONTENT);

const unpack = async (layer: Layer, limits?: InflationLimits) =>
  joined(await uncompressed(layer, signal, limits));

const refusal = (layer: Layer, limits?: InflationLimits): Promise<TransferError> =>
  unpack(layer, limits).then(
    () => expect.unreachable('the layer was unpacked'),
    (error: TransferError) => error,
  );

describe('a layer', () => {
  test.each([
    ['as it is', CONTENT],
    ['as gzip', GZIP],
    [
      'as gzip of several members',
      Buffer.concat([gzipSync(CONTENT.subarray(0, half)), gzipSync(CONTENT.subarray(half))]),
    ],
    [
      'as gzip with a name in its header',
      Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3, 0x61, 0]), GZIP.subarray(10)]),
    ],
    ['as zstd', ZSTD],
    [
      'as zstd of several frames',
      Buffer.concat([zstdFrame(CONTENT.subarray(0, half)), SKIPPABLE, zstdFrame(CONTENT.subarray(half))]),
    ],
    ['as zstd behind a skippable frame', Buffer.concat([SKIPPABLE, ZSTD])],
  ])('that is stored %s is unpacked, whatever its media type says', async (_, stored) => {
    expect((await unpack(layerOf(stored, CONTENT))).equals(CONTENT)).toBe(true);
  });

  test.each([0, 1, 3])('of %i bytes is what it is', async (size) => {
    const content = Buffer.from([0x28, 0xb5, 0x2f]).subarray(0, size);
    expect(await unpack(layerOf(content, content))).toEqual(content);
  });

  test('S8 whose content is not what its diff id says is refused after its last byte', async () => {
    const other = { ...layerOf(GZIP, CONTENT), diffId: sha256(Buffer.from('other')) };
    expect(await refusal(other)).toMatchObject({
      code: 'digest-mismatch',
      message: `unpacking layer ${sha256(GZIP)}: expected ${sha256(Buffer.from('other'))}, got ${sha256(CONTENT)}`,
    });
    expect(await refusal({ ...other, diffId: 'md5:00' })).toMatchObject({ code: 'unsupported' });
  });

  test('S8 that came with other bytes is refused for these, not for what they led to', async () => {
    const damaged = Buffer.from(GZIP);
    damaged[30] = (damaged[30] ?? 0) ^ 0xff;
    expect(await refusal(layerOf(GZIP, CONTENT, damaged))).toMatchObject({
      code: 'digest-mismatch',
      message: 'reading the blob: other bytes',
    });
  });

  test.each([
    ['gzip that is cut', GZIP.subarray(0, -1)],
    ['gzip that is cut in its header', GZIP.subarray(0, 5)],
    ['gzip with a wrong sum', Buffer.concat([GZIP.subarray(0, -8), Buffer.alloc(8, 1)])],
    ['gzip with something behind it', Buffer.concat([GZIP, Buffer.from('more')])],
    ['gzip with zeros behind it', Buffer.concat([GZIP, Buffer.alloc(512)])],
    ['gzip with a mebibyte behind it', Buffer.concat([GZIP, Buffer.alloc(2 ** 20)])],
    ['gzip whose second member is none', Buffer.concat([GZIP, Buffer.from([0x1f, 0x8b, 8, 0])])],
    ['gzip of another method', Buffer.concat([Buffer.from([0x1f, 0x8b, 7]), deflateSync(CONTENT)])],
    ['zstd that is cut', ZSTD.subarray(0, -1)],
    ['zstd that is cut in its header', ZSTD.subarray(0, 5)],
    ['zstd with something behind it', Buffer.concat([ZSTD, Buffer.from('more')])],
    ['zstd with zeros behind it', Buffer.concat([ZSTD, Buffer.alloc(512)])],
    ['zstd with a block of no kind', Buffer.concat([ZSTD.subarray(0, 13), Buffer.from([7, 0, 0])])],
  ])('S7 of %s is refused', async (_, stored) => {
    expect(await refusal(layerOf(stored, CONTENT))).toMatchObject({
      code: 'invalid-request',
      message: expect.stringMatching(/^unpacking (gzip|zstd): /),
    });
  });

  test.each([
    ['gzip', GZIP],
    ['zstd', ZSTD],
  ])('S7 of %s that inflates beyond the limits is refused on the way', async (_, stored) => {
    const layer = layerOf(stored, CONTENT);
    const refused = await refusal(layer, { most: 1_000_000 });
    expect(refused.code).toBe('invalid-request');
    expect(refused.message).toBe(
      `unpacking layer ${sha256(stored)}: it inflates from ${stored.length} to more than 1000000 bytes`,
    );
    expect((await unpack(layer, { most: CONTENT.length })).length).toBe(CONTENT.length);
  });

  test('S7 of a gibibyte and more is refused when it inflates by more than the ratio', async () => {
    const zeros = Buffer.alloc(2 ** 26);
    const member = gzipSync(zeros, { level: 9, strategy: constants.Z_RLE });
    const bomb = Buffer.concat(Array.from({ length: 17 }, () => member));
    expect((await refusalOfStream(layerOf(bomb, zeros))).message).toMatch(/to more than 1073741824 bytes$/);
  });
});

/** As `refusal`, without keeping what comes. */
async function refusalOfStream(layer: Layer): Promise<TransferError> {
  try {
    for await (const _ of await uncompressed(layer, signal));
  } catch (error) {
    return error as TransferError;
  }
  return expect.unreachable('the layer was unpacked');
}

test('a layer that its reader leaves is released', async () => {
  let released = 0;
  async function* source() {
    try {
      yield GZIP.subarray(0, 2000);
      yield GZIP.subarray(2000);
    } finally {
      released += 1;
    }
  }
  const made = { ...layerOf(GZIP, CONTENT), read: async () => source() };
  for await (const _ of await uncompressed(made, signal)) break;
  expect(released).toBe(1);
});

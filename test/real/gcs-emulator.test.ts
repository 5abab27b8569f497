import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type Bucket, IdempotencyStrategy, Storage } from '@google-cloud/storage';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sumsOf } from '../../fixtures/servers/gcs/checksums.ts';
import { type GcsEmulator, startGcsEmulator } from '../../fixtures/servers/gcs/emulator.ts';

const MIB = 1024 * 1024;
const big = randomBytes(6 * MIB + 17);

let emulator: GcsEmulator;
let storage: Storage;
let bucket: Bucket;

beforeAll(async () => {
  emulator = await startGcsEmulator();
  storage = new Storage({
    apiEndpoint: emulator.origin,
    projectId: 'p',
    retryOptions: {
      autoRetry: true,
      maxRetries: 3,
      retryDelayMultiplier: 1.1,
      maxRetryDelay: 1,
      totalTimeout: 20,
      idempotencyStrategy: IdempotencyStrategy.RetryAlways,
    },
  });
  [bucket] = await storage.createBucket('checked');
});
beforeEach(() => emulator.turn({}));
afterAll(() => emulator.close());

const save = (name: string, content: Buffer | string, more = {}) =>
  bucket.file(name).save(content, { resumable: false, ...more });
const contentOf = async (name: string) => (await bucket.file(name).download())[0];

describe("the emulator, by Google's own client", () => {
  test('buckets are made, found, and removed only when empty', async () => {
    const [made] = await storage.createBucket('another');
    expect((await made.exists())[0]).toBe(true);
    expect((await storage.bucket('absent').exists())[0]).toBe(false);
    await expect(storage.createBucket('another')).rejects.toMatchObject({ code: 409 });
    await made.file('x').save('x', { resumable: false });
    await expect(made.delete()).rejects.toMatchObject({ code: 409 });
    await made.deleteFiles();
    await made.delete();
    expect((await made.exists())[0]).toBe(false);
  });

  test('an upload in one request keeps content, type and meta data', async () => {
    await save('simple', 'hello', { metadata: { contentType: 'text/x', metadata: { k: 'v' } } });
    const [metadata] = await bucket.file('simple').getMetadata();
    expect(metadata).toMatchObject({ size: '5', contentType: 'text/x', metadata: { k: 'v' } });
    expect(String(await contentOf('simple'))).toBe('hello');
  });

  test.each([undefined, 256 * 1024, 2 * MIB])(
    'a resumable upload in chunks of %s bytes',
    async (chunkSize) => {
      const file = bucket.file('resumable');
      const options = chunkSize === undefined ? {} : { chunkSize };
      await pipeline(Readable.from([big]), file.createWriteStream(options));
      // The client compares its CRC32C with ours.
      expect((await contentOf('resumable')).equals(big)).toBe(true);
    },
  );

  test('a chunk of which a part was kept is sent again from there', async () => {
    // The client does not take this of the last chunk: it has to be kept whole.
    emulator.turn({ persistBytes: 0.75 * MIB });
    const content = big.subarray(0, 3 * MIB);
    await pipeline(Readable.from([content]), bucket.file('part').createWriteStream({ chunkSize: MIB }));
    expect((await contentOf('part')).equals(content)).toBe(true);
  });

  test('after a 503 the client asks how far it has come and goes on', async () => {
    emulator.turn({ faults: [{ method: 'PUT', status: 503, after: 1 }] });
    const write = bucket.file('again').createWriteStream({
      chunkSize: 2 * MIB,
      preconditionOpts: { ifGenerationMatch: 0 },
    });
    await pipeline(Readable.from([big]), write);
    expect((await contentOf('again')).equals(big)).toBe(true);
    const asked = emulator.requests.filter(({ headers }) => headers['content-range'] === 'bytes */*');
    expect(asked).toHaveLength(1);
  });

  test('ranges are what was asked for', async () => {
    await save('ranged', big);
    const read = (start: number, end?: number) =>
      bucket.file('ranged').createReadStream({ start, ...(end === undefined ? {} : { end }) });
    expect((await buffer(read(100, 199))).equals(big.subarray(100, 200))).toBe(true);
    expect((await buffer(read(6 * MIB))).equals(big.subarray(6 * MIB))).toBe(true);
  });

  test('a wrong digest is refused and stores nothing', async () => {
    const saving = save('wrong', 'content', { metadata: { crc32c: 'AAAAAA==' }, validation: false });
    await expect(saving).rejects.toMatchObject({ code: 400 });
    expect((await bucket.file('wrong').exists())[0]).toBe(false);
  });

  test('preconditions hold', async () => {
    await save('once', 'x', { preconditionOpts: { ifGenerationMatch: 0 } });
    const again = save('once', 'y', { preconditionOpts: { ifGenerationMatch: 0 } });
    await expect(again).rejects.toMatchObject({ code: 412 });
    const [{ generation }] = await bucket.file('once').getMetadata();
    await save('once', 'z', { preconditionOpts: { ifGenerationMatch: generation } });
    expect(String(await contentOf('once'))).toBe('z');
  });

  test('copies take as many calls as they need, moves take the file away', async () => {
    await save('from', big);
    emulator.turn({ rewriteBytes: 2 * MIB });
    await bucket.file('from').copy(bucket.file('copy'));
    expect(emulator.requests.filter(({ url }) => url.includes('rewriteTo'))).toHaveLength(4);
    await bucket.file('copy').move('moved');
    expect((await contentOf('moved')).equals(big)).toBe(true);
    expect((await bucket.file('copy').exists())[0]).toBe(false);
  });

  test('composed objects have no MD5', async () => {
    await save('c1', 'one');
    await save('c2', 'two');
    await bucket.combine(['c1', 'c2'], bucket.file('composed'));
    expect(String(await contentOf('composed'))).toBe('onetwo');
    const [metadata] = await bucket.file('composed').getMetadata();
    expect(metadata.md5Hash).toBeUndefined();
    expect(metadata.crc32c).toBe(sumsOf(Buffer.from('onetwo')).tell().crc32c);
    expect(metadata.componentCount).toBe(2);
  });

  test('listings go by pages, prefixes and delimiters', async () => {
    for (const name of ['l/0/a', 'l/0/b', 'l/1/a', 'l/2', 'l/3']) await save(name, 'x');
    emulator.turn({ pageEntries: 2 });
    const [files] = await bucket.getFiles({ prefix: 'l/' });
    expect(files.map(({ name }) => name)).toEqual(['l/0/a', 'l/0/b', 'l/1/a', 'l/2', 'l/3']);
    emulator.turn({});
    const [items, , answer] = await bucket.getFiles({ prefix: 'l/', delimiter: '/', autoPaginate: false });
    expect(items.map(({ name }) => name)).toEqual(['l/2', 'l/3']);
    expect((answer as { prefixes: string[] }).prefixes).toEqual(['l/0/', 'l/1/']);
  });

  test('names keep their bytes, and those that the service refuses are refused', async () => {
    for (const name of ['d/e f', 'p%20q', 'x+y', 'ü?#&']) {
      await save(name, name);
      expect(String(await contentOf(name))).toBe(name);
    }
    await expect(save('new\nline', 'x')).rejects.toMatchObject({ code: 400 });
  });

  test('meta data is changed', async () => {
    await save('meta', 'x', { metadata: { metadata: { k: 'v' } } });
    await bucket.file('meta').setMetadata({ metadata: { k: null, z: '1' } });
    expect((await bucket.file('meta').getMetadata())[0].metadata).toEqual({ z: '1' });
  });

  test('what is stored gzipped is decompressed for those who do not take gzip', async () => {
    const zipped = gzipSync('a text that is stored small');
    await save('zipped', zipped, { metadata: { contentEncoding: 'gzip' } });
    expect(String(await contentOf('zipped'))).toBe('a text that is stored small');
    const [raw] = await bucket.file('zipped').download({ decompress: false });
    expect(gunzipSync(raw).equals(gunzipSync(zipped))).toBe(true);
    const plain = await fetch(`${emulator.origin}/storage/v1/b/checked/o/zipped?alt=media`, {
      headers: { 'accept-encoding': 'identity' },
    });
    expect(await plain.text()).toBe('a text that is stored small');
    expect(plain.headers.get('content-length')).toBeNull();
  });

  test('removing what is not there is 404', async () => {
    await save('gone', 'x');
    await bucket.file('gone').delete();
    await expect(bucket.file('gone').delete()).rejects.toMatchObject({ code: 404 });
  });

  test('who has no token is refused, when one is wanted', async () => {
    emulator.turn({ token: 'the-token' });
    await expect(bucket.getMetadata()).rejects.toMatchObject({ code: 401 });
  });
});

import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { s3Failure } from '../../fixtures/misbehaving/s3-objects.ts';
import { readObject } from '../../src/s3/read.ts';
import { collect, failureOf, never, useScene } from './scene.ts';

const scene = useScene();
const PATH = '/bucket/dir/key';
/** Enough for several ranges at a time. */
const LARGE = 40 * 1024 * 1024 + 11;

const read = (more: object = {}) => readObject(scene.client, scene.object, { signal: never, ...more });
const isRange = (headers: Readonly<Record<string, unknown>>) => headers.range !== undefined;

describe('a large object', () => {
  const content = randomBytes(LARGE);
  const other = randomBytes(LARGE);

  test('comes in ranges of one version, and in order', async () => {
    scene.server.store.objects.set(PATH, content);
    const source = await read();
    expect(source.size).toBe(LARGE);
    expect((await collect(source)).equals(content)).toBe(true);
    const ranges = scene.server.asked.filter(({ headers }) => isRange(headers));
    expect(ranges.length).toBe(5);
    for (const { headers } of ranges) expect(headers['if-match']).toBe(source.version?.slice('etag '.length));
    const part = await read({ range: { start: 77, end: LARGE - 5 } });
    expect((await collect(part)).equals(content.subarray(77, LARGE - 5))).toBe(true);
  });

  test.each([true, false])(
    'F8 that is another one in the middle is `changed`, before a byte of the other (If-Match is heeded: %s)',
    async (heeds) => {
      scene.server.store.objects.set(PATH, content);
      scene.server.setScript((asked) => {
        if (String(asked.headers.range).startsWith('bytes=16777216-')) {
          scene.server.store.objects.set(PATH, other);
        }
        const { 'if-match': condition, ...rest } = asked.headers;
        return scene.server.store.answer(heeds ? asked : { ...asked, headers: rest });
      });
      let seen = 0;
      const reading = (async () => {
        for await (const chunk of (await read()).bytes) {
          expect(content.subarray(seen, seen + chunk.length).equals(chunk)).toBe(true);
          seen += chunk.length;
        }
      })();
      expect(await failureOf(reading)).toMatchObject({ code: 'changed' });
      expect(seen).toBeLessThan(LARGE);
    },
  );

  test('F1 a range that is cut is `unavailable`, behind everything before it', async () => {
    scene.server.store.objects.set(PATH, content);
    scene.server.setScript(({ headers }, perform) =>
      String(headers.range).startsWith('bytes=16777216-') ? { ...perform(), cutAt: 1000 } : undefined,
    );
    let seen = 0;
    const reading = (async () => {
      for await (const chunk of (await read()).bytes) seen += chunk.length;
    })();
    expect(await failureOf(reading)).toMatchObject({ code: 'unavailable' });
    expect(seen).toBeGreaterThanOrEqual(16 * 1024 * 1024);
    expect(seen).toBeLessThan(24 * 1024 * 1024);
  });

  test('F7 a range of another place is not mixed in', async () => {
    scene.server.store.objects.set(PATH, content);
    scene.server.setScript(({ headers }, perform) => {
      if (!String(headers.range).startsWith('bytes=8388608-')) return undefined;
      const answer = perform();
      return { ...answer, headers: { ...answer.headers, 'content-range': `bytes 0-8388607/${LARGE}` } };
    });
    expect(await failureOf(read().then(collect))).toMatchObject({ code: 'unavailable' });
  });
});

describe('an object', () => {
  test('F1 whose body is cut is `unavailable`, not a shorter one', async () => {
    scene.server.store.objects.set(PATH, Buffer.alloc(100_000, 1));
    scene.server.setScript((_, perform) => ({ ...perform(), cutAt: 5000 }));
    expect(await failureOf(read().then(collect))).toMatchObject({ code: 'unavailable' });
  });

  test('P7 F4 of a service that falls silent ends, before the answer and in the body', async () => {
    scene.server.store.objects.set(PATH, Buffer.alloc(100_000, 1));
    const client = scene.http({ timeouts: { firstByte: 0.3, stall: 0.3 } });
    scene.server.setScript(() => 'silent');
    const before = readObject(client, scene.object, { signal: never });
    expect(await failureOf(before)).toMatchObject({ code: 'timed-out' });
    scene.server.setScript((_, perform) => {
      const answer = perform();
      return { ...answer, headers: { ...answer.headers, 'content-length': '200000' } };
    });
    const within = readObject(client, scene.object, { signal: never }).then(collect);
    expect(await failureOf(within)).toMatchObject({ code: 'stalled' });
  });

  test('P7 answers whose body nobody reads to its end keep no connection', async () => {
    const content = Buffer.alloc(8_000_000, 1);
    scene.server.store.objects.set(PATH, content);
    const client = scene.http({ connectionsPerOrigin: 1, timeouts: { firstByte: 5 } });
    const get = (more: object = {}) => readObject(client, scene.object, { signal: never, ...more });
    const long = { ...s3Failure(403, 'AccessDenied'), body: `<Error>${' '.repeat(300_000)}</Error>` };
    for (const [answer, more] of [
      [s3Failure(404, 'NoSuchKey'), {}],
      [long, {}],
      [{ status: 412, body: content }, { version: 'etag "other"' }],
      [{ status: 416, body: content }, { range: { start: 9_000_000 } }],
      [{ status: 200, body: content }, { range: { start: 10 } }],
    ] as const) {
      scene.server.setScript(() => answer);
      await failureOf(get(more));
    }
    scene.server.setScript((_, perform) => perform());
    await (await get()).discard?.();
    for await (const _ of (await get()).bytes) break;
    expect((await collect(await get())).equals(content)).toBe(true);
  });

  test('F6 a range that is answered with the whole is `range-ignored`', async () => {
    scene.server.store.objects.set(PATH, Buffer.alloc(1000, 1));
    scene.server.setScript(() => ({ status: 200, body: Buffer.alloc(1000, 1) }));
    expect(await failureOf(read({ range: { start: 10 } }))).toMatchObject({ code: 'range-ignored' });
  });

  test('tells the digests that the service stores, where they are of the whole', async () => {
    scene.server.store.objects.set(PATH, Buffer.from('hello'));
    scene.server.setScript((_, perform) => {
      const answer = perform();
      const sums = { 'x-amz-checksum-crc32': 'NhCmhg==', 'x-amz-checksum-sha256': 'AAAA-3' };
      return { ...answer, headers: { ...answer.headers, ...sums } };
    });
    expect((await read()).digests).toEqual([
      { algorithm: 'crc32', value: '3610a686' },
      { algorithm: 'md5', value: '5d41402abc4b2a76b9719d911017c592' },
    ]);
    scene.server.setScript((_, perform) => ({
      ...perform(),
      headers: { etag: '"5d41402abc4b2a76b9719d911017c592-2"' },
    }));
    expect((await read()).digests).toEqual([]);
  });

  test.each([
    [
      'marked by its number of parts',
      { 'x-amz-checksum-sha256': 'tfmzeY9XeH2OXmxrtS4iDWlNIKUTAFv0/csHs2lsoD8=-2' },
    ],
    ['of one part', { 'x-amz-checksum-sha256': 'tfmzeY9XeH2OXmxrtS4iDWlNIKUTAFv0/csHs2lsoD8=-1' }],
    ['marked by its type alone', { 'x-amz-checksum-crc32': 'NhCmhg==', 'x-amz-checksum-type': 'COMPOSITE' }],
    [
      'of another kind by each mark',
      { 'x-amz-checksum-crc32c': 'mnG7TA==-2', 'x-amz-checksum-type': 'FULL_OBJECT' },
    ],
  ])('P2 a digest of digests, %s, is never taken for that of the whole', async (_, sums) => {
    scene.server.store.objects.set(PATH, Buffer.from('hello'));
    const etag = '"5d41402abc4b2a76b9719d911017c592-2"';
    scene.server.setScript((_, perform) => ({ ...perform(), headers: { etag, ...sums } }));
    expect((await read()).digests).toEqual([]);
  });

  test('a checksum that says it is of the whole is told, whatever the number of parts', async () => {
    scene.server.store.objects.set(PATH, Buffer.from('hello'));
    const sums = { 'x-amz-checksum-crc64nvme': 'MzdAECrwhuM=', 'x-amz-checksum-type': 'FULL_OBJECT' };
    const etag = '"5d41402abc4b2a76b9719d911017c592-2"';
    scene.server.setScript((_, perform) => ({ ...perform(), headers: { etag, ...sums } }));
    expect((await read()).digests).toEqual([{ algorithm: 'crc64nvme', value: '333740102af086e3' }]);
  });
});

import { createHash, randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { crc64nvme, type S3Asked, s3Failure } from '../../fixtures/misbehaving/s3-objects.ts';
import { TransferError } from '../../src/errors.ts';
import { startDigest } from '../../src/integrity/digests.ts';
import type { Algorithm, WriteCall } from '../../src/protocol.ts';
import { findUpload } from '../../src/s3/partial.ts';
import { writeObject } from '../../src/s3/write.ts';
import { chunksOf, failureOf, never, SMALL, useScene, whole } from './scene.ts';

const scene = useScene();
const PATH = '/bucket/dir/key';

const isComplete = ({ method, query }: S3Asked) => method === 'POST' && query.has('uploadId');
const isPart = ({ method, query }: S3Asked, number?: number) =>
  method === 'PUT' &&
  query.has('partNumber') &&
  (number === undefined || query.get('partNumber') === String(number));

function write(content: Uint8Array, more: Partial<WriteCall> = {}) {
  const call = { ...whole, size: content.length, ...more };
  return writeObject(scene.client, scene.object, { bytes: chunksOf(content), call }, SMALL);
}

const stored = () => scene.server.store.objects.get(PATH);

/** Does `deed` for the first request that fits, and what was asked for the others. */
function once(fits: (asked: S3Asked) => boolean, deed: Parameters<typeof scene.server.setScript>[0]) {
  let isDone = false;
  scene.server.setScript((asked, perform) => {
    if (isDone || !fits(asked)) return undefined;
    isDone = true;
    return deed(asked, perform);
  });
}

describe('an upload in parts to a service that compares wholes', () => {
  const crc = async (content: Uint8Array) => {
    const running = await startDigest('crc64nvme');
    running.update(content);
    return new Map<Algorithm, string>([['crc64nvme', running.end()]]);
  };
  const fields = (asked: S3Asked) =>
    Object.fromEntries(Object.entries(asked.headers).filter(([name]) => name.startsWith('x-amz-checksum')));

  beforeEach(() => {
    scene.access = { wholeChecksum: true };
  });

  test('tells the CRC64NVME of each part and of all together, and what is stored then is told', async () => {
    const content = randomBytes(5500);
    const digests = await crc(content);
    const result = await (await write(content)).commit(never, digests);
    expect(result.digests).toEqual([{ algorithm: 'crc64nvme', value: digests.get('crc64nvme') }]);
    const [begin, ...rest] = scene.server.asked.filter(({ method }) => method !== 'HEAD');
    const type = { 'x-amz-checksum-type': 'FULL_OBJECT' };
    expect(begin && fields(begin)).toEqual({ 'x-amz-checksum-algorithm': 'CRC64NVME', ...type });
    for (const part of rest.slice(0, -1)) {
      expect(fields(part)).toEqual({ 'x-amz-checksum-crc64nvme': crc64nvme(part.body) });
      expect(part.headers['content-md5']).toBeDefined();
    }
    const last = rest.at(-1);
    expect(last && fields(last)).toEqual({ 'x-amz-checksum-crc64nvme': crc64nvme(content), ...type });
  });

  test('P1 F26 whose whole is another than what was read is refused, never seen, and dropped', async () => {
    const content = randomBytes(5500);
    const digests = await crc(Buffer.concat([content.subarray(1), content.subarray(0, 1)]));
    const failing = write(content).then((staged) => staged.commit(never, digests));
    expect(await failureOf(failing)).toMatchObject({ code: 'digest-mismatch' });
    expect([...scene.server.store.uploads, ...scene.server.store.objects]).toEqual([]);
  });

  test('F26 a part that changes on the way is refused by its sums, and sent again', async () => {
    const content = randomBytes(5500);
    const digests = await crc(content);
    once(
      (asked) => isPart(asked, 2),
      (asked) => {
        asked.body.writeUInt8(asked.body.readUInt8(7) ^ 1, 7);
        return undefined;
      },
    );
    await (await write(content)).commit(never, digests);
    expect(stored()?.equals(content)).toBe(true);
    expect(scene.server.asked.filter((asked) => isPart(asked, 2))).toHaveLength(2);
  });

  test('P4 is gone on with as it was begun', async () => {
    const content = randomBytes(5500);
    let handle = '';
    const cut = chunksOf(content.subarray(0, 4200));
    const onPartial = (given: string) => {
      handle = given;
    };
    const call = { ...whole, size: content.length, onPartial };
    const broken = writeObject(scene.client, scene.object, { bytes: cut, call }, SMALL);
    expect(await failureOf(broken)).toMatchObject({ code: 'size-mismatch' });
    // The next run may have other settings.
    scene.access = {};
    const found = await findUpload(scene.client, scene.object, { signal: never, key: whole.key, handle });
    const end = found?.partial.ranges[0]?.end ?? 0;
    expect(end).toBe(4000);
    const rest = { ...whole, size: content.length, ...(found ? { resume: found.partial } : {}) };
    const source = { bytes: chunksOf(content.subarray(end)), call: rest, resumed: found };
    const staged = await writeObject(scene.client, scene.object, source, SMALL);
    const result = await staged.commit(never, await crc(content));
    expect(stored()?.equals(content)).toBe(true);
    expect(result.digests.map(({ algorithm }) => algorithm)).toEqual(['crc64nvme']);
  });

  test('P11 whose parts are too large for memory tells none, since nobody knows them before', async () => {
    const content = randomBytes(25_000);
    const limits = { part: 1000, window: 3000, held: 100 };
    const call = { ...whole, size: content.length };
    const staged = await writeObject(scene.client, scene.object, { bytes: chunksOf(content), call }, limits);
    await staged.commit(never, await crc(content));
    expect(stored()?.equals(content)).toBe(true);
    expect(scene.server.asked.flatMap((asked) => Object.keys(fields(asked)))).toEqual(
      expect.not.arrayContaining(['x-amz-checksum-crc64nvme']),
    );
  });
});

describe('an upload in parts', () => {
  test('tells no CRC64NVME to a service that is not known to compare it', async () => {
    await (await write(randomBytes(5500))).commit(never, new Map([['crc64nvme', '00'.repeat(8)]]));
    const told = scene.server.asked.flatMap(({ headers }) => Object.keys(headers));
    expect(told.filter((name) => /^x-amz-checksum-(?!mode)/.test(name))).toEqual([]);
  });

  test('P1 is not visible before commit, and is whole after it', async () => {
    const content = randomBytes(5500);
    const staged = await write(content);
    expect(stored()).toBeUndefined();
    const result = await staged.commit(never);
    expect(stored()?.equals(content)).toBe(true);
    expect(result).toMatchObject({ size: 5500, isProven: true });
    expect(scene.server.asked.filter((asked) => isPart(asked))).toHaveLength(6);
  });

  test('P9 that is taken back leaves no upload', async () => {
    await (await write(randomBytes(5500))).abort();
    expect([...scene.server.store.uploads, ...scene.server.store.objects]).toEqual([]);
  });

  test('F21 a Complete of 200 with an error body is no success, and is tried again', async () => {
    const content = randomBytes(3000);
    once(isComplete, () => ({ ...s3Failure(200, 'InternalError'), status: 200 }));
    await (await write(content)).commit(never);
    expect(stored()?.equals(content)).toBe(true);
    scene.server.setScript((asked) =>
      isComplete(asked) ? { ...s3Failure(200, 'InternalError'), status: 200 } : undefined,
    );
    const failing = write(randomBytes(4000)).then((staged) => staged.commit(never));
    expect(await failureOf(failing)).toMatchObject({ code: 'unavailable' });
    expect(stored()?.equals(content)).toBe(true);
    expect(scene.server.store.uploads.size).toBe(0);
  });

  test('F22 a Complete whose answer is lost is recognised by what is stored', async () => {
    const content = randomBytes(4500);
    once(isComplete, (_, perform) => {
      perform();
      return 'reset';
    });
    const result = await (await write(content)).commit(never);
    expect(result).toMatchObject({ size: 4500, isProven: true });
    expect(scene.server.asked.filter(isComplete)).toHaveLength(2);
  });

  test('F22 P2 an upload that is gone is no success when something else is stored', async () => {
    const other = randomBytes(4500);
    scene.server.store.objects.set(PATH, other);
    const staged = await write(randomBytes(4500));
    scene.server.store.uploads.clear();
    expect(await failureOf(staged.commit(never))).toMatchObject({ code: 'changed' });
    expect(stored()?.equals(other)).toBe(true);
  });

  test('an empty entity tag of a Complete, as old Ceph answers, is asked for again', async () => {
    once(isComplete, (_, perform) => {
      perform();
      return {
        status: 200,
        body: '<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>',
      };
    });
    const result = await (await write(randomBytes(2500))).commit(never);
    expect(result).toMatchObject({
      size: 2500,
      isProven: true,
      version: expect.stringMatching(/^etag "[0-9a-f]{32}-3"$/),
    });
  });

  test('P2 P3 a tag that is not the digest of our parts proves nothing, though it has as many', async () => {
    const content = randomBytes(4500);
    scene.server.setScript((asked, perform) => {
      if (asked.method !== 'HEAD') return undefined;
      return { ...perform(), headers: { etag: `"${'0'.repeat(32)}-5"` } };
    });
    const result = await (await write(content)).commit(never);
    expect(result).not.toHaveProperty('isProven');
    scene.server.setScript(() => undefined);
    expect(await (await write(content)).commit(never)).toMatchObject({ isProven: true });
  });

  test('F11 F12 a part that is told to slow down is sent again, the others are not', async () => {
    const content = randomBytes(4500);
    once(
      (asked) => isPart(asked, 2),
      () => ({ ...s3Failure(503, 'SlowDown'), status: 503, headers: { 'retry-after': '7' } }),
    );
    const waits: (number | undefined)[] = [];
    const retry: WriteCall['retry'] = async (unit) => {
      for (;;) {
        try {
          return await unit(never);
        } catch (error) {
          if (!(error instanceof TransferError) || error.code !== 'rate-limited') throw error;
          waits.push(error.retryAfter);
        }
      }
    };
    await (await write(content, { retry })).commit(never);
    expect(stored()?.equals(content)).toBe(true);
    expect(waits).toEqual([7]);
    const numbers = scene.server.asked
      .filter((asked) => isPart(asked))
      .map(({ query }) => query.get('partNumber'));
    expect(numbers.sort()).toEqual(['1', '2', '2', '3', '4', '5']);
  });

  test('F2 a part whose connection is reset is sent again with the same bytes', async () => {
    const content = randomBytes(3500);
    once(
      (asked) => isPart(asked, 3),
      () => 'reset',
    );
    await (await write(content)).commit(never);
    expect(stored()?.equals(content)).toBe(true);
  });

  test('P2 a source that ends early is `size-mismatch`, whatever the number of parts, and leaves nothing', async () => {
    const content = randomBytes(5100);
    expect(await failureOf(write(content, { size: 5900 }))).toMatchObject({ code: 'size-mismatch' });
    expect(await failureOf(write(content, { size: 4900 }))).toMatchObject({ code: 'size-mismatch' });
    expect([...scene.server.store.uploads, ...scene.server.store.objects]).toEqual([]);
  });

  test.each([
    ['known', {}],
    ['unknown', { size: undefined }],
  ])(
    'every part of an upload of %s size says its MD5 and is signed with its sha256, also when it is sent again, never in chunks with a trailer',
    async (_, more) => {
      once(
        (asked) => isPart(asked, 2),
        () => ({ ...s3Failure(503, 'SlowDown'), status: 503 }),
      );
      await (await write(randomBytes(3500), more)).commit(never);
      const parts = scene.server.asked.filter((asked) => isPart(asked));
      expect(parts).toHaveLength(5);
      for (const { headers, body } of parts) {
        expect(headers['content-md5']).toBe(createHash('md5').update(body).digest('base64'));
        expect(headers['x-amz-content-sha256']).toBe(createHash('sha256').update(body).digest('hex'));
        expect(
          headers['content-encoding'] ?? headers['x-amz-trailer'] ?? headers['transfer-encoding'],
        ).toBeUndefined();
      }
    },
  );

  test('P11 parts too large for memory go up as they come, and what is stored of them is compared', async () => {
    const content = randomBytes(25_000);
    const limits = { part: 10_000, window: 10_000, held: 5000 };
    const call = { ...whole, size: content.length };
    const staged = await writeObject(scene.client, scene.object, { bytes: chunksOf(content), call }, limits);
    await staged.commit(never);
    expect(stored()?.equals(content)).toBe(true);
    scene.server.setScript((asked, perform) =>
      isPart(asked) ? { ...perform(), headers: { etag: `"${'0'.repeat(32)}"` } } : undefined,
    );
    const failing = writeObject(scene.client, scene.object, { bytes: chunksOf(content), call }, limits);
    expect(await failureOf(failing)).toMatchObject({ code: 'digest-mismatch' });
    expect(scene.server.store.uploads.size).toBe(0);
  });
});

describe('a broken upload', () => {
  const content = randomBytes(6500);

  /** Breaks behind 3,400 bytes; gives the last handle that was told. */
  async function breakOff(): Promise<string> {
    let handle = '';
    const onPartial = (given: string) => {
      handle = given;
    };
    async function* broken() {
      yield* chunksOf(content.subarray(0, 3400));
      throw new TransferError('stalled', 'the source fell silent');
    }
    const call = { ...whole, size: content.length, onPartial };
    const failing = writeObject(scene.client, scene.object, { bytes: broken(), call }, SMALL);
    expect(await failureOf(failing)).toMatchObject({ code: 'stalled' });
    return handle;
  }
  const find = (handle: string) =>
    findUpload(scene.client, scene.object, { signal: never, key: whole.key, handle });

  test('P4 goes on behind the parts that the service acknowledged', async () => {
    const handle = await breakOff();
    const found = await find(handle);
    expect(found?.partial).toMatchObject({ ranges: [{ start: 0, end: 3000 }], isProven: true });
    const bytes = chunksOf(content.subarray(3000));
    const call = { ...whole, size: content.length, resume: found?.partial };
    const before = scene.server.asked.length;
    await (await writeObject(scene.client, scene.object, { bytes, call, resumed: found }, SMALL)).commit(
      never,
    );
    expect(stored()?.equals(content)).toBe(true);
    const again = scene.server.asked.slice(before).filter((asked) => isPart(asked));
    expect(again.map(({ query }) => query.get('partNumber'))).toEqual(['4', '5', '6', '7']);
  });

  test('P4 L5 is gone on with before a short part, which a source that ended early left', async () => {
    let handle = '';
    const onPartial = (given: string) => {
      handle = given;
    };
    const call = { ...whole, size: content.length, onPartial };
    const cut = { bytes: chunksOf(content.subarray(0, 3400)), call };
    const error = await failureOf(writeObject(scene.client, scene.object, cut, SMALL));
    expect(error).toMatchObject({ code: 'size-mismatch' });
    const found = await find(handle);
    expect(found?.partial.ranges).toEqual([{ start: 0, end: 3000 }]);
    const rest = {
      bytes: chunksOf(content.subarray(3000)),
      call: { ...whole, size: content.length, resume: found?.partial },
      resumed: found,
    };
    await (await writeObject(scene.client, scene.object, rest, SMALL)).commit(never);
    expect(stored()?.equals(content)).toBe(true);
  });

  test('P4 P2 is not gone on with when a part is another one, and is dropped', async () => {
    const handle = await breakOff();
    const [upload] = scene.server.store.uploads.values();
    upload?.parts.set(2, randomBytes(1000));
    expect(await find(handle)).toBeUndefined();
    expect(scene.server.store.uploads.size).toBe(0);
  });

  test('P4 is not gone on with when it is not there any more, or the handle is no handle', async () => {
    const handle = await breakOff();
    scene.server.store.uploads.clear();
    for (const text of [handle, '', '{}', 'null', '{"uploadId":1}']) expect(await find(text)).toBeUndefined();
  });

  test('P9 that is released without keeping is gone', async () => {
    const found = await find(await breakOff());
    await found?.partial.release(false);
    expect(scene.server.store.uploads.size).toBe(0);
  });

  test('P4 of which every part is there sends the last one again', async () => {
    let handle = '';
    const onPartial = (given: string) => {
      handle = given;
    };
    await (await write(content, { onPartial })).abort({ keep: true });
    expect((await find(handle))?.partial.ranges).toEqual([{ start: 0, end: 6000 }]);
  });
});

describe('a small file', () => {
  test('F26 P1 that is stored with another MD5 is removed again', async () => {
    once(
      ({ method }) => method === 'PUT',
      (asked, perform) => {
        const wrong = Buffer.from(asked.body);
        wrong[3] = (wrong[3] ?? 0) ^ 1;
        perform();
        scene.server.store.objects.set(PATH, wrong);
        return { status: 200, headers: { etag: `"${'a'.repeat(32)}"` } };
      },
    );
    const failing = write(randomBytes(100)).then((staged) => staged.commit(never));
    expect(await failureOf(failing)).toMatchObject({ code: 'digest-mismatch' });
    expect(stored()).toBeUndefined();
  });

  test('F22 whose answer is lost is sent again', async () => {
    const content = randomBytes(900);
    once(
      ({ method }) => method === 'PUT',
      (_, perform) => {
        perform();
        return 'reset';
      },
    );
    expect(await (await write(content)).commit(never)).toMatchObject({ size: 900, isProven: true });
    expect(stored()?.equals(content)).toBe(true);
  });

  test('that is encrypted, so that its tag proves nothing, is asked about', async () => {
    scene.server.setScript(({ method }, perform) =>
      method === 'PUT'
        ? {
            ...perform(),
            headers: { etag: `"${'b'.repeat(32)}"`, 'x-amz-server-side-encryption': 'aws:kms' },
          }
        : undefined,
    );
    const result = await (await write(randomBytes(800))).commit(never);
    expect(result.size).toBe(800);
    expect(result.isProven).toBeUndefined();
  });

  test('F23 that is larger than the service takes, or over the quota, is `no-space` at once', async () => {
    for (const failure of [s3Failure(400, 'EntityTooLarge'), s3Failure(403, 'QuotaExceeded')]) {
      const before = scene.server.asked.length;
      scene.server.setScript(() => failure);
      const failing = write(randomBytes(100)).then((staged) => staged.commit(never));
      expect(await failureOf(failing)).toMatchObject({ code: 'no-space' });
      expect(scene.server.asked.length - before).toBe(1);
    }
  });

  test('for a name that must be new is refused where something is, before and at the last moment', async () => {
    scene.server.store.objects.set(PATH, Buffer.from('old'));
    expect(await failureOf(write(randomBytes(10), { onlyNew: true }))).toMatchObject({
      code: 'already-exists',
    });
    scene.server.store.objects.clear();
    const staged = await write(randomBytes(10), { onlyNew: true });
    scene.server.setScript(({ headers }) =>
      headers['if-none-match'] === '*' ? s3Failure(412, 'PreconditionFailed') : undefined,
    );
    expect(await failureOf(staged.commit(never))).toMatchObject({ code: 'already-exists' });
  });
});

import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { GcsKnobs } from '../../fixtures/servers/gcs/emulator.ts';
import { open } from '../../protocols/gs.ts';
import { TransferError } from '../../src/errors.ts';
import { createApi } from '../../src/gcs/api.ts';
import { combineCrc32c } from '../../src/gcs/crc32c.ts';
import { gsSettings } from '../../src/gcs/settings.ts';
import { createWrites } from '../../src/gcs/write.ts';
import { startDigest } from '../../src/integrity/digests.ts';
import { parseUrl } from '../../src/location.ts';
import { isPartialName } from '../../src/partial-name.ts';
import type { Algorithm, Context, WriteCall } from '../../src/protocol.ts';
import { BUCKET, contentOf, gcsScene, store } from '../gcs-subject.ts';
import { retry } from '../s3/scene.ts';
import { testHttp } from '../s3-subject.ts';

const never = new AbortController().signal;
const KEY = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const PART = 1000;
/** 35 components and a rest: more than one call puts together. */
const SIZE = 35 * PART + 17;
const CONTENT = randomBytes(SIZE);
const LIMITS = { least: 2 * PART, bytes: () => PART };

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function crc32c(content: Uint8Array): Promise<string> {
  const running = await startDigest('crc32c');
  running.update(content);
  return running.end();
}

async function scene(knobs: GcsKnobs = {}) {
  const { emulator, close } = await gcsScene();
  const http = testHttp();
  closing.push(close, () => http.close());
  const warnings: string[] = [];
  const context: Context = {
    http,
    secrets: async () => ({ google: { endpoint: emulator.origin } }),
    settings: {
      gs: { parallel: 4 },
      net: {
        connections: 4,
        authorities: async () => [],
        verifyTls: true,
        warn: (_, message) => void warnings.push(message),
      },
    },
  };
  const api = createApi(BUCKET, context);
  emulator.turn(knobs);
  async function* bytes(content: Uint8Array) {
    for (let at = 0; at < content.length; at += 700) yield content.subarray(at, at + 700);
  }
  const call = (more: Partial<WriteCall> = {}): WriteCall => ({
    signal: never,
    key: KEY,
    retry,
    size: SIZE,
    ...more,
  });
  const digests = async (content = CONTENT): Promise<ReadonlyMap<Algorithm, string>> =>
    new Map([['crc32c', await crc32c(content)]]);
  return {
    emulator,
    warnings,
    context,
    writes: () => createWrites(api, LIMITS),
    bytes,
    call,
    digests,
    stored: () => contentOf(emulator, 'dir/file'),
    names: () => [...(emulator.store.buckets.get(BUCKET)?.objects.keys() ?? [])],
    asked: (part: string) => emulator.requests.filter(({ url }) => url.includes(part)),
    async write(more: Partial<WriteCall> = {}) {
      const staged = await createWrites(api, LIMITS).write('/dir/file', bytes(CONTENT), call(more));
      return staged.commit(never, await digests());
    },
  };
}

describe('an upload by components', () => {
  test('is the whole under its name, composed in calls of at most 32, and leaves nothing else', async () => {
    const { write, stored, names, asked, emulator } = await scene();
    store(emulator, 'dir/file', Buffer.from('old'));
    const result = await write({ modified: new Date(1_600_000_000_000) });
    expect(stored()?.equals(CONTENT)).toBe(true);
    expect(names()).toEqual(['dir/file']);
    expect(result.digests).toEqual([{ algorithm: 'crc32c', value: await crc32c(CONTENT) }]);
    expect(asked('/compose')).toHaveLength(3);
    expect(asked('/compose').at(-1)?.url).toMatch(/ifGenerationMatch=\d+$/);
    const { metadata } = emulator.store.live(BUCKET, 'dir/file')?.fields ?? {};
    expect(metadata).toEqual({ 'goog-reserved-file-mtime': '1600000000' });
  });

  test('P1 is not seen, nor its components, before it is committed', async () => {
    const { writes, bytes, call, stored, names, context } = await scene();
    const staged = await writes().write('/dir/file', bytes(CONTENT), call());
    expect(stored()).toBeUndefined();
    expect(names()).toHaveLength(36);
    expect(names().every((name) => isPartialName(name.slice('dir/'.length)))).toBe(true);
    const listed: string[] = [];
    const endpoint = open(parseUrl(`gs://${BUCKET}/`).location, context);
    for await (const entry of endpoint.list!('/', { signal: never, recursive: true }))
      listed.push(entry.name);
    expect(listed.filter((name) => name.includes('.part'))).toEqual([]);
    await staged.abort();
    expect(names()).toEqual([]);
  });

  test('P1 F26 a bit that flips in a component is noticed by the service, and sent again', async () => {
    const fault = { match: 'uploadType=multipart', after: 3, flip: 'request' as const };
    const { write, stored, asked } = await scene({ faults: [fault] });
    await write();
    expect(stored()?.equals(CONTENT)).toBe(true);
    expect(asked('uploadType=multipart')).toHaveLength(37);
  });

  test('P1 whose digest is another than that of what was read is never shown', async () => {
    const { writes, bytes, call, digests, names, asked } = await scene();
    const staged = await writes().write('/dir/file', bytes(CONTENT), call());
    const other = await digests(randomBytes(10));
    await expect(staged.commit(never, other)).rejects.toMatchObject({ code: 'digest-mismatch' });
    expect(asked('/compose')).toEqual([]);
    expect(names()).toEqual([]);
  });

  test.each([
    ['a component', 'uploadType=multipart'],
    ['a call on the way', '/compose?'],
    ['the last call', `file/compose`],
  ])('F22 whose answer to %s is lost is stored once', async (_, match) => {
    const { write, stored, names } = await scene({ faults: [{ match, reset: 'after' }] });
    await write();
    expect(stored()?.equals(CONTENT)).toBe(true);
    expect(names()).toEqual(['dir/file']);
  });

  test('F11 that is refused for now goes on', async () => {
    const { write, stored } = await scene({
      faults: [
        { match: 'upload', after: 5, times: 3, status: 503 },
        { match: 'compose', status: 429 },
      ],
    });
    await write();
    expect(stored()?.equals(CONTENT)).toBe(true);
  });

  test('P2 of another size than declared is refused, and nothing of it stays', async () => {
    const { writes, bytes, call, names } = await scene();
    for (const size of [SIZE - 1, SIZE + 1]) {
      const writing = writes().write('/dir/file', bytes(CONTENT), call({ size }));
      await expect(writing).rejects.toMatchObject({ code: 'size-mismatch' });
      expect(names()).toEqual([]);
    }
  });

  test('P9 what others store meanwhile under the name is not put aside unseen', async () => {
    const { writes, bytes, call, digests, emulator, stored } = await scene();
    const staged = await writes().write('/dir/file', bytes(CONTENT), call());
    const { put } = emulator.store;
    let rivals = 0;
    emulator.store.put = (bucket, name, content, fields, query) => {
      if (name === 'dir/file' && rivals < 1) {
        rivals += 1;
        put(bucket, name, Buffer.from('rival'), {}, new URLSearchParams());
      }
      return put(bucket, name, content, fields, query);
    };
    await staged.commit(never, await digests());
    expect(rivals).toBe(1);
    expect(stored()?.equals(CONTENT)).toBe(true);
  });
});

describe('P4 an upload by components that was broken off', () => {
  async function broken() {
    const all = await scene({
      faults: [{ match: 'upload', after: 20, times: 1000, status: 403, reason: 'forbidden' }],
    });
    const handles: string[] = [];
    const call = all.call({ onPartial: (handle) => void handles.push(handle) });
    await expect(all.writes().write('/dir/file', all.bytes(CONTENT), call)).rejects.toMatchObject({
      code: 'permission-denied',
    });
    all.emulator.turn({});
    return { ...all, handle: handles.at(-1) ?? '' };
  }

  test('goes on behind the components that are there', async () => {
    const { handle, writes, bytes, call, digests, stored, names, asked } = await broken();
    const again = writes();
    const resume = await again.partial('/dir/file', { key: KEY, handle, signal: never });
    const at = resume?.ranges[0]?.end ?? 0;
    expect(at % PART).toBe(0);
    expect(at).toBeGreaterThanOrEqual(15 * PART);
    const staged = await again.write('/dir/file', bytes(CONTENT.subarray(at)), call({ resume }));
    await staged.commit(never, await digests());
    expect(stored()?.equals(CONTENT)).toBe(true);
    expect(names()).toEqual(['dir/file']);
    expect(asked('uploadType=multipart')).toHaveLength((SIZE - 17 - at) / PART + 1);
  });

  test('is nothing to go on from when a component is gone, or another, and is cleared away then', async () => {
    for (const spoil of ['remove', 'change'] as const) {
      const { handle, writes, emulator, names } = await broken();
      const [name = ''] = names();
      if (spoil === 'remove') emulator.store.buckets.get(BUCKET)?.objects.delete(name);
      else store(emulator, name, randomBytes(PART));
      expect(await writes().partial('/dir/file', { key: KEY, handle, signal: never })).toBeUndefined();
      expect(names()).toEqual([]);
    }
  });

  test('is claimed by one, and cleared away by who does not want it', async () => {
    const { handle, writes, names } = await broken();
    const all = writes();
    const call = { key: KEY, handle, signal: never };
    const first = await all.partial('/dir/file', call);
    expect(await all.partial('/dir/file', call)).toBeUndefined();
    await first?.release(true);
    expect(names().length).toBeGreaterThan(0);
    await (await all.partial('/dir/file', call))?.release(false);
    expect(names()).toEqual([]);
  });

  test.each(['components', 'components x 1000 1 00000000', 'components ../../../a 1000 1 00000000'])(
    'S1 is not looked for by a handle that makes no sense: %s',
    async (handle) => {
      const { writes, asked } = await scene();
      expect(await writes().partial('/dir/file', { key: KEY, handle, signal: never })).toBeUndefined();
      expect(asked('')).toEqual([]);
    },
  );
});

describe('one stream is used', () => {
  test.each([
    [
      'where a bucket keeps what is stored',
      { retentionPolicy: { retentionPeriod: '1' } },
      'keeps what is stored',
    ],
    ['where objects are held', { defaultEventBasedHold: true }, 'keeps what is stored'],
    ['where removing costs', { storageClass: 'NEARLINE' }, 'class NEARLINE'],
  ])('%s, and that is said once', async (_, bucket, reason) => {
    const { write, stored, warnings, asked } = await scene({ bucket });
    await write();
    expect(stored()?.equals(CONTENT)).toBe(true);
    expect(asked('/compose')).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining(reason)]);
  });

  test('where the bucket cannot be looked at', async () => {
    const fault = { method: 'GET', match: `b/${BUCKET}`, status: 403, reason: 'forbidden' };
    const { write, warnings, asked } = await scene({ faults: [fault] });
    await write();
    expect(asked('/compose')).toEqual([]);
    expect(warnings).toHaveLength(1);
  });

  test('for small objects and those of unknown size', async () => {
    const { writes, bytes, call, asked } = await scene();
    for (const size of [PART, undefined]) {
      const content = CONTENT.subarray(0, PART);
      const staged = await writes().write('/dir/small', bytes(content), call({ size }));
      await staged.commit(never);
    }
    expect(asked('/compose')).toEqual([]);
  });
});

test('BRIDLE_GS_PARALLEL is a small number, or nothing', () => {
  expect(gsSettings({})).toBeUndefined();
  expect(gsSettings({ BRIDLE_GS_PARALLEL: 'off' })).toBeUndefined();
  expect(gsSettings({ BRIDLE_GS_PARALLEL: '8' })).toEqual({ parallel: 8 });
  for (const word of ['17', 'yes', '-1'])
    expect(() => gsSettings({ BRIDLE_GS_PARALLEL: word })).toThrow(TransferError);
});

test('CRC32C of two pieces is that of both together', async () => {
  for (const [one, other] of [
    [0, 5],
    [5, 0],
    [1, 1],
    [1000, 1],
    [3, 70_000],
    [70_000, 65_536],
  ] as const) {
    const [first, second] = [randomBytes(one), randomBytes(other)];
    const [a, b] = [await crc32c(first), await crc32c(second)];
    const whole = await crc32c(Buffer.concat([first, second]));
    expect(combineCrc32c(Number.parseInt(a, 16), Number.parseInt(b, 16), other)).toBe(
      Number.parseInt(whole, 16),
    );
  }
});

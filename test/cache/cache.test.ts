import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { type Cache, type CacheOptions, openCache } from '../../src/cache/cache.ts';
import type { Wanted } from '../../src/cache/fill.ts';
import { readContent } from '../../src/cache/read.ts';
import { systemClock } from '../../src/clock.ts';
import { TransferError } from '../../src/errors.ts';
import { writerId } from '../../src/local/writer.ts';
import type { Bytes } from '../../src/protocol.ts';
import { scratch, virtualClock } from '../faults/scene.ts';

const CONTENT = randomBytes(3 * 1024 * 1024 + 17);
const HEX = createHash('sha256').update(CONTENT).digest('hex');
const NAME = `sha256-${HEX}`;
const SUBJECT = { digest: { algorithm: 'sha256', value: HEX } } as const;
const { signal } = new AbortController();
/** A process that cannot be alive: pid 1 did not start at tick 0xdead. */
const DEAD = `${writerId().slice(0, 8)}-00000001-00000000dead`;
/** One of a machine that nothing is known of. */
const FOREIGN = '00000000-00000001-00000000beef';

function open(directory: string, options: Partial<CacheOptions> = {}): Cache {
  const bounds = { mostBytes: 1e12, mostAge: 1e12 };
  return openCache({ directory, bounds, clock: systemClock, patience: 60_000, ...options });
}

/** What is wanted, and from where on it was asked for. */
function wanted<M extends Partial<Wanted> = Record<never, never>>(content: Uint8Array = CONTENT, more?: M) {
  const value = createHash('sha256').update(content).digest('hex');
  const fetch = vi.fn(async (start: number): Promise<Bytes> => pieces(content.subarray(start)));
  return { subject: { digest: { algorithm: 'sha256' as const, value } }, name: 'it', fetch, ...(more as M) };
}

async function* pieces(content: Uint8Array): Bytes {
  for (let at = 0; at < content.length; at += 1024 * 1024) yield content.subarray(at, at + 1024 * 1024);
}

async function* broken(content: Uint8Array): Bytes {
  yield content;
  throw new TransferError('unavailable', 'the line broke');
}

async function obtained(cache: Cache, what: Wanted) {
  const content = await cache.obtain(what, { signal });
  const chunks: Uint8Array[] = [];
  for await (const chunk of readContent(content, { signal }).bytes) chunks.push(Buffer.from(chunk));
  content.close();
  // Comparing megabytes element by element would take minutes.
  return { by: content.by, isWhole: Buffer.concat(chunks).equals(CONTENT), path: content.path };
}

/** A claim with what `holder` has fetched so far. */
function claimed(directory: string, holder: string, bytes: Uint8Array): string {
  const folder = join(directory, 'claims', NAME);
  fs.mkdirSync(folder, { recursive: true });
  const path = join(folder, `${holder}.part`);
  fs.writeFileSync(path, bytes);
  return path;
}

/** Whatever is there beside whole files and their notes. */
function leftovers(directory: string): readonly string[] {
  return ['claims', 'new'].flatMap((name) => fs.readdirSync(join(directory, name)));
}

describe('content', () => {
  test('is fetched once, and then there for everybody who opens the cache', async () => {
    const directory = join(scratch(), 'cache');
    const what = wanted();
    const cache = open(directory);
    expect(await obtained(cache, what)).toMatchObject({ by: 'fetch', isWhole: true });
    expect(await obtained(open(directory), what)).toMatchObject({ by: 'cache', isWhole: true });
    expect(what.fetch.mock.calls.map(([start]) => start)).toEqual([0]);
    expect(leftovers(directory)).toEqual([]);
    expect(fs.readFileSync(join(directory, 'CACHEDIR.TAG'), 'latin1')).toMatch(/^Signature: 8a477f/);
  });

  test('L13 is fetched once when many want it at a time', async () => {
    const directory = scratch();
    const what = wanted();
    const all = await Promise.all(
      Array.from({ length: 20 }, () => obtained(open(join(directory, 'cache')), what)),
    );
    expect(what.fetch).toHaveBeenCalledTimes(1);
    expect(all.every(({ isWhole }) => isWhole)).toBe(true);
    expect(all.map(({ by }) => by).sort()).toEqual(['fetch', ...Array(19).fill('wait')].sort());
  });

  test('that a key makes is kept under the key, with its sha256', async () => {
    const cache = open(scratch());
    const what = wanted(CONTENT, { subject: { key: 'an archive of this and that' } });
    const made = await cache.obtain(what, { signal });
    expect(made).toMatchObject({ by: 'fetch', size: CONTENT.length, digest: SUBJECT.digest });
    made.close();
    const found = cache.find({ key: 'an archive of this and that' });
    expect(found).toMatchObject({ by: 'cache', digest: SUBJECT.digest });
    found?.close();
    expect(cache.find({ key: 'another' })).toBeUndefined();
  });

  test('P2 of another digest than wanted is not kept, and what was asked for is named', async () => {
    const directory = scratch();
    const wrong = wanted(CONTENT, { fetch: async () => pieces(Buffer.from('something else')) });
    await expect(obtained(open(directory), wrong)).rejects.toMatchObject({
      code: 'digest-mismatch',
      message: expect.stringContaining(`expected sha256 ${HEX}, got`),
    });
    expect(fs.readdirSync(join(directory, 'content'))).toEqual([]);
    expect(await obtained(open(directory), wanted())).toMatchObject({ by: 'fetch', isWhole: true });
  });

  test.each([
    ['fewer', CONTENT.length + 1],
    ['more', CONTENT.length - 1],
  ])('P2 of %s bytes than declared is not kept', async (_, size) => {
    const directory = scratch();
    await expect(obtained(open(directory), wanted(CONTENT, { size }))).rejects.toMatchObject({
      code: 'size-mismatch',
    });
    expect(fs.readdirSync(join(directory, 'content'))).toEqual([]);
  });

  test('that somebody wrote to, through a hard link of it, is fetched again', async () => {
    const directory = scratch();
    const cache = open(directory);
    const { path } = await obtained(cache, wanted());
    fs.linkSync(path, join(directory, 'link'));
    fs.chmodSync(join(directory, 'link'), 0o644);
    expect((await obtained(cache, wanted())).by).toBe('cache');
    const fd = fs.openSync(join(directory, 'link'), 'r+');
    fs.writeSync(fd, 'x', 5);
    fs.closeSync(fd);
    expect(await obtained(cache, wanted())).toMatchObject({ by: 'fetch', isWhole: true });
  });

  test('S3 that is a link somebody planted is replaced, and what it led to is not read', async () => {
    const directory = scratch();
    const cache = open(directory);
    fs.writeFileSync(join(directory, 'secret'), 'not yours');
    fs.symlinkSync(join(directory, 'secret'), join(directory, 'content', NAME));
    expect(await obtained(cache, wanted())).toMatchObject({ by: 'fetch', isWhole: true });
    expect(fs.readFileSync(join(directory, 'secret'), 'utf8')).toBe('not yours');
  });

  test('that is dropped while somebody reads it is read to its end', async () => {
    const cache = open(scratch());
    const content = await cache.obtain(wanted(), { signal });
    expect(cache.prune({ mostBytes: 0 })).toEqual({ files: 1, bytes: CONTENT.length });
    const source = readContent(content, { signal, range: { start: 10 } });
    let count = 0;
    for await (const chunk of source.bytes) count += chunk.length;
    await source.confirm?.();
    content.close();
    expect(count).toBe(CONTENT.length - 10);
    expect((await obtained(cache, wanted())).by).toBe('fetch');
  });
});

describe('what a fetch that broke off has left', () => {
  test('P4 goes on where it was, by whoever comes next', async () => {
    const cache = open(scratch());
    const half = CONTENT.subarray(0, 1_500_000);
    await expect(obtained(cache, wanted(CONTENT, { fetch: async () => broken(half) }))).rejects.toMatchObject(
      { code: 'unavailable', message: expect.stringContaining('the line broke') },
    );
    const what = wanted();
    expect(await obtained(cache, what)).toMatchObject({ by: 'fetch', isWhole: true });
    expect(what.fetch.mock.calls.map(([start]) => start)).toEqual([half.length]);
  });

  test('L10 goes on where it was, when its process was killed', async () => {
    const directory = scratch();
    const cache = open(directory);
    claimed(directory, DEAD, CONTENT.subarray(0, 777));
    const what = wanted();
    expect((await obtained(cache, what)).isWhole).toBe(true);
    expect(what.fetch.mock.calls.map(([start]) => start)).toEqual([777]);
    expect(leftovers(directory)).toEqual([]);
  });

  test.each([
    ['other bytes', randomBytes(1000)],
    ['more bytes than there are', Buffer.concat([CONTENT, Buffer.from('and more')])],
  ])('P2 is begun again when it holds %s', async (_, left) => {
    const directory = scratch();
    const cache = open(directory);
    claimed(directory, DEAD, left);
    const what = wanted(CONTENT, { size: CONTENT.length });
    expect((await obtained(cache, what)).isWhole).toBe(true);
    expect(what.fetch.mock.calls.at(-1)?.[0]).toBe(0);
  });

  test('F6 is begun again when the other side cannot go on', async () => {
    const directory = scratch();
    const cache = open(directory);
    claimed(directory, DEAD, CONTENT.subarray(0, 1000));
    const fetch = vi.fn(async (start: number) => {
      if (start > 0) throw new TransferError('range-ignored', 'the whole or nothing');
      return pieces(CONTENT);
    });
    expect((await obtained(cache, wanted(CONTENT, { fetch }))).isWhole).toBe(true);
  });

  test('is begun again by what cannot begin anywhere else', async () => {
    const directory = scratch();
    const cache = open(directory);
    claimed(directory, DEAD, CONTENT.subarray(0, 1000));
    const what = wanted(CONTENT, { wholly: true });
    expect((await obtained(cache, what)).isWhole).toBe(true);
    expect(what.fetch.mock.calls.map(([start]) => start)).toEqual([0]);
  });

  test('is continued in a file of its own when its process was of another container: that may not be dead', async () => {
    const directory = scratch();
    const cache = open(directory);
    const path = claimed(directory, FOREIGN, CONTENT.subarray(0, 1000));
    const old = new Date(Date.now() - 3600_000);
    fs.utimesSync(path, old, old);
    const fd = fs.openSync(path, 'r+');
    const what = wanted();
    const { path: kept } = await obtained(cache, what);
    fs.writeSync(fd, 'late', 0);
    fs.closeSync(fd);
    expect(fs.readFileSync(kept).equals(CONTENT)).toBe(true);
    expect(what.fetch.mock.calls.map(([start]) => start)).toEqual([1000]);
  });
});

describe('waiting for another process', () => {
  test('P7 ends when no byte comes from it: this one fetches for itself', async () => {
    const directory = scratch();
    const cache = open(directory, { clock: virtualClock(), patience: 60_000 });
    const path = claimed(directory, writerId(), CONTENT.subarray(0, 1000));
    expect((await obtained(cache, wanted())).isWhole).toBe(true);
    expect(fs.readFileSync(path)).toHaveLength(1000);
    expect(fs.readdirSync(join(directory, 'new'))).toEqual([]);
  });

  test('P8 ends when it is called off', async () => {
    const directory = scratch();
    const cache = open(directory);
    claimed(directory, writerId(), CONTENT.subarray(0, 1000));
    const controller = new AbortController();
    const seen: number[] = [];
    const onBytes = (bytes: number) => {
      seen.push(bytes);
      controller.abort();
    };
    await expect(cache.obtain(wanted(), { signal: controller.signal, onBytes })).rejects.toMatchObject({
      code: 'canceled',
    });
    expect(seen).toEqual([1000]);
  });
});

describe('keeping to bounds', () => {
  const parts = ['a', 'b', 'c'].map((text) => Buffer.from(text.repeat(1000)));

  test('drops what was not used for longest', async () => {
    const directory = scratch();
    const cache = open(directory, { bounds: { mostBytes: 2500, mostAge: 1e12 } });
    for (const [at, part] of parts.entries()) {
      const { path } = await obtained(cache, wanted(part));
      const used = new Date(Date.now() - 100_000 + at * 1000);
      fs.utimesSync(`${path}.json`, used, used);
    }
    expect((await obtained(cache, wanted(parts[0]))).by).toBe('cache');
    cache.close();
    const again = open(directory);
    const [one, other, third] = parts.map((part) => again.find(wanted(part).subject)?.close());
    expect([one, third]).toEqual([undefined, undefined]);
    expect(other).toBeUndefined();
    expect((await obtained(again, wanted(parts[0]))).by).toBe('cache');
    expect((await obtained(again, wanted(parts[2]))).by).toBe('cache');
    expect((await obtained(again, wanted(parts[1]))).by).toBe('fetch');
  });

  test('P9 drops what nobody used for too long, and what broken off fetches have left by then', async () => {
    const directory = scratch();
    const cache = open(directory);
    await obtained(cache, wanted(parts[0]));
    claimed(directory, DEAD, CONTENT.subarray(0, 1000));
    fs.mkdirSync(join(directory, 'new', `${DEAD}-1`));
    expect(cache.prune({ mostAge: 3600_000 })).toEqual({ files: 0, bytes: 0 });
    expect(leftovers(directory)).toEqual([NAME]);
    const later = open(directory, { clock: { ...systemClock, epoch: () => Date.now() + 7200_000 } });
    expect(later.prune({ mostAge: 3600_000 })).toEqual({ files: 1, bytes: 1000 });
    expect(leftovers(directory)).toEqual([]);
    expect(fs.readdirSync(join(directory, 'content'))).toEqual([]);
  });

  test('leaves alone what a process that lives is fetching', () => {
    const directory = scratch();
    const cache = open(directory);
    const path = claimed(directory, writerId(), CONTENT.subarray(0, 1000));
    cache.prune({ mostBytes: 0, mostAge: -1 });
    expect(fs.existsSync(path)).toBe(true);
  });
});

describe('a directory', () => {
  test('S12 that others can write to is no cache', () => {
    const directory = scratch();
    fs.chmodSync(directory, 0o777);
    expect(() => open(directory)).toThrow(/expected a directory that this user alone can write to/);
  });

  test('S3 that is a link is no cache', () => {
    const directory = scratch();
    fs.mkdirSync(join(directory, 'real'));
    fs.symlinkSync('real', join(directory, 'link'));
    expect(() => open(join(directory, 'link'))).toThrow(/expected a directory/);
  });
});

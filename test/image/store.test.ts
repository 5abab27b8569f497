import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type MadeImage, type MemoryRegistry, putImage } from '../../fixtures/misbehaving/registry.ts';
import type { Clock } from '../../src/clock.ts';
import { storeLayers } from '../../src/image/blob-store.ts';
import { keepImage } from '../../src/image/keep.ts';
import { writerId } from '../../src/local/writer.ts';
import { never } from '../http/scripted.ts';
import { closeScene, collect, find, refusalOf, registry } from './scene.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bridle-store-'));
});
afterEach(async () => {
  await closeScene();
  rmSync(directory, { recursive: true, force: true });
});

const at = (...names: string[]) => join(directory, ...names);
const hexOf = (digest: string) => digest.slice('sha256:'.length);
/** Random, so that gzip leaves it long. */
const LAYERS = [1, 2, 3, 4].map((seed) =>
  Buffer.from(Array.from({ length: 4000 }, (_, at) => (at * at * seed + (at >> 3)) % 251)),
);
const clock: Clock = { now: () => 0, epoch: () => 0, sleep: async () => undefined };
/** A writer of this machine that is gone. */
const DEAD = `${writerId().slice(0, 8)}-7fffffff-000000000001`;

const put = (host: MemoryRegistry): MadeImage => putImage(host, { repository: 'a/b', tag: '1' }, LAYERS);
const store = (
  image: Awaited<ReturnType<typeof find>>['image'],
  onResume?: (digest: string, start: number) => void,
) => storeLayers(image.layers, { directory, signal: never, clock, ...(onResume ? { onResume } : {}) });

describe('layers that are fetched into a directory', () => {
  test('are there under their digests, and nothing else is', async () => {
    const host = await registry();
    const made = put(host);
    const { image } = await find(`${host.authority}/a/b:1`);
    const layers = await store(image);
    expect(readdirSync(at('sha256')).sort()).toEqual(made.layers.map(hexOf).sort());
    for (const [index, layer] of layers.entries()) {
      expect(await collect(await layer.read(never))).toEqual(gzipSync(LAYERS[index]!));
    }
    const asked = host.asked.length;
    await store(image);
    expect(host.asked).toHaveLength(asked);
  });

  test('are not more than three at a time', async () => {
    const waiting: (() => void)[] = [];
    let most = 0;
    const host = await registry(({ url }, response) => {
      const digest = made.layers.find((layer) => url.endsWith(layer));
      if (digest === undefined) return false;
      waiting.push(() => response.end(host.blobs.get(digest)));
      most = Math.max(most, waiting.length);
      // The fourth would come before any of three is answered.
      if (waiting.length === 3 || host.asked.filter((one) => one.url.includes('/blobs/')).length === 5) {
        for (const answer of waiting.splice(0)) answer();
      }
      return true;
    });
    const made = put(host);
    const { image } = await find(`${host.authority}/a/b:1`);
    await store(image);
    expect(most).toBe(3);
  });

  test('P4 F2 go on where they broke off, as often as that brings something', async () => {
    const host = await registry(({ url, range }, response) => {
      const digest = made.layers.find((layer) => url.endsWith(layer));
      if (digest === undefined) return false;
      const blob = host.blobs.get(digest)!;
      const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
      if (start + 100 >= blob.length) return false;
      const headers = {
        'content-length': blob.length - start,
        'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}`,
      };
      response.writeHead(start === 0 ? 200 : 206, headers);
      response.write(blob.subarray(start, start + 100), () => response.destroy());
      return true;
    });
    const made = put(host);
    const { image } = await find(`${host.authority}/a/b:1`);
    const [first] = await store(image);
    expect(await collect(await first!.read(never))).toEqual(gzipSync(LAYERS[0]!));
  });

  test('P6 of which one brings nothing again and again are given up', async () => {
    const host = await registry(({ url }, response) => {
      if (!made.layers.some((layer) => url.endsWith(layer))) return false;
      response.destroy();
      return true;
    });
    const made = put(host);
    const { image } = await find(`${host.authority}/a/b:1`);
    expect(await refusalOf(store(image))).toMatch(/^unavailable: /);
  });

  test('P4 L10 go on behind what a killed run left, which is compared with the rest', async () => {
    const host = await registry();
    const made = put(host);
    const { image } = await find(`${host.authority}/a/b:1`);
    mkdirSync(at('sha256'));
    const [first = '', second = ''] = made.layers;
    const left = (digest: string, bytes: Uint8Array) =>
      writeFileSync(at('sha256', `${hexOf(digest)}.${DEAD}.part`), bytes);
    left(first, host.blobs.get(first)!.subarray(0, 50));
    left(second, Buffer.alloc(50, 'wrong'));
    const resumed: [string, number][] = [];
    const told = (digest: string, start: number) => resumed.push([digest, start]);
    await store(image, told);
    expect(host.asked.filter(({ range }) => range === 'bytes=50-')).toHaveLength(2);
    expect(resumed.sort()).toEqual([first, second].map((digest) => [digest, 50]).sort());
    // What was wrong was fetched again from its beginning.
    expect(host.asked.filter(({ url }) => url.endsWith(second))).toHaveLength(2);
    expect(host.asked.filter(({ url }) => url.endsWith(first))).toHaveLength(1);
    expect(readdirSync(at('sha256')).sort()).toEqual(made.layers.map(hexOf).sort());
  });

  test('L13 are not taken from a process that still writes them', async () => {
    const host = await registry();
    const made = put(host);
    const { image } = await find(`${host.authority}/a/b:1`);
    mkdirSync(at('sha256'));
    const [machine] = writerId().split('-');
    const other = `${machine}-${process.ppid.toString(16).padStart(8, '0')}-${startOf(process.ppid)}`;
    const path = at('sha256', `${hexOf(made.layers[0]!)}.${other}.part`);
    writeFileSync(path, 'of another');
    await store(image);
    expect(readFileSync(path, 'utf8')).toBe('of another');
  });
});

/** As proc(5) tells it, in the form that names of partials have. */
function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
    .toString(16)
    .padStart(12, '0');
}

describe('an image that is kept', () => {
  test('P1 P9 as an archive is there whole, and its layers lie nowhere else', async () => {
    const host = await registry();
    const made = put(host);
    const { image } = await find(`${host.authority}/a/b:1`);
    const call = { path: at('a.tar'), format: 'hybrid', spool: at('spool'), signal: never } as const;
    const size = await keepImage(image, call);
    expect(readFileSync(at('a.tar'))).toHaveLength(size);
    expect(readdirSync(at('spool/sha256'))).toEqual([]);
    host.blobs.set(made.layers[2]!, Buffer.from('wrong'));
    expect(await refusalOf(keepImage(image, { ...call, path: at('b.tar') }))).toContain('size-mismatch');
    expect(existsSync(at('b.tar'))).toBe(false);
  });

  test('P9 leaves nothing of killed runs in the spool for longer than a week', async () => {
    const host = await registry();
    put(host);
    const { image } = await find(`${host.authority}/a/b:1`);
    mkdirSync(at('spool/sha256'), { recursive: true });
    for (const [name, age] of [
      ['a'.repeat(64), 8],
      [`${'b'.repeat(64)}.${DEAD}.part`, 8],
      ['c'.repeat(64), 6],
    ] as const) {
      const path = at('spool/sha256', name);
      writeFileSync(path, 'x');
      utimesSync(path, Date.now() / 1000 - age * 86_400, Date.now() / 1000 - age * 86_400);
    }
    await keepImage(image, { path: at('a.tar'), format: 'oci-archive', spool: at('spool'), signal: never });
    expect(readdirSync(at('spool/sha256'))).toEqual(['c'.repeat(64)]);
  });

  test('as a directory keeps the layers that are there, and is no image before all are', async () => {
    const host = await registry();
    const made = put(host);
    const { image } = await find(`${host.authority}/a/b:1`);
    const call = { path: at('layout'), format: 'oci', spool: at('spool'), signal: never } as const;
    const kept = host.blobs.get(made.layers[3]!)!;
    host.blobs.set(made.layers[3]!, Buffer.alloc(kept.length));
    expect(await refusalOf(keepImage(image, call))).toContain('digest-mismatch');
    expect(existsSync(at('layout/index.json'))).toBe(false);
    host.blobs.set(made.layers[3]!, kept);
    await keepImage(image, call);
    expect(existsSync(at('layout/index.json'))).toBe(true);
    const blobs = made.layers.map((digest) => at(`layout/blobs/${digest.replace(':', '/')}`));
    expect(blobs.filter((path) => !existsSync(path))).toEqual([]);
    writeFileSync(at('other'), '');
    expect(await refusalOf(keepImage(image, { ...call, path: directory }))).toContain('already-exists');
  });
});

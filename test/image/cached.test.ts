import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import type { ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Asked, type MemoryRegistry, putImage } from '../../fixtures/misbehaving/registry.ts';
import { bridle, ended, scratch, start } from '../commands/run-command.ts';
import { ageSeals } from './age-seals.ts';
import { closeScene, registry } from './scene.ts';

afterEach(closeScene);

const MIB = 1024 * 1024;
const LAYERS = [1, 2, 3].map(() => randomBytes(MIB + 17));
const UNTOUCHED = new Date(Date.UTC(2000, 0, 1));

async function scene(misbehave?: (asked: Asked, response: ServerResponse) => boolean) {
  const started = await registry(misbehave);
  const made = putImage(started, { repository: 'a/b', tag: '1' }, LAYERS);
  const cwd = scratch();
  const pull = (file: string, ...more: string[]) =>
    bridle(
      ['image', 'pull', '-q', '--cache', 'cache', ...more, `docker://${started.authority}/a/b:1`, file],
      {
        cwd,
      },
    );
  return { ...started, made, cwd, pull, at: (name: string) => join(cwd, name) };
}

/** Digests of the blobs that were asked for, as often as they were. */
function blobsAsked({ asked }: Pick<MemoryRegistry, 'asked'>): readonly string[] {
  return asked.flatMap(({ url }) => /\/blobs\/(sha256:[0-9a-f]{64})$/.exec(url)?.[1] ?? []).sort();
}

function contentOf(cwd: string, kind: string): string {
  const found = readdirSync(join(cwd, 'cache/content')).find((name) => name.startsWith(kind));
  return join(cwd, 'cache/content', found?.replace(/\.json$/, '') ?? 'nothing');
}

/** Changes a file of the cache so that its time and size tell nothing, more than a week after it was compared. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 1;
  chmodSync(path, 0o600);
  writeFileSync(path, bytes);
  utimesSync(path, UNTOUCHED, UNTOUCHED);
  ageSeals(dirname(dirname(path)));
}

describe('an image that is pulled through the cache', () => {
  test('asks for no blob the second time, and is the same file under another name', async () => {
    const { pull, at, made, ...host } = await scene();
    expect(await pull('a.tar')).toMatchObject({ status: 0, stderr: '' });
    const first = blobsAsked(host);
    expect(first).toEqual([...made.layers, made.config].sort());
    expect(await pull('b.tar')).toMatchObject({ status: 0, stderr: '' });
    expect(blobsAsked(host)).toEqual(first);
    expect(statSync(at('b.tar')).ino).toBe(statSync(at('a.tar')).ino);
    await bridle(['image', 'pull', '-q', `${host.authority}/a/b:1`, 'c.tar'], { cwd: at('.') });
    expect(readFileSync(at('c.tar')).equals(readFileSync(at('a.tar')))).toBe(true);
  });

  test('shares its layers with other formats and images', async () => {
    const { pull, at, made, ...host } = await scene();
    await pull('a.tar');
    expect(await pull('layout', '--format', 'oci')).toMatchObject({ status: 0 });
    expect(await pull('docker.tar', '--format', 'docker-archive')).toMatchObject({ status: 0 });
    putImage(host, { repository: 'a/b', tag: '1' }, [...LAYERS.slice(0, 2), randomBytes(1000)]);
    const before = blobsAsked(host);
    expect(before).toHaveLength(made.layers.length + 1);
    expect(await pull('other.tar')).toMatchObject({ status: 0 });
    // The layer and the configuration that are new.
    expect(blobsAsked(host)).toHaveLength(before.length + 2);
    expect(existsSync(at('layout/index.json'))).toBe(true);
  });

  test('L13 is fetched once by eight processes at a time', async () => {
    const { pull, at, made, ...host } = await scene();
    const all = await Promise.all(Array.from({ length: 8 }, (_, index) => pull(`${index}.tar`)));
    expect(all.map(({ status, stderr }) => [status, stderr])).toEqual(Array(8).fill([0, '']));
    expect(blobsAsked(host)).toEqual([...made.layers, made.config].sort());
    const kept = readFileSync(at('0.tar'));
    for (let index = 1; index < 8; index += 1) {
      expect(readFileSync(at(`${index}.tar`)).equals(kept)).toBe(true);
    }
  }, 60_000);

  test('L10 L13 goes on where a killed process was', async () => {
    // Of every layer the first answer stops in the middle, until whoever asked is dead.
    const held = new Set<string>();
    const holding: ServerResponse[] = [];
    let sent = 0;
    let sizeOf: (url: string) => Buffer | undefined = () => undefined;
    const { pull, cwd, made, ...host } = await scene((asked, response) => {
      const blob = sizeOf(asked.url);
      if (!blob || blob.length < MIB) return false;
      const from = Number(/bytes=(\d+)-/.exec(asked.range ?? '')?.[1] ?? 0);
      if (held.has(asked.url)) {
        sent += blob.length - from;
        return false;
      }
      held.add(asked.url);
      sent += MIB / 2;
      response.writeHead(200, { 'content-length': blob.length });
      response.write(blob.subarray(0, MIB / 2));
      holding.push(response);
      return true;
    });
    sizeOf = (url) => host.blobs.get(/\/blobs\/(sha256:.*)$/.exec(url)?.[1] ?? '');
    const name = `docker://${host.authority}/a/b:1`;
    const holder = start(['image', 'pull', '-q', '--cache', 'cache', name, 'dead.tar'], { cwd });
    const end = ended(holder);
    const claimed = () =>
      made.layers.filter((digest) => {
        const folder = join(cwd, 'cache/claims', digest.replace(':', '-'));
        const [part] = existsSync(folder) ? readdirSync(folder) : [];
        return part !== undefined && statSync(join(folder, part)).size === MIB / 2;
      });
    await expect.poll(() => claimed().length, { timeout: 20_000 }).toBe(3);
    const waiting = ['a.tar', 'b.tar'].map((file) => pull(file));
    holder.kill('SIGKILL');
    expect((await end).status).toBe('SIGKILL');
    for (const response of holding) response.destroy();
    const both = await Promise.all(waiting);
    expect(both.map(({ status, stderr }) => [status, stderr])).toEqual(Array(2).fill([0, '']));
    const total = LAYERS.reduce((sum, { length }) => sum + length, 0);
    expect(sent).toBeLessThanOrEqual(total * 1.1);
    expect(existsSync(join(cwd, 'dead.tar'))).toBe(false);
    expect(await bridle(['image', 'verify', '-q', 'a.tar', name], { cwd })).toMatchObject({ status: 0 });
  }, 60_000);

  test('S8 whose archive was damaged in the cache is made anew from its layers', async () => {
    const { pull, at, cwd, made, ...host } = await scene();
    await pull('a.tar', '--format', 'docker-archive');
    const whole = readFileSync(at('a.tar'));
    damage(contentOf(cwd, 'made-'));
    expect(await pull('b.tar', '--format', 'docker-archive')).toMatchObject({ status: 0 });
    expect(readFileSync(at('b.tar')).equals(whole)).toBe(true);
    expect(blobsAsked(host)).toHaveLength(made.layers.length + 1);
  });

  test('S8 whose layer was damaged in the cache fetches that one again', async () => {
    const { pull, at, cwd, made, ...host } = await scene();
    await pull('a.tar');
    damage(contentOf(cwd, `sha256-${made.layers[1]!.slice(7)}`));
    expect(await pull('b.tar', '--format', 'docker-archive')).toMatchObject({ status: 0 });
    expect(blobsAsked(host)).toEqual([...made.layers, made.layers[1], made.config].sort());
    expect(await bridle(['image', 'verify', '-q', at('b.tar')], { cwd })).toMatchObject({ status: 0 });
  });

  test('L4 that somebody wrote to through its link is no longer what the cache has', async () => {
    const { pull, at } = await scene();
    await pull('a.tar');
    const whole = readFileSync(at('a.tar'));
    chmodSync(at('a.tar'), 0o644);
    writeFileSync(at('a.tar'), 'x', { flag: 'a' });
    expect(await pull('b.tar')).toMatchObject({ status: 0 });
    expect(readFileSync(at('b.tar')).equals(whole)).toBe(true);
    expect(statSync(at('b.tar')).ino).not.toBe(statSync(at('a.tar')).ino);
  });

  test('S8 whose layer is wrong at the registry leaves nothing', async () => {
    const { pull, at, cwd, made, ...host } = await scene();
    host.blobs.set(made.layers[0]!, randomBytes(host.blobs.get(made.layers[0]!)!.length));
    const { status, stderr } = await pull('a.tar');
    expect([status, existsSync(at('a.tar'))]).toEqual([1, false]);
    expect(stderr).toContain('expected sha256');
    expect(readdirSync(join(cwd, 'cache/content')).join()).not.toContain(made.layers[0]!.slice(7));
  });

  test('P4 that breaks off goes on in the middle', async () => {
    let breaks = 2;
    const ranges: (string | undefined)[] = [];
    let blobOf: (url: string) => Buffer | undefined = () => undefined;
    const { pull, made, ...host } = await scene((asked, response) => {
      const blob = blobOf(asked.url);
      if (!blob) return false;
      ranges.push(asked.range);
      if (breaks === 0) return false;
      breaks -= 1;
      const from = Number(/bytes=(\d+)-/.exec(asked.range ?? '')?.[1] ?? 0);
      const range = from === 0 ? {} : { 'content-range': `bytes ${from}-${blob.length - 1}/${blob.length}` };
      response.writeHead(from === 0 ? 200 : 206, { 'content-length': blob.length - from, ...range });
      response.write(blob.subarray(from, from + 1000), () => response.destroy());
      return true;
    });
    blobOf = (url) => (url.endsWith(made.layers[0]!) ? host.blobs.get(made.layers[0]!) : undefined);
    expect(await pull('a.tar')).toMatchObject({ status: 0 });
    expect(ranges).toEqual([undefined, 'bytes=1000-', 'bytes=2000-']);
  });
});

describe('bridle image prune', () => {
  test('tells what it removed, whatever it was', async () => {
    const { pull, at, cwd } = await scene();
    await pull('a.tar');
    const prune = (...more: string[]) =>
      bridle(['image', 'prune', '--json', '--cache', 'cache', ...more], { cwd });
    expect(JSON.parse((await prune()).stdout)).toEqual({ cache: at('cache'), files: 0, bytes: 0 });
    const layers = LAYERS.reduce((sum, { length }) => sum + length, 0);
    const told = JSON.parse((await prune('--cache-size', '0')).stdout);
    // Layers, the configuration and the archive.
    expect(told).toMatchObject({ files: LAYERS.length + 2 });
    expect(told.bytes).toBeGreaterThan(2 * layers);
    expect(readdirSync(at('cache/content'))).toEqual([]);
    expect(existsSync(at('a.tar'))).toBe(true);
  });

  test('without a cache is wrong usage', async () => {
    const { status, stderr } = await bridle(['image', 'prune'], { cwd: scratch() });
    expect(status).toBe(2);
    expect(stderr).toContain('--cache: expected a directory, got none');
  });
});

describe('an image that is copied through the cache', () => {
  test('asks for no blob the second time, by `cp` and by lists', async () => {
    const { cwd, at, made, ...host } = await scene();
    const url = `docker://${host.authority}/a/b:1`;
    const first = await bridle(['cp', '-q', '--cache', 'cache', url, 'a.tar'], { cwd });
    expect(first).toMatchObject({ status: 0, stderr: '' });
    const asked = [...made.layers, made.config].sort();
    expect(blobsAsked(host)).toEqual(asked);
    const list = JSON.stringify([
      {
        type: 'transfer',
        lfn: 'b',
        src_urls: [{ site_label: 'local', url }],
        dest_urls: [{ site_label: 'local', url: `file://${cwd}/b.tar`, type: 'docker' }],
      },
    ]);
    const env = { BRIDLE_CACHE: at('cache') };
    const second = await bridle([], { cwd, program: 'pegasus-transfer', input: list, env });
    expect(second.status).toBe(0);
    expect(blobsAsked(host)).toEqual(asked);
    expect(readFileSync(at('b.tar')).equals(readFileSync(at('a.tar')))).toBe(true);
    expect(await bridle(['image', 'verify', '-q', 'b.tar'], { cwd })).toMatchObject({ status: 0 });
  });

  test('P1 F26 a layer of it that rots is dropped, and fetched', async () => {
    const { cwd, at, made, ...host } = await scene();
    const url = `docker://${host.authority}/a/b:1`;
    await bridle(['cp', '-q', '--cache', 'cache', url, 'a.tar'], { cwd });
    const [layer = ''] = made.layers;
    damage(at(`cache/content/${layer.replace(':', '-')}`));
    const again = await bridle(['cp', '-q', '--cache', 'cache', url, 'b.tar'], { cwd });
    expect(again.status).toBe(0);
    expect(readFileSync(at('b.tar')).equals(readFileSync(at('a.tar')))).toBe(true);
    expect(blobsAsked(host).filter((digest) => digest === layer)).toHaveLength(2);
  });
});

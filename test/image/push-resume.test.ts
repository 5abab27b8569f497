import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeContent } from '../../fixtures/misbehaving/content.ts';
import { type Asked, end, type MemoryRegistry } from '../../fixtures/misbehaving/registry.ts';
import { type FaultProxy, startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import type { Image } from '../../src/image/image.ts';
import { parseReference } from '../../src/image/reference.ts';
import { type PushCall, pushImage } from '../../src/image/registry/push.ts';
import { virtualClock } from '../faults/scene.ts';
import { makeClient } from '../http/scripted.ts';
import { makeImage, tarOf } from './busybox-image.ts';
import { closeScene, refusalOf, registry } from './scene.ts';

const PIECE = 64 * 1024;
const noise = (size: number, seed: number) => Buffer.concat([...makeContent(size, seed).blocks()]);
/** One layer of nine pieces and a bit. */
const image = makeImage({
  layers: [tarOf([{ name: 'noise', content: noise(9 * PIECE, 7) }])],
  isPlain: true,
});
const layer = image.layers[0]!.descriptor;

let folder: string;
let proxy: FaultProxy | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bridle-push-'));
});
afterEach(async () => {
  await proxy?.close();
  proxy = undefined;
  await closeScene();
  await rm(folder, { recursive: true, force: true });
});

interface Seen {
  readonly resumed: number[];
}

function push(
  at: string,
  more: Partial<PushCall> & { readonly image?: Image } = {},
): Promise<unknown> & Seen {
  const { image: made = image, ...call } = more;
  const resumed: number[] = [];
  const tools = {
    http: makeClient(),
    settings: { insecure: [], mirrors: [] },
    secretsFor: async () => ({}),
    warn: () => undefined,
  };
  const pushed = pushImage(made, parseReference(`${at}/a/b:1`), tools, {
    signal: new AbortController().signal,
    notes: folder,
    pieceBytes: PIECE,
    clock: virtualClock(),
    onResume: (_, start) => resumed.push(start),
    ...call,
  });
  return Object.assign(pushed, { resumed });
}

const patches = (host: MemoryRegistry): readonly Asked[] =>
  host.asked.filter(({ method }) => method === 'PATCH');
const sent = (host: MemoryRegistry): number =>
  host.asked.reduce((sum, { body, url }) => sum + (url.includes('/uploads/') ? body.length : 0), 0);
const isWhole = (host: MemoryRegistry) => host.blobs.get(layer.digest)?.length === layer.size;

/** A push that is ended when the registry has `pieces` pieces. */
async function brokenOff(at: string, pieces: number): Promise<void> {
  const stop = new AbortController();
  let came = 0;
  const pushed = push(at, {
    signal: stop.signal,
    onBytes(bytes) {
      came += bytes;
      if (came >= pieces * PIECE) stop.abort();
    },
  });
  expect(await refusalOf(pushed)).toMatch(/^canceled: /);
}

describe('a large blob that is pushed', () => {
  test('goes in pieces one behind the other, and then is named', async () => {
    const host = await registry();
    await push(host.authority);
    const starts = patches(host).map(({ contentRange }) => Number(contentRange?.split('-')[0]));
    expect(starts).toEqual(Array.from({ length: 10 }, (_, index) => index * PIECE));
    expect(isWhole(host)).toBe(true);
    expect([readdirSync(folder), host.uploads.size]).toEqual([[], 0]);
  });

  test('F2 P4 goes on where it was when the connection breaks', async () => {
    const host = await registry();
    proxy = await startFaultProxy({ port: Number(host.authority.split(':')[1]) });
    proxy.setRules([{ skip: 1, times: 3, break: { direction: 'up', at: 3 * PIECE + 1000, how: 'reset' } }]);
    const pushed = push(`127.0.0.1:${proxy.port}`);
    await pushed;
    expect(isWhole(host)).toBe(true);
    expect(patches(host).filter(({ isBroken }) => isBroken).length).toBeGreaterThan(0);
    // What the registry had of the broken pieces was not sent again.
    expect(sent(host)).toBeLessThan(layer.size + 4096);
    expect([pushed.resumed, readdirSync(folder), host.uploads.size]).toEqual([[], [], 0]);
  });

  test('P4 P10 goes on in a later run, with a note that this user alone can read', async () => {
    const host = await registry();
    await brokenOff(host.authority, 4);
    const [name = '', ...others] = readdirSync(folder);
    expect([others, name]).toEqual([[], expect.stringMatching(/^[0-9a-f]{32}-.*\.handle$/)]);
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(folder, name), 'utf8')).toContain('/uploads/');
    const before = patches(host).length;
    const pushed = push(host.authority);
    await pushed;
    expect(pushed.resumed).toHaveLength(1);
    expect(pushed.resumed[0]).toBeGreaterThanOrEqual(4 * PIECE);
    expect(patches(host)[before]?.contentRange).toMatch(new RegExp(`^${pushed.resumed[0]}-`));
    expect(isWhole(host)).toBe(true);
    expect([readdirSync(folder), host.uploads.size]).toEqual([[], 0]);
  });

  test('P4 begins anew where the registry has forgotten it, in a later run', async () => {
    const host = await registry();
    await brokenOff(host.authority, 4);
    host.uploads.clear();
    const pushed = push(host.authority);
    await pushed;
    expect([pushed.resumed, isWhole(host), readdirSync(folder)]).toEqual([[], true, []]);
  });

  test('P4 begins anew where the registry forgets it on the way', async () => {
    let turns = 0;
    const host = await registry(({ method }) => {
      turns += method === 'PATCH' ? 1 : 0;
      if (method === 'PATCH' && turns === 5) host.uploads.clear();
      return false;
    });
    await push(host.authority);
    expect([isWhole(host), host.uploads.size]).toEqual([true, 0]);
    expect(patches(host)).toHaveLength(15);
  });

  test('is given up where the registry forgets it again and again', async () => {
    const host = await registry(({ method }) => {
      if (method === 'PATCH') host.uploads.clear();
      return false;
    });
    expect(await refusalOf(push(host.authority))).toMatch(/^unavailable: .*the registry forgot the upload$/);
    expect(patches(host).length).toBeLessThan(10);
    expect(host.manifests.size).toBe(0);
  });

  test('P4 goes on where the registry says when it waits for other bytes (416)', async () => {
    let turns = 0;
    const host = await registry((asked, response) => {
      if (asked.method !== 'PATCH') return false;
      turns += 1;
      if (turns !== 3) return false;
      // It stores the piece, and loses its answer.
      const id = /uploads\/(\d+)/.exec(asked.url)?.[1] ?? '';
      host.uploads.set(id, Buffer.concat([host.uploads.get(id) ?? Buffer.alloc(0), asked.body]));
      end(response, 416, { range: '0-5' }, '');
      return true;
    });
    await push(host.authority);
    expect([isWhole(host), sent(host)]).toEqual([true, layer.size + image.config.bytes.length]);
  });

  test.each([400, 405, 415, 416, 501])('goes in one PUT where pieces are refused with %i', async (status) => {
    const host = await registry(({ method }, response) => {
      if (method !== 'PATCH') return false;
      end(response, status, {}, '');
      return true;
    });
    await push(host.authority);
    expect([isWhole(host), patches(host).length, host.uploads.size]).toEqual([true, 1, 0]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('goes in pieces as long as the registry wants them', async () => {
    const host = await registry(({ method, url }, response) => {
      if (method !== 'POST') return false;
      const id = `x${host.asked.length}`;
      host.uploads.set(id, Buffer.alloc(0));
      const headers = { location: url + id, 'oci-chunk-min-length': String(4 * PIECE) };
      end(response, 202, headers, '');
      return true;
    });
    await push(host.authority);
    expect(patches(host).map(({ body }) => body.length)).toEqual([
      4 * PIECE,
      4 * PIECE,
      layer.size - 8 * PIECE,
    ]);
    expect(isWhole(host)).toBe(true);
  });

  test('F12 waits as long as the registry says in the middle of it', async () => {
    let refusals = 0;
    const host = await registry(({ method, contentRange }, response) => {
      if (method !== 'PATCH' || !contentRange?.startsWith(`${2 * PIECE}-`) || refusals > 1) return false;
      refusals += 1;
      end(response, 429, { 'retry-after': '7' }, '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow"}]}');
      return true;
    });
    const clock = virtualClock();
    const began = clock.now();
    await push(host.authority, { clock });
    expect([isWhole(host), clock.now() - began >= 14_000]).toEqual([true, true]);
  });

  test('S8 is sent anew where what an earlier run left is not its beginning', async () => {
    const host = await registry();
    await brokenOff(host.authority, 4);
    for (const [id, bytes] of host.uploads) host.uploads.set(id, Buffer.alloc(bytes.length, 1));
    await push(host.authority);
    expect([isWhole(host), host.uploads.size, readdirSync(folder)]).toEqual([true, 0, []]);
  });

  test('S8 P9 that is not what it was leaves no upload and no note', async () => {
    const host = await registry();
    const wrong = makeImage({
      layers: [tarOf([{ name: 'noise', content: noise(9 * PIECE, 8) }])],
      isPlain: true,
    });
    const first = image.layers[0]!;
    const read = async (signal: AbortSignal) => {
      async function* bytes() {
        for await (const chunk of await wrong.layers[0]!.read(signal)) yield chunk;
      }
      return bytes();
    };
    const refused = await refusalOf(
      push(host.authority, { image: { ...image, layers: [{ ...first, read }] } }),
    );
    expect(refused).toContain('DIGEST_INVALID');
    expect([host.uploads.size, host.manifests.size, readdirSync(folder)]).toEqual([0, 0, []]);
  });

  test('S5 P10 shows the state of its upload in no error', async () => {
    const host = await registry(({ method, url }, response) => {
      if (method !== 'GET' || !url.includes('/uploads/')) return false;
      response.destroy();
      return true;
    });
    await brokenOff(host.authority, 2);
    const refused = await refusalOf(push(host.authority));
    expect(refused).toContain('/uploads/1');
    expect(refused).not.toContain('state=s');
    // It may still be gone on with.
    expect(readdirSync(folder)).toHaveLength(1);
  });
});

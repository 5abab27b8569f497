import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { RunningApache, RunningDav } from '../../fixtures/servers/dav.ts';
import { type FaultProxy, type FaultRule, startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { createHttpClient } from '../../src/http/client.ts';
import { isPartialName } from '../../src/partial-name.ts';
import { davEndpoint } from '../dav-subject.ts';
import { MIB, runAll, scratch, sha256, transferOf } from '../faults/scene.ts';

const never = new AbortController().signal;
const WRITE = {
  signal: never,
  key: 'c0ffee00c0ffee00c0ffee00c0ffee00',
  retry: <T>(unit: (s: AbortSignal) => Promise<T>) => unit(never),
};

let apache: RunningApache;
let nginx: RunningDav;
let proxy: FaultProxy;
beforeAll(async () => {
  [apache, nginx] = await Promise.all([startServer('apache-dav'), startServer('nginx-dav')]);
  proxy = await startFaultProxy({ port: Number(new URL(apache.http).port) });
});
afterAll(async () => {
  await proxy?.close();
  await apache?.stop();
  await nginx?.stop();
});

const serverOf = (name: string) => (name === 'nginx' ? nginx : apache);
const davUrl = (server: RunningDav, path: string) => `${server.http.replace('http', 'dav')}${path}`;

/** A directory of the servers' files that everybody may write to. */
function folder(server: RunningDav): { readonly name: string; readonly path: string } {
  const path = fs.mkdtempSync(join(server.dav, 'fault-'));
  fs.chmodSync(path, 0o777);
  return { name: path.slice(server.dav.length + 1), path };
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += MIB) yield content.subarray(at, at + MIB);
}

async function store(url: string, content: Uint8Array): Promise<void> {
  const { endpoint, path, close } = davEndpoint(url);
  try {
    await (await endpoint.write!(path, once(content), { ...WRITE, size: content.length })).commit(never);
  } finally {
    await close();
  }
}

const partialsIn = (path: string) => fs.readdirSync(path).filter(isPartialName);

describe('what is at the destination', () => {
  test.each(['apache', 'nginx'])(
    'P1 L4 %s: a directory is refused, with everything in it untouched',
    async (name) => {
      const server = serverOf(name);
      const { name: below, path } = folder(server);
      fs.mkdirSync(join(path, 'data'));
      fs.writeFileSync(join(path, 'data/precious'), 'precious');
      await expect(store(davUrl(server, `/open/${below}/data`), Buffer.from('x'))).rejects.toMatchObject({
        code: 'invalid-request',
        message: expect.stringContaining('is a directory'),
      });
      expect(fs.readFileSync(join(path, 'data/precious'), 'utf8')).toBe('precious');
      expect(partialsIn(path)).toEqual([]);
    },
  );

  test.each(['apache', 'nginx'])(
    'P1 %s: a file that others read meanwhile is the old or the new one',
    async (name) => {
      const server = serverOf(name);
      const { name: below, path } = folder(server);
      const file = join(path, 'f');
      const contents = [Buffer.alloc(2 * MIB, 'a'), Buffer.alloc(2 * MIB + 1, 'b')];
      const known = new Set(contents.map((content) => sha256(content)));
      let isWriting = true;
      const seen = new Set<string>();
      const looking = (async () => {
        while (isWriting) {
          const content = await fs.promises.readFile(file).catch(() => undefined);
          if (content) seen.add(sha256(content));
        }
      })();
      for (let round = 0; round < 6; round++) {
        await store(davUrl(server, `/open/${below}/f`), contents[round % 2] as Buffer);
      }
      isWriting = false;
      await looking;
      expect([...seen].filter((digest) => !known.has(digest))).toEqual([]);
      expect(seen.size).toBeGreaterThan(0);
    },
  );

  test('F11 a locked file is left alone, and the upload is a failure that says so', async () => {
    const { name: below, path } = folder(apache);
    const url = `/open/${below}/locked`;
    await store(davUrl(apache, url), Buffer.from('old'));
    const http = createHttpClient({ version: 'test', connectionsPerOrigin: 1, proxyEnv: {}, warn: () => {} });
    const body = Buffer.from(
      '<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>',
    );
    const locked = await http.send({
      method: 'LOCK',
      url: apache.http + url,
      body: once(body),
      size: body.length,
      signal: never,
    });
    expect(locked.status).toBe(200);
    await locked.discard();
    await http.close();
    await expect(store(davUrl(apache, url), Buffer.from('new'))).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('locked'),
    });
    const { endpoint, close } = davEndpoint(davUrl(apache, url));
    const removing = endpoint.remove!(`/open/${below}`, { signal: never, recursive: true });
    await expect(removing).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('locked'),
    });
    await close();
    expect(fs.readFileSync(join(path, 'locked'), 'utf8')).toBe('old');
    expect(partialsIn(path)).toEqual([]);
  });
});

describe('answers of a real server', () => {
  test.each([10, 3 * MIB])('307 on a PUT of %d bytes is followed, with the body', async (size) => {
    const { name: below, path } = folder(apache);
    await store(davUrl(apache, `/elsewhere/${below}/f`), Buffer.alloc(size, 7));
    expect(fs.readFileSync(join(path, 'f')).equals(Buffer.alloc(size, 7))).toBe(true);
  });

  test('a large body waits for 100 Continue, which a small one does not', async () => {
    const { name: below } = folder(apache);
    for (const size of [10, 3 * MIB])
      await store(davUrl(apache, `/open/${below}/of-${size}`), Buffer.alloc(size));
    const expected = await vi.waitFor(async () => {
      const puts = (await apache.requests()).filter((line) => line.startsWith(`PUT /open/${below}/`));
      expect(puts).toHaveLength(2);
      return puts.map((line) => line.split(' ').at(-1));
    });
    expect(expected).toEqual(['-', '100-continue']);
  });

  test('F23 413 is `no-space`, and nothing is left', async () => {
    const { name: below, path } = folder(apache);
    for (const size of [5000, 3 * MIB]) {
      const storing = store(davUrl(apache, `/small/${below}/f`), Buffer.alloc(size));
      await expect(storing).rejects.toMatchObject({ code: 'no-space' });
    }
    expect(fs.readdirSync(path)).toEqual([]);
  });

  test('a server without WebDAV is read from all the same', async () => {
    const { name: below, path } = folder(apache);
    fs.writeFileSync(join(path, 'f'), 'plain');
    const { endpoint, close } = davEndpoint(davUrl(apache, '/read/'));
    expect(await endpoint.stat(`/read/${below}/f`, { signal: never })).toMatchObject({
      type: 'file',
      size: 5,
    });
    await expect(endpoint.mkdir!(`/read/${below}/d`, { signal: never })).rejects.toMatchObject({
      code: 'unsupported',
    });
    await close();
  });
});

describe('connections that break', () => {
  const content = Buffer.alloc(6 * MIB, 'through a bad network ');
  const broken = (direction: 'up' | 'down', how: 'reset' | 'close' | 'stall', at = 2 * MIB): FaultRule => ({
    break: { direction, at, how },
  });
  const through = (path: string) => `dav://127.0.0.1:${proxy.port}${path}`;

  test.each(['reset', 'close', 'stall'] as const)(
    'F2 F4 P4 a download whose connection meets a %s goes on, and is right',
    async (how) => {
      const { name: below, path } = folder(apache);
      const old = new Date(Date.now() - 3600_000);
      fs.writeFileSync(join(path, 'f'), content);
      // A file that was just written has no strong validator at Apache, and could not be gone on with.
      fs.utimesSync(join(path, 'f'), old, old);
      const to = join(scratch(), 'f');
      proxy.setRules([broken('down', how)]);
      const { outcome } = await runAll([transferOf(through(`/open/${below}/f`), to)]);
      expect(outcome).toMatchObject({ status: 'done', bytes: content.length });
      expect(fs.readFileSync(to).equals(content)).toBe(true);
      expect(outcome.attempts).toHaveLength(1);
    },
  );

  test.each(['reset', 'close', 'stall'] as const)(
    'F2 F4 P9 an upload whose connection meets a %s is done in the next attempt, and leaves nothing',
    async (how) => {
      const { name: below, path } = folder(apache);
      const from = join(scratch(), 'f');
      fs.writeFileSync(from, content);
      proxy.setRules([broken('up', how)]);
      const { outcome } = await runAll([transferOf(from, through(`/open/${below}/new/f`))], {
        http: { timeouts: { firstByte: 2, stall: 1 } },
      });
      expect(outcome).toMatchObject({ status: 'done', bytes: content.length });
      expect(fs.readFileSync(join(path, 'new/f')).equals(content)).toBe(true);
      expect(partialsIn(join(path, 'new'))).toEqual([]);
    },
  );

  test('F26 a byte that was flipped on the way is found by the expected digest, and the next attempt is right', async () => {
    const { name: below, path } = folder(apache);
    const from = join(path, 'f');
    fs.writeFileSync(from, content);
    const to = join(scratch(), 'f');
    proxy.setRules([{ break: { direction: 'down', at: 3 * MIB, how: 'corrupt' } }]);
    const { outcome } = await runAll([
      transferOf(through(`/open/${below}/f`), to, {
        expected: [{ algorithm: 'sha256', value: sha256(content) }],
      }),
    ]);
    expect(outcome).toMatchObject({ status: 'done' });
    expect(fs.readFileSync(to).equals(content)).toBe(true);
  });
});

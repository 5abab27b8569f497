import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SecretsFor } from '../../src/endpoints.ts';
import { MIB, misbehaving, runAll, scratch, transferOf } from './scene.ts';

const MARK = 'TOP-SECRET-0815';

test('F13 a token that expires in the middle is asked for again, and the body goes on', async () => {
  const directory = scratch();
  const server = await misbehaving({ script: 'F13', at: 300_000, content: { size: 1_000_000 } });
  const asked: boolean[] = [];
  const secretsFor: SecretsFor = async (_location, _fromUrl, again) => {
    asked.push(again);
    return { bearer: asked.includes(true) ? 'fresh' : 'old' };
  };
  const { outcome } = await runAll([transferOf(server.url, join(directory, 'x'))], { secretsFor });
  expect(outcome.status).toBe('done');
  expect(outcome.attempts).toHaveLength(1);
  expect(asked.filter((again) => again)).toHaveLength(1);
});

test('F13 P6 a token that nobody has a newer one for is `unauthenticated`, at once', async () => {
  const directory = scratch();
  const server = await misbehaving({ script: 'F13', at: 0, content: { size: 1_000_000 } });
  const secretsFor: SecretsFor = async () => ({ bearer: 'never valid' });
  const { outcome, waited } = await runAll([transferOf(server.url, join(directory, 'x'))], { secretsFor });
  expect(outcome.failure?.code).toBe('unauthenticated');
  expect(server.requests).toHaveLength(1);
  expect(waited).toBe(0);
  expect(JSON.stringify(outcome)).not.toContain('never valid');
});

test('F14 P10 a redirect to another origin is followed without credentials', async () => {
  const directory = scratch();
  const server = await misbehaving({ script: 'F14', content: { size: 100_000 } });
  const secretsFor: SecretsFor = async () => ({
    username: 'me',
    password: MARK,
    headers: { 'x-key': MARK, cookie: MARK },
    query: `sig=${MARK}`,
  });
  const { outcome } = await runAll([transferOf(server.url, join(directory, 'x'))], { secretsFor });
  expect(outcome.status).toBe('done');
  const main = server.requests.filter(({ origin }) => origin === 'main');
  const elsewhere = server.requests.filter(({ origin }) => origin === 'elsewhere');
  expect(main[0]?.headers.authorization).toMatch(/^Basic /);
  expect(main[0]?.headers['x-key']).toBe(MARK);
  expect(elsewhere).toHaveLength(1);
  expect(elsewhere[0]?.headers).not.toHaveProperty('authorization');
  expect(elsewhere[0]?.headers).not.toHaveProperty('x-key');
  expect(elsewhere[0]?.headers).not.toHaveProperty('cookie');
});

test('F15 P10 credentials never go from https to http', async () => {
  const directory = scratch();
  const server = await misbehaving({ script: 'F15', content: { size: 100_000 } });
  const secretsFor: SecretsFor = async () => ({ bearer: MARK });
  const { outcome } = await runAll([transferOf(server.url, join(directory, 'x'))], {
    secretsFor,
    http: { verifyTls: false },
  });
  expect(outcome.failure?.code).toBe('permission-denied');
  expect(server.requests.some(({ origin }) => origin === 'elsewhere')).toBe(false);
});

test('P10 no secret stands in events, outcomes, partials or journals', async () => {
  const directory = scratch();
  // Broken off for good, so that the journal stays.
  const server = await misbehaving({
    steps: [
      { script: 'F1', at: 9 * MIB, times: 1 },
      { script: 'F11', times: 9 },
    ],
    content: { size: 20 * MIB },
  });
  const url = `${server.url.replace('//', `//user:${MARK}@`)}?token=${MARK}&part=1&X-Amz-Signature=${MARK}`;
  const said: string[] = [];
  const { outcome, events } = await runAll([transferOf(url, join(directory, 'x'))], {
    secretsFor: async (_location, fromUrl) => ({ ...fromUrl, headers: { 'x-key': MARK } }),
    http: { warn: (_key, message) => said.push(message) },
  });
  expect(outcome.status).toBe('failed');
  expect(server.requests[0]?.target).toContain(MARK);
  const written = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  expect(written.map(({ name }) => name.split('.').at(-1)).sort()).toEqual(['journal', 'part']);
  for (const entry of written.filter(({ name }) => name.endsWith('.journal'))) {
    said.push(readFileSync(join(entry.parentPath, entry.name), 'utf8'));
  }
  said.push(JSON.stringify(events), JSON.stringify(outcome));
  expect(said.join('\n')).not.toContain(MARK);
  expect(said.join('\n')).toContain('/data/file.bin');
});

test('S1 P10 a proxy learns nothing of the origin’s credentials behind a tunnel', async () => {
  const directory = scratch();
  const server = await misbehaving({ tls: true, content: { size: 1000 } });
  const { outcome } = await runAll([transferOf(server.url, join(directory, 'x'))], {
    secretsFor: async () => ({ bearer: MARK }),
    http: { verifyTls: false, proxyEnv: { https_proxy: server.proxy } },
  });
  // The proxy of the fixture makes no tunnels: what it saw is all that it would have learned.
  expect(outcome.status).not.toBe('done');
  for (const request of server.requests.filter(({ origin }) => origin === 'proxy')) {
    expect(JSON.stringify(request.headers)).not.toContain(MARK);
  }
});

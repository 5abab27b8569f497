import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { type RunningApache, TOKEN } from '../../fixtures/servers/dav.ts';
import { LOGIN, startServer } from '../../fixtures/servers/servers.ts';
import { createCredentials } from '../../src/credentials/credentials.ts';
import { parseUrl } from '../../src/location.ts';
import type { Endpoint, Secrets } from '../../src/protocol.ts';
import { bridle } from '../commands/run-command.ts';
import { davEndpoint } from '../dav-subject.ts';

const never = new AbortController().signal;
const http = { ca: [readCertificate('ca.pem')] };
const WRITE = {
  signal: never,
  key: 'c0ffee00c0ffee00c0ffee00c0ffee00',
  retry: <T>(unit: (s: AbortSignal) => Promise<T>) => unit(never),
};

let apache: RunningApache;
const closing: (() => Promise<void>)[] = [];
beforeAll(async () => {
  apache = await startServer('apache-dav');
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(() => apache?.stop());

function endpointAt(url: string, secrets: Secrets): { endpoint: Endpoint; path: string } {
  const opened = davEndpoint(url, { secrets, http });
  closing.push(opened.close);
  return opened;
}

async function roundTrip(url: string, secrets: Secrets, content: Buffer): Promise<Buffer> {
  const { endpoint, path } = endpointAt(url, secrets);
  async function* bytes() {
    yield content;
  }
  await (await endpoint.write!(path, bytes(), { ...WRITE, size: content.length })).commit(never);
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await endpoint.read(path, { signal: never })).bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Lines of Apache's log about a path. It is written a moment after the answers, so the last one is waited for. */
async function logged(path: string, last: string): Promise<string[]> {
  return vi.waitFor(
    async () => {
      const lines = (await apache.requests()).filter((line) => line.includes(path));
      expect(lines.join('\n')).toContain(last);
      return lines;
    },
    { timeout: 10_000, interval: 20 },
  );
}

describe('a login', () => {
  const content = Buffer.alloc(2 * 1024 * 1024, 'content');

  test('P10 by digest works for small and large files, and the password goes nowhere', async () => {
    const url = `${apache.http.replace('http', 'dav')}/digest`;
    expect((await roundTrip(`${url}/login-large`, LOGIN, content)).equals(content)).toBe(true);
    expect(String(await roundTrip(`${url}/login-small`, LOGIN, Buffer.from('small')))).toBe('small');
    const lines = await logged('/digest/', 'GET /digest/login-small 200');
    expect(lines.join('\n')).not.toContain('Basic');
    // One challenge for each client, before its first body.
    expect(lines.filter((line) => / 401 /.test(line))).toHaveLength(2);
  });

  test('P10 by Basic over an unencrypted connection goes to who asks for it', async () => {
    const url = `${apache.http.replace('http', 'dav')}/basic/asked`;
    expect((await roundTrip(url, LOGIN, content)).equals(content)).toBe(true);
    const lines = await logged('/basic/', 'GET /basic/asked 200');
    expect(lines[0]).toMatch(/ 401 - /);
    expect(lines.slice(1).every((line) => line.includes('Basic '))).toBe(true);
  });

  test.each(['digest', 'basic'])(
    'P6 by %s that is wrong is refused once, and shown nowhere',
    async (below) => {
      const { endpoint, path } = endpointAt(
        `${apache.https.replace('https', 'davs')}/${below}/wrong-${below}`,
        {
          username: LOGIN.username,
          password: 'MARK',
        },
      );
      const error = await endpoint.stat(path, { signal: never }).catch((error: unknown) => error);
      expect(error).toMatchObject({ code: 'unauthenticated' });
      expect(`${error}${JSON.stringify(error)}`).not.toContain('MARK');
    },
  );

  test('by a token, and with another one: `permission-denied`', async () => {
    const url = `${apache.https.replace('https', 'davs')}/token/by-token`;
    expect(String(await roundTrip(url, { bearer: TOKEN }, Buffer.from('t')))).toBe('t');
    await expect(roundTrip(url, { bearer: 'another' }, Buffer.from('t'))).rejects.toMatchObject({
      code: 'permission-denied',
    });
  });
});

describe('a client certificate', () => {
  const secretsBy = async (env: Record<string, string>, url: string): Promise<Secrets> => {
    const options = {
      env,
      home: tmpdir(),
      uid: process.geteuid?.() ?? 0,
      warn: () => undefined,
      shared: '/nonexistent',
    };
    return createCredentials(options).secretsFor(parseUrl(url, { site: 'the-site' }).location);
  };

  test.each(['X509_USER_PROXY', 'X509_USER_PROXY_the_site'])(
    'of %s opens davs, and is sent with every kind of request',
    async (variable) => {
      const url = `${apache.mutual.replace('https', 'davs')}/open/by-${variable}`;
      const secrets = await secretsBy({ [variable]: apache.client }, url);
      expect(String(await roundTrip(url, secrets, Buffer.from('certified')))).toBe('certified');
      const lines = await vi.waitFor(async () => {
        const all = (await apache.certified()).filter(
          (line) => line.includes(variable) || line.includes('.part'),
        );
        expect(all.join('\n')).toMatch(/GET \S+ 200/);
        return all;
      });
      // PUT and HEAD go over connections of our own, MOVE by the library.
      for (const method of ['PUT', 'HEAD', 'MOVE', 'GET']) {
        expect(lines.find((line) => line.startsWith(`${method} `))).toMatch(/CN=joe$/);
      }
    },
  );

  test('P6 that is missing is `unauthenticated`, with the way to give one', async () => {
    const { endpoint, path } = endpointAt(`${apache.mutual.replace('https', 'davs')}/open/none`, {});
    const error = await endpoint.stat(path, { signal: never }).catch((error: unknown) => error);
    expect(error).toMatchObject({
      code: 'unauthenticated',
      hint: expect.stringContaining('X509_USER_PROXY'),
    });
  });

  test('P10 is not shown over the connections of another identity', async () => {
    const url = `${apache.mutual.replace('https', 'davs')}/open/two`;
    const secrets = await secretsBy({ X509_USER_PROXY: apache.client }, url);
    // One client for both: what the first may do, the second may not for having come later.
    let shown: Secrets = secrets;
    const opened = davEndpoint(url, { http });
    closing.push(opened.close);
    const { open } = await import('../../protocols/webdav.ts');
    const { createHttpClient } = await import('../../src/http/client.ts');
    const client = createHttpClient({
      version: 'test',
      connectionsPerOrigin: 1,
      proxyEnv: {},
      warn: () => {},
      ...http,
    });
    closing.push(() => client.close());
    const endpoint = open(parseUrl(url).location, { http: client, secrets: async () => shown });
    await expect(endpoint.stat('/open/two', { signal: never })).rejects.toMatchObject({ code: 'not-found' });
    shown = {};
    await expect(endpoint.stat('/open/two', { signal: never })).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });
});

describe('credentials of items', () => {
  test('P10 of two sites at one host are each its own, also from one to the other', async () => {
    const cwd = fs.mkdtempSync(join(tmpdir(), 'bridle-webdav-'));
    try {
      const authority = new URL(apache.http).host;
      const file = (name: string, text: string) => {
        fs.writeFileSync(join(cwd, name), text, { mode: 0o600 });
        return join(cwd, name);
      };
      const env = {
        PEGASUS_CREDENTIALS_by_login: file('login', `[${authority}]\nusername = user\npassword = secret\n`),
        PEGASUS_CREDENTIALS_by_token: file(
          'token',
          `[${authority}]\nheader.Authorization = Bearer ${TOKEN}\n`,
        ),
      };
      fs.writeFileSync(join(cwd, 'in'), 'of two sites');
      const dav = apache.http.replace('http', 'webdav');
      const entry = (from: [string, string], to: [string, string]) => ({
        type: 'transfer',
        linkage: 'output',
        lfn: 'f',
        id: 1,
        src_urls: [{ site_label: from[0], url: from[1] }],
        dest_urls: [{ site_label: to[0], url: to[1] }],
      });
      const run = (list: unknown) => bridle(['transfer'], { cwd, env, input: JSON.stringify(list) });
      const up = await run([entry(['local', `file://${cwd}/in`], ['by-login', `${dav}/digest/items/a`])]);
      expect(up).toMatchObject({ status: 0 });
      // The same file at another site of the same host; the identities differ, so the bytes pass through here.
      const across = await run([
        entry(['by-login', `${dav}/digest/items/a`], ['by-token', `${dav}/token/items/b`]),
      ]);
      expect(across).toMatchObject({ status: 0 });
      expect(fs.readFileSync(join(apache.dav, 'items/b'), 'utf8')).toBe('of two sites');
      const lines = await logged('/items/', 'MOVE /token/items/');
      for (const line of lines) {
        if (line.includes('/token/')) expect(line).toContain(`Bearer ${TOKEN}`);
        else expect(line).not.toContain('Bearer');
      }
      expect(`${up.stderr}${across.stderr}`).not.toMatch(/secret|good-token/);
    } finally {
      fs.rmSync(cwd, { recursive: true, force: true });
    }
  });
});

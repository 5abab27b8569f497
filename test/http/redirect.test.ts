import { afterEach, describe, expect, test } from 'vitest';
import type { HttpRequest, Secrets } from '../../src/protocol.ts';
import { certificate, closeAll, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

function redirect(location: string, status = 302): string {
  return `HTTP/1.1 ${status} Elsewhere\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`;
}

function ok(body = 'ok'): string {
  return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

const SECRETS: Secrets = {
  username: 'ada',
  password: 'MARK-password',
  headers: { 'x-lab': 'MARK-header' },
  query: 'sig=MARK-query',
};

const HEADERS = { cookie: 'MARK-cookie', 'x-api-key': 'MARK-key', range: 'bytes=1-' };

function get(url: string, more: Partial<HttpRequest> = {}) {
  return makeClient().send({ method: 'GET', url, signal: never, ...more });
}

describe('a redirect', () => {
  test('F14 S1 to another origin takes no credential along, to the same origin all but the query', async () => {
    let far = '';
    const other = await serve(async (visit) => {
      far = await visit.request();
      visit.send(ok());
    });
    const near: string[] = [];
    const server = await serve(async (visit) => {
      near.push(await visit.request());
      visit.send(redirect('/second'));
      near.push(await visit.request());
      visit.send(redirect(`${other.url}/third?authz=GRANT`));
    });
    const response = await get(`${server.url}/first?a=b`, {
      headers: HEADERS,
      secrets: async () => SECRETS,
    });
    expect(await readAll(response)).toEqual(Buffer.from('ok'));
    expect(near[0]).toContain('GET /first?a=b&sig=MARK-query HTTP/1.1\r\n');
    expect(near[1]).toContain('GET /second HTTP/1.1\r\n');
    for (const head of near) {
      expect(head).toContain(
        `authorization: Basic ${Buffer.from('ada:MARK-password').toString('base64')}\r\n`,
      );
      expect(head).toContain('x-lab: MARK-header\r\n');
      expect(head).toContain('cookie: MARK-cookie\r\n');
    }
    expect(far).toContain('GET /third?authz=GRANT HTTP/1.1\r\n');
    expect(far).toContain('range: bytes=1-\r\n');
    expect(far).not.toContain('MARK');
    expect(far).not.toContain('authorization');
    // What grants access in a Location is sent, never shown.
    expect(response.url).toBe(`${other.url}/third`);
  });

  test('S1 back to the first origin does not bring the credentials back', async () => {
    const heads: string[] = [];
    let back = '';
    const other = await serve(async (visit) => {
      await visit.request();
      visit.send(redirect(back));
    });
    const server = await serve(async (visit) => {
      for (;;) {
        heads.push(await visit.request());
        visit.send(heads.length === 1 ? redirect(other.url) : ok());
      }
    });
    back = `${server.url}/again`;
    await get(server.url, { secrets: async () => SECRETS });
    expect(heads[1]).not.toContain('MARK');
  });

  test('F14 another port is another origin', async () => {
    // Both servers are on 127.0.0.1: the test above would pass by host alone; this one names what differs.
    const other = await serve(async (visit) => {
      const head = await visit.request();
      visit.send(ok(head.includes('authorization') ? 'leak' : 'none'));
    });
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(redirect(`//127.0.0.1:${other.port}/x`, 307));
    });
    const response = await get(server.url, { secrets: async () => ({ bearer: 'MARK' }) });
    expect((await readAll(response)).toString()).toBe('none');
  });

  test('F15 from https to http is refused', async () => {
    const plain = await serve(async (visit) => {
      await visit.request();
      visit.send(ok());
    });
    const server = await serve(
      async (visit) => {
        await visit.request();
        visit.send(redirect(`${plain.url}/x?token=MARK`));
      },
      { certificate: 'server' },
    );
    const client = makeClient({ ca: [certificate('ca.pem')] });
    const error = await client
      .send({ method: 'GET', url: server.url, signal: never })
      .catch((error: unknown) => error);
    expect(error).toMatchObject({
      code: 'permission-denied',
      message: expect.stringContaining('redirect from https to'),
      hint: expect.any(String),
    });
    expect(String(error)).not.toContain('MARK');
    expect(plain.visits.length).toBe(0);
  });

  test('F16 in a loop is told as one, an endless row ends at ten', async () => {
    const loop = await serve(async (visit) => {
      for (;;) visit.send(redirect((await visit.request()).includes('GET /a ') ? '/b' : '/a'));
    });
    await expect(get(`${loop.url}/a`)).rejects.toMatchObject({
      code: 'unexpected',
      message: expect.stringContaining('in a loop'),
    });
    let count = 0;
    const endless = await serve(async (visit) => {
      for (;;) {
        await visit.request();
        visit.send(redirect(`/${++count}`));
      }
    });
    await expect(get(endless.url)).rejects.toMatchObject({
      code: 'unexpected',
      message: expect.stringContaining('more than 10 redirects'),
    });
    expect(count).toBe(11);
  });

  test.each([
    ['/abs/%2F', '/abs/%2F'],
    ['next?x=1#frag', '/dir/next?x=1'],
    ['../up', '/up'],
    ['?only=query', '/dir/file?only=query'],
    ['/r\xc3\xa9sum\xc3\xa9', '/r%C3%A9sum%C3%A9'],
    ['/with space', '/with%20space'],
  ])('to %s leads to %s', async (location, path) => {
    const lines: string[] = [];
    const server = await serve(async (visit) => {
      for (;;) {
        lines.push((await visit.request()).split('\r\n')[0] ?? '');
        visit.send(lines.length === 1 ? redirect(location) : ok());
      }
    });
    await get(`${server.url}/dir/file?old=1`);
    expect(lines[1]).toBe(`GET ${path} HTTP/1.1`);
  });

  test('S1 to something else than http is refused, userinfo in it is ignored', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(redirect('file:///etc/passwd'));
    });
    await expect(get(server.url)).rejects.toMatchObject({ code: 'unexpected' });
    let second = '';
    const other = await serve(async (visit) => {
      second = await visit.request();
      visit.send(ok());
    });
    const sending = await serve(async (visit) => {
      await visit.request();
      visit.send(redirect(`http://eve:pass@127.0.0.1:${other.port}/`));
    });
    await get(sending.url);
    expect(second).not.toContain('authorization');
  });

  test('without a Location, and 304, are answers', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send('HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n');
      await visit.request();
      visit.send('HTTP/1.1 304 Not Modified\r\nlocation: /x\r\n\r\n');
    });
    const client = makeClient();
    expect((await client.send({ method: 'GET', url: server.url, signal: never })).status).toBe(302);
    expect((await client.send({ method: 'GET', url: server.url, signal: never })).status).toBe(304);
  });
});

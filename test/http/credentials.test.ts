import { afterEach, describe, expect, test } from 'vitest';
import type { Secrets } from '../../src/protocol.ts';
import { chunksOf, closeAll, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

const REFUSED = 'HTTP/1.1 401 Unauthorized\r\ncontent-length: 7\r\n\r\ntry MAR';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Secrets that change when asked again. */
function rotating(...tokens: string[]): { secrets: (again?: boolean) => Promise<Secrets>; asked: boolean[] } {
  const asked: boolean[] = [];
  return {
    asked,
    secrets: async (again = false) => {
      asked.push(again);
      return { bearer: tokens[Math.min(asked.filter(Boolean).length, tokens.length - 1)] ?? '' };
    },
  };
}

describe('refused credentials', () => {
  test('F13 are asked for again once, and the request is made with the fresh ones', async () => {
    const heads: string[] = [];
    const server = await serve(async (visit) => {
      for (;;) {
        heads.push(await visit.request());
        visit.send(heads.length === 1 ? REFUSED : OK);
      }
    });
    const { secrets, asked } = rotating('old', 'new');
    const response = await makeClient().send({ method: 'GET', url: server.url, secrets, signal: never });
    expect((await readAll(response)).toString()).toBe('ok');
    expect(asked).toEqual([false, true]);
    expect(heads.map((head) => /authorization: (.*)\r/.exec(head)?.[1])).toEqual([
      'Bearer old',
      'Bearer new',
    ]);
    // The refusal was read to its end: one connection did both.
    expect(server.visits.length).toBe(1);
  });

  test.each([
    ['unchanged', ['same'], 1],
    ['refused as well', ['old', 'new', 'newer'], 2],
  ])('F13 fresh ones that are %s are the end', async (_name, tokens, requests) => {
    let count = 0;
    const server = await serve(async (visit) => {
      for (;;) {
        await visit.request();
        count++;
        visit.send(REFUSED);
      }
    });
    const { secrets } = rotating(...tokens);
    const error = await makeClient()
      .send({ method: 'GET', url: server.url, secrets, signal: never })
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'unauthenticated' });
    for (const token of tokens)
      expect(String(error)).not.toContain(token === 'same' ? 'same' : `Bearer ${token}`);
    expect(count).toBe(requests);
  });

  test('F13 by a control request are asked for again, too', async () => {
    let count = 0;
    const server = await serve(async (visit) => {
      for (;;) {
        await visit.request();
        visit.send(
          count++ === 0 ? 'HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n' : 'HTTP/1.1 204 Ok\r\n\r\n',
        );
      }
    });
    const { secrets } = rotating('old', 'new');
    const response = await makeClient().send({ method: 'DELETE', url: server.url, secrets, signal: never });
    expect(response.status).toBe(204);
  });

  test('F13 before an upload: the body is sent once, with the fresh ones', async () => {
    const server = await serve(async (visit, index) => {
      const head = await visit.request();
      if (index === 0) visit.send(REFUSED);
      else {
        expect(head).toContain('Bearer new');
        visit.send('HTTP/1.1 100 Continue\r\n\r\n');
        await visit.body(1024 * 1024);
        visit.send(OK);
      }
    });
    const { secrets } = rotating('old', 'new');
    const response = await makeClient().send({
      method: 'PUT',
      url: server.url,
      body: chunksOf(Buffer.alloc(1024 * 1024)),
      size: 1024 * 1024,
      secrets,
      signal: never,
    });
    expect(response.status).toBe(200);
  });

  test('without credentials to ask for, 401 is an answer', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(REFUSED);
    });
    const response = await makeClient().send({ method: 'GET', url: server.url, signal: never });
    expect(response.status).toBe(401);
  });
});

describe('what a request is made of', () => {
  test.each([
    [{ 'x-a': 'b\r\nx-injected: 1' }],
    [{ 'x-a': 'b\nc' }],
    [{ 'x-a': 'b\0c' }],
    [{ 'x-a\r\nx-b': 'c' }],
    [{ 'x a': 'c' }],
    [{ 'x-a': 'snow \u2603' }],
  ])('S4 a header that would become another one is refused (%#)', async (headers) => {
    const server = await serve(async (visit) => void (await visit.request()));
    for (const method of ['GET', 'OPTIONS']) {
      await expect(
        makeClient().send({ method, url: server.url, headers, signal: never }),
      ).rejects.toMatchObject({
        code: 'invalid-request',
      });
    }
    expect(server.visits.length).toBe(0);
  });

  test('S4 S5 a secret that cannot be sent is refused without being shown', async () => {
    const error = await makeClient()
      .send({
        method: 'GET',
        url: 'http://127.0.0.1:1/',
        secrets: async () => ({ bearer: 'MARK\r\nx: y' }),
        signal: never,
      })
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'invalid-request' });
    expect(String(error)).not.toContain('MARK');
  });

  test.each([
    'http://127.0.0.1:1/a\r\nx: y',
    'http://127.0.0.1:1/a\0b',
    'http://user:MARK@127.0.0.1/',
    'http://-oProxyCommand=x/',
    'http://ho st/',
    'http://127.0.0.1:99999/',
    'ftp://127.0.0.1/',
    'http:///path',
    '/relative',
  ])('S4 the URL %j is refused', async (url) => {
    const error = await makeClient()
      .send({ method: 'GET', url, signal: never })
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'invalid-request' });
    expect(String(error)).not.toContain('MARK');
  });

  test('the method cannot carry anything else', async () => {
    await expect(
      makeClient().send({ method: 'GET / HTTP/1.1\r\nx: y\r\n', url: 'http://127.0.0.1:1/', signal: never }),
    ).rejects.toMatchObject({ code: 'invalid-request' });
  });

  test('the path goes as given, beyond ASCII encoded; fields that frame the request are ours', async () => {
    let head = '';
    const server = await serve(async (visit) => {
      head = await visit.request();
      visit.send(OK);
    });
    await makeClient().send({
      method: 'GET',
      url: `${server.url}/a/../b//%2F é#f`,
      headers: {
        host: 'evil',
        'content-length': '5',
        'transfer-encoding': 'chunked',
        'accept-encoding': 'gzip',
      },
      fresh: true,
      signal: never,
    });
    expect(head.split('\r\n')).toEqual([
      'GET /a/../b//%2F%20%C3%A9 HTTP/1.1',
      `host: 127.0.0.1:${server.port}`,
      'user-agent: bridle/test',
      'accept-encoding: identity',
      'te: trailers',
      'cache-control: no-cache',
      'pragma: no-cache',
      '',
      '',
    ]);
  });
});

import { connect as connectTcp } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createProxyChooser } from '../../src/http/proxy.ts';
import { parseTarget } from '../../src/http/target.ts';
import { certificate, closeAll, makeClient, never, readAll, serve, type Visit } from './scripted.ts';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Serves one CONNECT and then moves bytes both ways. */
async function tunnel(visit: Visit): Promise<string> {
  const head = await visit.request();
  const port = Number(/^CONNECT [^ ]+:(\d+) /.exec(head)?.[1]);
  const upstream = connectTcp(port, '127.0.0.1');
  upstream.on('error', () => visit.socket.destroy());
  visit.socket.removeAllListeners('data');
  visit.send('HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n');
  visit.socket.pipe(upstream);
  upstream.pipe(visit.socket);
  return head;
}

describe('a proxy', () => {
  test('for http gets the whole URL and its own credentials, the origin never sees those', async () => {
    const heads: string[] = [];
    const proxy = await serve(async (visit) => {
      for (;;) {
        heads.push(await visit.request());
        visit.send(OK);
      }
    });
    const client = makeClient({ proxyEnv: { http_proxy: `http://ada:p%40ss@127.0.0.1:${proxy.port}` } });
    const response = await client.send({
      method: 'GET',
      url: 'http://files.example/a?b=c',
      secrets: async () => ({ bearer: 'token' }),
      signal: never,
    });
    expect((await readAll(response)).toString()).toBe('ok');
    await client.send({ method: 'OPTIONS', url: 'http://files.example/a?b=c', signal: never });
    for (const [index, head] of heads.entries()) {
      expect(head).toContain(`${['GET', 'OPTIONS'][index]} http://files.example/a?b=c HTTP/1.1\r\n`);
      expect(head).toContain('host: files.example\r\n');
      expect(head).toContain(`proxy-authorization: Basic ${Buffer.from('ada:p@ss').toString('base64')}\r\n`);
    }
    expect(heads[0]).toContain('authorization: Bearer token\r\n');
  });

  test('for https tunnels: it sees neither the request nor the credentials of the origin', async () => {
    const origin = await serve(
      async (visit) => {
        for (;;) {
          const head = await visit.request();
          const leak = head.includes('proxy-authorization') ? 'bad' : 'ok!';
          visit.send(`HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n${leak}`);
        }
      },
      { certificate: 'server' },
    );
    const heads: string[] = [];
    const proxy = await serve(async (visit) => void heads.push(await tunnel(visit)));
    const client = makeClient({
      ca: [certificate('ca.pem')],
      proxyEnv: { https_proxy: `http://ada:secret@127.0.0.1:${proxy.port}` },
    });
    for (let round = 0; round < 2; round++) {
      const response = await client.send({
        method: 'GET',
        url: origin.url,
        secrets: async () => ({ bearer: 'MARK' }),
        signal: never,
      });
      expect((await readAll(response)).toString()).toBe('ok!');
    }
    expect((await client.send({ method: 'OPTIONS', url: origin.url, signal: never })).status).toBe(200);
    expect(heads).toHaveLength(2);
    for (const head of heads) {
      expect(head).toContain(
        `CONNECT 127.0.0.1:${origin.port} HTTP/1.1\r\nhost: 127.0.0.1:${origin.port}\r\n`,
      );
      expect(head).toContain('proxy-authorization: Basic ');
      expect(head).not.toContain('MARK');
    }
  });

  test('moves large bodies through a tunnel', async () => {
    const size = 5 * 1024 * 1024;
    const origin = await serve(
      async (visit) => {
        await visit.request();
        visit.send(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`, Buffer.alloc(size, 7));
      },
      { certificate: 'server' },
    );
    const proxy = await serve(async (visit) => void (await tunnel(visit)));
    const client = makeClient({
      ca: [certificate('ca.pem')],
      proxyEnv: { https_proxy: `127.0.0.1:${proxy.port}` },
    });
    const response = await client.send({ method: 'GET', url: origin.url, signal: never });
    const iterator = response.body[Symbol.asyncIterator]();
    let count = 0;
    for (let step = await iterator.next(); !step.done; step = await iterator.next()) {
      expect(step.value.every((byte) => byte === 7)).toBe(true);
      count += step.value.length;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(count).toBe(size);
  });

  test('S9 whose answer to CONNECT never ends is left', async () => {
    const proxy = await serve(async (visit) => {
      await visit.request();
      visit.send('HTTP/1.1 200 OK\r\n');
      const more = () => {
        while (visit.socket.write(`x: ${'y'.repeat(1000)}\r\n`));
      };
      visit.socket.on('drain', more);
      more();
      await visit.closed;
    });
    const client = makeClient({ proxyEnv: { https_proxy: `http://127.0.0.1:${proxy.port}` } });
    await expect(
      client.send({ method: 'GET', url: 'https://files.example/', signal: never }),
    ).rejects.toMatchObject({ code: 'unexpected', message: expect.stringContaining('longer than 16384') });
    await proxy.visits[0]?.closed;
  });

  test('S9 that says nothing to CONNECT times out', async () => {
    const proxy = await serve(async (visit) => {
      await visit.request();
      await visit.closed;
    });
    const client = makeClient({
      proxyEnv: { https_proxy: `http://127.0.0.1:${proxy.port}` },
      timeouts: { connect: 0.2 },
    });
    await expect(
      client.send({ method: 'GET', url: 'https://files.example/', signal: never }),
    ).rejects.toMatchObject({ code: 'timed-out' });
    await proxy.visits[0]?.closed;
  });

  test.each([
    ['HTTP/1.1 407 No\r\n\r\n', 'unauthenticated'],
    ['HTTP/1.1 503 No\r\nretry-after: 7\r\n\r\n', 'unavailable'],
    ['SSH-2.0\r\n\r\n', 'unexpected'],
    ['HTTP/1.1 200 OK\r\n\r\nextra', 'unexpected'],
  ])('that refuses a tunnel is named (%j)', async (answer, code) => {
    const proxy = await serve(async (visit) => {
      await visit.request();
      visit.send(answer);
    });
    const client = makeClient({ proxyEnv: { https_proxy: `http://127.0.0.1:${proxy.port}` } });
    for (const method of ['GET', 'OPTIONS']) {
      await expect(
        client.send({ method, url: 'https://files.example/', signal: never }),
      ).rejects.toMatchObject({
        code,
        message: expect.stringContaining(`proxy \`127.0.0.1:${proxy.port}\``),
      });
    }
  });

  test('is passed by for a fresh read', async () => {
    const proxy = await serve(async () => {});
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(OK);
    });
    const client = makeClient({ proxyEnv: { http_proxy: `http://127.0.0.1:${proxy.port}` } });
    await client.send({ method: 'GET', url: server.url, fresh: true, signal: never });
    expect(proxy.visits.length).toBe(0);
  });
});

describe('the choice of a proxy', () => {
  function choose(env: Record<string, string>, url: string): string | undefined {
    return createProxyChooser(env, () => {})(parseTarget(url).origin)?.origin.key;
  }

  test('goes by scheme, lower case first', () => {
    expect(choose({ http_proxy: 'http://a:1', HTTP_PROXY: 'http://b:1' }, 'http://x/')).toBe('http://a:1');
    expect(choose({ https_proxy: 'http://a:1', HTTPS_PROXY: 'http://b:1' }, 'https://x/')).toBe('http://a:1');
    expect(choose({ HTTPS_PROXY: 'http://b:1' }, 'https://x/')).toBe('http://b:1');
    expect(choose({ http_proxy: 'http://a:1' }, 'https://x/')).toBeUndefined();
    expect(choose({ all_proxy: 'https://a:1' }, 'https://x/')).toBe('https://a:1');
    expect(choose({ all_proxy: 'http://a' }, 'http://x/')).toBe('http://a:80');
  });

  test('never reads HTTP_PROXY, which a CGI request can set', () => {
    expect(choose({ HTTP_PROXY: 'http://b:1' }, 'http://x/')).toBeUndefined();
  });

  test('takes OSG_SQUID_LOCATION for an unset http_proxy', () => {
    expect(choose({ OSG_SQUID_LOCATION: 'squid.example:3128' }, 'http://x/')).toBe(
      'http://squid.example:3128',
    );
    expect(choose({ OSG_SQUID_LOCATION: 'http://squid:3128', http_proxy: 'a:1' }, 'http://x/')).toBe(
      'http://a:1',
    );
    expect(choose({ OSG_SQUID_LOCATION: 'UNAVAILABLE' }, 'http://x/')).toBeUndefined();
    expect(choose({ OSG_SQUID_LOCATION: 'squid:3128' }, 'https://x/')).toBeUndefined();
  });

  test.each([
    ['*', 'http://x.example/', true],
    ['example', 'http://x.example/', true],
    ['.example', 'http://x.example/', true],
    ['*.example', 'http://x.example/', true],
    ['ample', 'http://x.example/', false],
    ['a, X.Example b', 'http://x.example/', true],
    ['x.example:80', 'http://x.example/', true],
    ['x.example:81', 'http://x.example/', false],
    ['10.0.0.0/8', 'http://10.1.2.3/', true],
    ['10.0.0.0/8', 'http://11.1.2.3/', false],
    ['10.0.0.0/99', 'http://10.1.2.3/', false],
    ['127.0.0.1', 'http://127.0.0.1:8080/', true],
    ['0.0.1', 'http://127.0.0.1/', false],
    ['::1', 'http://[::1]:8080/', true],
    ['[::1]', 'http://[::1]/', true],
    ['[::1]:80', 'http://[::1]:81/', false],
    ['fe80::/10', 'http://[fe80::1]/', true],
    ['', 'http://x.example/', false],
  ])('no_proxy=%s for %s: exempt is %s', (noProxy, url, isExempt) => {
    const proxy = choose({ http_proxy: 'http://a:1', no_proxy: noProxy }, url);
    expect(proxy === undefined).toBe(isExempt);
  });

  test('a value that names no proxy is told without being shown, and ignored', () => {
    const told: string[] = [];
    const env = { http_proxy: 'socks5://ada:MARK@x:1', https_proxy: 'http://ada:MARK@:x' };
    const chooser = createProxyChooser(env, (_key, message) => told.push(message));
    expect(chooser(parseTarget('http://x/').origin)).toBeUndefined();
    expect(told).toHaveLength(2);
    expect(told.join()).not.toContain('MARK');
  });
});

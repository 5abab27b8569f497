import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { closeAll, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

describe('connecting', () => {
  test.each(['GET', 'OPTIONS'])('F25 to an unknown host is not found (%s)', async (method) => {
    await expect(
      makeClient().send({ method, url: 'http://no-such-host.invalid/', signal: never }),
    ).rejects.toMatchObject({
      // Without any resolver the same name is a failure that may pass.
      code: expect.stringMatching(/^(not-found|unavailable)$/),
      message: expect.stringContaining('no-such-host.invalid'),
    });
  });

  test.each(['GET', 'OPTIONS'])('F25 where nobody listens is unavailable (%s)', async (method) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    await expect(
      makeClient().send({ method, url: `http://127.0.0.1:${port}/`, signal: never }),
    ).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('connection refused'),
    });
  });

  test.each(['GET', 'OPTIONS'])('F25 to a black hole times out (%s)', async (method) => {
    // TCP connects, TLS never answers: the time limit is for all of it.
    const hole = await serve(async (visit) => void (await visit.closed));
    const client = makeClient({ timeouts: { connect: 0.2 } });
    const url = hole.url.replace('http:', 'https:');
    await expect(client.send({ method, url, signal: never })).rejects.toMatchObject({
      code: 'timed-out',
      message: expect.stringContaining(`no connection to \`127.0.0.1:${hole.port}\` within 0.2 s`),
    });
    await hole.visits[0]?.closed;
  });

  test('a canceled connection attempt does not hold its request', async () => {
    const hole = await serve(async (visit) => void (await visit.closed));
    const abort = new AbortController();
    const waiting = makeClient().send({
      method: 'GET',
      url: hole.url.replace('http:', 'https:'),
      signal: abort.signal,
    });
    setImmediate(() => abort.abort());
    await expect(waiting).rejects.toMatchObject({ code: 'canceled' });
  });

  test('tries every address of a name', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
    const url = server.url.replace('127.0.0.1', 'localhost');
    const response = await makeClient().send({ method: 'GET', url, signal: never });
    expect((await readAll(response)).toString()).toBe('ok');
  });

  test('takes IPv6 in brackets', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (data) => {
        const host = /host: (.*)\r/.exec(data.toString())?.[1] ?? '';
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${host.length}\r\n\r\n${host}`);
      });
    });
    server.listen(0, '::1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const url = `http://[::1]:${port}/`;
      const response = await makeClient().send({ method: 'GET', url, signal: never });
      expect((await readAll(response)).toString()).toBe(`[::1]:${port}`);
    } finally {
      server.close();
    }
  });
});

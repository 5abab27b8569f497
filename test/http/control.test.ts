import { afterEach, describe, expect, test } from 'vitest';
import { closeAll, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

describe('a control request', () => {
  test('shows status, fields and the short body of its answer, over kept connections', async () => {
    const lines: string[] = [];
    const server = await serve(async (visit) => {
      for (;;) {
        const head = await visit.request();
        lines.push(head.split('\r\n')[0] ?? '');
        expect(head).toContain('user-agent: bridle/test\r\n');
        visit.send('HTTP/1.1 409 Conflict\r\nX-A: 1\r\nX-a: 2\r\ncontent-length: 4\r\n\r\ntext');
      }
    });
    const client = makeClient({ connectionsPerOrigin: 1 });
    for (const method of ['MKCOL', 'DELETE', 'OPTIONS']) {
      const response = await client.send({
        method,
        url: `${server.url}/a%2Fb?c`,
        headers: { depth: '0' },
        signal: never,
      });
      expect(response.status).toBe(409);
      expect(response.headers['x-a']).toBe('1, 2');
      expect((await readAll(response)).toString()).toBe('text');
      expect(lines.at(-1)).toBe(`${method} /a%2Fb?c HTTP/1.1`);
    }
    expect(server.visits.length).toBe(1);
  });

  test('F24 with a head without end is refused', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(
        'HTTP/1.1 200 OK\r\n',
        ...Array.from({ length: 2000 }, (_, n) => `x-${n}: ${'y'.repeat(100)}\r\n`),
      );
      await visit.closed;
    });
    await expect(
      makeClient().send({ method: 'OPTIONS', url: server.url, signal: never }),
    ).rejects.toMatchObject({ code: 'unexpected', message: expect.stringContaining('65536') });
  });

  test('F27 without an answer times out', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      await visit.closed;
    });
    const client = makeClient({ timeouts: { firstByte: 0.3 } });
    await expect(client.send({ method: 'OPTIONS', url: server.url, signal: never })).rejects.toMatchObject({
      code: 'timed-out',
    });
  });

  test('ends at once when canceled', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      await visit.closed;
    });
    const abort = new AbortController();
    const waiting = makeClient().send({ method: 'DELETE', url: server.url, signal: abort.signal });
    setTimeout(() => abort.abort(), 50);
    await expect(waiting).rejects.toMatchObject({ code: 'canceled' });
    await server.visits[0]?.closed;
  });

  test('F1 with a body that ends early is an error, and so is one above 1 MiB', async () => {
    const short = await serve(async (visit) => {
      await visit.request();
      visit.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello');
      visit.socket.end();
    });
    await expect(
      makeClient().send({ method: 'OPTIONS', url: short.url, signal: never }),
    ).rejects.toMatchObject({ code: 'unavailable' });
    const long = await serve(async (visit) => {
      await visit.request();
      visit.send('HTTP/1.1 200 OK\r\n\r\n', Buffer.alloc(2 * 1024 * 1024));
    });
    await expect(
      makeClient().send({ method: 'OPTIONS', url: long.url, signal: never }),
    ).rejects.toMatchObject({
      code: 'unexpected',
    });
  });

  test('over a kept connection that was dead is made again, but a MKCOL only once', async () => {
    const server = await serve(async (visit, index) => {
      await visit.request();
      if (index % 2 === 0) {
        visit.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        await visit.request();
        visit.socket.resetAndDestroy();
      } else visit.send('HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n');
    });
    const client = makeClient({ connectionsPerOrigin: 1 });
    await client.send({ method: 'OPTIONS', url: server.url, signal: never });
    expect((await client.send({ method: 'OPTIONS', url: server.url, signal: never })).status).toBe(204);
    await client.send({ method: 'OPTIONS', url: server.url, signal: never });
    await expect(client.send({ method: 'MKCOL', url: server.url, signal: never })).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});

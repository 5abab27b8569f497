import { afterEach, describe, expect, test } from 'vitest';
import { closeAll, get, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\n';

describe('connections', () => {
  /** Answers every request on a connection with its count there. */
  const counting = () =>
    serve(async (visit) => {
      for (let n = 0; ; n++) {
        await visit.request();
        visit.send(`${OK}content-length: 1\r\n\r\n${n}`);
      }
    });

  test('are kept and used again', async () => {
    const server = await counting();
    const client = makeClient();
    for (const expected of ['0', '1', '2']) {
      expect((await get(server.url, client)).toString()).toBe(expected);
    }
    expect(server.visits.length).toBe(1);
  });

  test('are kept over HEAD, whose answer has a length and no body, unless a body comes all the same', async () => {
    const server = await serve(async (visit, index) => {
      for (let n = 0; ; n++) {
        await visit.request();
        visit.send(`${OK}content-length: 5\r\n\r\n${index === 0 && n === 2 ? 'stray' : ''}`);
      }
    });
    const client = makeClient();
    for (let n = 0; n < 4; n++) {
      const response = await client.send({ method: 'HEAD', url: server.url, signal: never });
      expect(response.headers['content-length']).toBe('5');
      expect(await readAll(response)).toHaveLength(0);
    }
    expect(server.visits.length).toBe(2);
  });

  test('are limited per origin, and served in the order of asking', async () => {
    const order: string[] = [];
    let busiest = 0;
    let busy = 0;
    const server = await serve(async (visit) => {
      for (;;) {
        order.push((await visit.request()).split(' ')[1] ?? '');
        busiest = Math.max(busiest, ++busy);
        await new Promise((resolve) => setImmediate(resolve));
        busy--;
        visit.send(`${OK}content-length: 1\r\n\r\nx`);
      }
    });
    const client = makeClient({ connectionsPerOrigin: 2 });
    const paths = Array.from({ length: 20 }, (_, index) => `/${index}`);
    await Promise.all(paths.map((path) => get(`${server.url}${path}`, client)));
    expect(server.visits.length).toBe(2);
    expect(busiest).toBeLessThanOrEqual(2);
    const position = order.map((path) => Number(path.slice(1)));
    for (const [at, number] of position.entries()) expect(Math.abs(at - number)).toBeLessThanOrEqual(2);
  });

  test('a canceled wait for a connection leaves the queue', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      await visit.closed;
    });
    const client = makeClient({ connectionsPerOrigin: 1 });
    const first = new AbortController();
    const second = new AbortController();
    const one = client.send({ method: 'GET', url: server.url, signal: first.signal });
    const two = client.send({ method: 'GET', url: server.url, signal: second.signal });
    second.abort();
    await expect(two).rejects.toMatchObject({ code: 'canceled' });
    first.abort();
    await expect(one).rejects.toMatchObject({ code: 'canceled' });
  });

  test('a kept one that turns out to be dead is replaced once, unseen', async () => {
    const server = await serve(async (visit, index) => {
      await visit.request();
      visit.send(`${OK}content-length: 1\r\n\r\n${index}`);
      if (index > 0) return;
      await visit.request();
      visit.socket.resetAndDestroy();
    });
    const client = makeClient();
    expect((await get(server.url, client)).toString()).toBe('0');
    expect((await get(server.url, client)).toString()).toBe('1');
    expect(server.visits.length).toBe(2);
  });

  test('a fresh one that dies is an error, and so is a dead one under a POST', async () => {
    const dying = await serve(async (visit) => {
      await visit.request();
      visit.socket.end();
    });
    await expect(get(dying.url)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('connection closed before an answer'),
    });
    expect(dying.visits.length).toBe(1);
    const once = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: 1\r\n\r\n0`);
      await visit.request();
      visit.socket.end();
    });
    const client = makeClient();
    await get(once.url, client);
    await expect(client.send({ method: 'POST', url: once.url, signal: never })).rejects.toMatchObject({
      code: 'unavailable',
    });
    expect(once.visits.length).toBe(1);
  });

  test('a short rest that nobody wants is read past, a long one ends the connection', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: 20000\r\n\r\nx`);
      await new Promise((resolve) => setImmediate(resolve));
      visit.send(Buffer.alloc(19_999));
      await visit.request();
      visit.send(`${OK}content-length: 2000000\r\n\r\nx`);
    });
    const client = makeClient({ connectionsPerOrigin: 1 });
    const short = await client.send({ method: 'GET', url: server.url, signal: never });
    await short.discard();
    const long = await client.send({ method: 'GET', url: server.url, signal: never });
    await long.discard();
    expect(server.visits.length).toBe(1);
    await server.visits[0]?.closed;
  });

  test('idle ones are closed after the time that the server gives them', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: 1\r\nkeep-alive: timeout=1\r\n\r\nx`);
    });
    await get(server.url, makeClient({ timeouts: { idle: 0.2 } }));
    await server.visits[0]?.closed;
  });
});

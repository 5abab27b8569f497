import { afterEach, describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { closeAll, get, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\n';

describe('the waits', () => {
  const timeouts = { stall: 0.2, firstByte: 0.3, lowSpeed: { bytesPerSecond: 1024, seconds: 100 } };

  test.each(['fast', 'slow'])(
    'F4 silence in the middle of a body is stalled with a %s reader',
    async (reader) => {
      const server = await serve(async (visit) => {
        await visit.request();
        visit.send(`${OK}content-length: 2000000\r\n\r\n`, Buffer.alloc(300_000));
        await visit.request();
      });
      const response = await makeClient({ timeouts }).send({ method: 'GET', url: server.url, signal: never });
      const reading = async () => {
        for await (const chunk of response.body) {
          if (reader === 'slow') await new Promise((resolve) => setTimeout(resolve, 500));
          expect(chunk.length).toBeGreaterThan(0);
        }
      };
      await expect(reading()).rejects.toMatchObject({ code: 'stalled' });
    },
  );

  test('F4 a reader that is slower than the stall time is not the fault of the server', async () => {
    const size = 8 * 1024 * 1024;
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: ${size}\r\n\r\n`, Buffer.alloc(size));
    });
    const response = await makeClient({ timeouts }).send({ method: 'GET', url: server.url, signal: never });
    let count = 0;
    let pauses = 0;
    for await (const chunk of response.body) {
      if (pauses++ < 2) await new Promise((resolve) => setTimeout(resolve, 700));
      count += chunk.length;
    }
    expect(count).toBe(size);
  });

  test('F5 a body that trickles is stalled', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: 1000\r\n\r\n`);
      const timer = setInterval(() => visit.send('x'), 50);
      await visit.closed;
      clearInterval(timer);
    });
    const client = makeClient({ timeouts: { lowSpeed: { bytesPerSecond: 1024, seconds: 0.4 } } });
    await expect(get(server.url, client)).rejects.toMatchObject({
      code: 'stalled',
      message: expect.stringContaining('below 1024 bytes per second'),
    });
  });

  test('F27 an answer that never begins times out, a late one does not', async () => {
    const silent = await serve(async (visit) => {
      await visit.request();
      await visit.closed;
    });
    await expect(get(silent.url, makeClient({ timeouts }))).rejects.toMatchObject({
      code: 'timed-out',
      message: expect.stringContaining('no answer within 0.3 s'),
    });
    const late = await serve(async (visit) => {
      await visit.request();
      await new Promise((resolve) => setTimeout(resolve, 250));
      visit.send(`${OK}content-length: 2\r\n\r\nok`);
    });
    const patient = makeClient({ timeouts: { ...timeouts, firstByte: 20 } });
    expect(await get(late.url, patient)).toEqual(Buffer.from('ok'));
  });

  test('canceling ends a request at once, before the answer and in the body', async () => {
    const server = await serve(async (visit, index) => {
      await visit.request();
      if (index === 1) visit.send(`${OK}content-length: 10\r\n\r\nhello`);
      await visit.closed;
    });
    const client = makeClient();
    const before = new AbortController();
    const waiting = client.send({ method: 'GET', url: server.url, signal: before.signal });
    setTimeout(() => before.abort(), 50);
    await expect(waiting).rejects.toMatchObject({ code: 'canceled' });
    const during = new AbortController();
    const response = await client.send({ method: 'GET', url: server.url, signal: during.signal });
    setImmediate(() => during.abort(new TransferError('timed-out', 'the item took too long')));
    await expect(readAll(response)).rejects.toMatchObject({ code: 'timed-out' });
    const already = AbortSignal.abort();
    await expect(client.send({ method: 'GET', url: server.url, signal: already })).rejects.toMatchObject({
      code: 'canceled',
    });
  });
});

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { giveBack } from '../../src/slabs.ts';
import { closeAll, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\n';

async function get(url: string, client = makeClient()): Promise<Buffer> {
  return readAll(await client.send({ method: 'GET', url, signal: never }));
}

/** What a server that answers once with `parts` and then hangs up makes of a download. */
async function getFrom(...parts: (string | Uint8Array)[]): Promise<Buffer> {
  const server = await serve(async (visit) => {
    await visit.request();
    visit.send(...parts);
    visit.socket.end();
  });
  return get(`${server.url}/f`);
}

describe('a body', () => {
  test('arrives as sent, with a length, in chunks, and up to the end of the connection', async () => {
    expect(await getFrom(`${OK}content-length: 5\r\n\r\nhello`)).toEqual(Buffer.from('hello'));
    expect(await getFrom(`${OK}transfer-encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n0\r\n\r\n`)).toEqual(
      Buffer.from('hello'),
    );
    expect(await getFrom(`${OK}\r\n`, 'hello')).toEqual(Buffer.from('hello'));
    expect(await getFrom('HTTP/1.1 204 No Content\r\n\r\n')).toEqual(Buffer.alloc(0));
    expect(await getFrom(`${OK}content-length: 0\r\n\r\n`)).toEqual(Buffer.alloc(0));
  });

  test.each([
    ['length', 10 * 1024 * 1024],
    ['length', 10 * 1024 * 1024 + 1],
    ['length', 64 * 1024],
    ['length', 64 * 1024 + 1],
    ['chunked', 10 * 1024 * 1024 + 7],
    ['chunked', 100_000],
  ])('of any size keeps every byte, whoever is slower (%s, %d bytes)', async (framing, size) => {
    const content = randomBytes(size);
    const server = createServer((_request, response) => {
      if (framing === 'length') response.setHeader('content-length', size);
      for (let at = 0; at < size; at += 300_007) response.write(content.subarray(at, at + 300_007));
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/f`;
      const client = makeClient();
      for (const isSlow of [false, true]) {
        const response = await client.send({ method: 'GET', url, signal: never });
        const hash = createHash('sha256');
        let count = 0;
        for await (const chunk of response.body) {
          if (isSlow) await new Promise((resolve) => setImmediate(resolve));
          hash.update(chunk);
          count += chunk.length;
          giveBack(chunk);
        }
        expect(count).toBe(size);
        expect(hash.digest('hex')).toBe(createHash('sha256').update(content).digest('hex'));
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('flows while it is slow: what came is handed on before the rest', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: 200000\r\n\r\nfirst`);
      await visit.request();
    });
    const response = await makeClient().send({ method: 'GET', url: server.url, signal: never });
    const first = await response.body[Symbol.asyncIterator]().next();
    expect(Buffer.from(first.value)).toEqual(Buffer.from('first'));
    await response.discard();
  });

  test('that is small is one chunk', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: 20000\r\n\r\n`, Buffer.alloc(10_000, 1));
      setImmediate(() => visit.send(Buffer.alloc(10_000, 2)));
    });
    const response = await makeClient().send({ method: 'GET', url: server.url, signal: never });
    const sizes: number[] = [];
    for await (const chunk of response.body) sizes.push(chunk.length);
    expect(sizes).toEqual([20_000]);
  });

  test('keeps the trailers that came behind it', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(
        `${OK}transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Transfer-Status: 500: disk\r\n\r\n`,
      );
    });
    const response = await makeClient().send({ method: 'GET', url: server.url, signal: never });
    expect(await readAll(response)).toEqual(Buffer.from('ok'));
    expect({ ...(await response.trailers()) }).toEqual({ 'x-transfer-status': '500: disk' });
  });

  test('is held back at the server while nobody reads', async () => {
    let written = 0;
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: ${1024 ** 3}\r\n\r\n`);
      const block = Buffer.alloc(1024 * 1024);
      const more = () => {
        while (written < 1024 && visit.socket.write(block)) written++;
      };
      visit.socket.on('drain', () => {
        written++;
        more();
      });
      more();
    });
    const response = await makeClient().send({ method: 'GET', url: server.url, signal: never });
    const iterator = response.body[Symbol.asyncIterator]();
    await iterator.next();
    // Fill what can be filled: two chunks here, the kernel's buffers on both sides.
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(written).toBeLessThan(64);
    await iterator.return?.();
    await server.visits[0]?.closed;
  });
});

describe('a broken body', () => {
  test('F1 that ends before its declared length is an error that counts the bytes', async () => {
    await expect(getFrom(`${OK}content-length: 10\r\n\r\nhello`)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/connection closed after 5 of 10 bytes$/),
    });
  });

  test('F1 hands on every byte that came before it broke', async () => {
    const content = randomBytes(300_000);
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: 400000\r\n\r\n`, content);
      visit.socket.end();
    });
    const response = await makeClient().send({ method: 'GET', url: server.url, signal: never });
    const chunks: Uint8Array[] = [];
    const reading = async () => {
      for await (const chunk of response.body) chunks.push(chunk);
    };
    await expect(reading()).rejects.toMatchObject({ message: expect.stringContaining('300000 of 400000') });
    expect(Buffer.concat(chunks).equals(content)).toBe(true);
  });

  test('F2 that is reset is an error', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: 10\r\n\r\nhello`);
      setImmediate(() => visit.socket.resetAndDestroy());
    });
    await expect(get(server.url)).rejects.toMatchObject({ code: 'unavailable' });
  });

  test.each([
    ['a small body', 5],
    ['a large body', 200_000],
    ['a body of exactly two slabs', 2 * 1024 * 1024],
  ])('F3 extra bytes behind %s are refused', async (_name, size) => {
    const client = makeClient();
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: ${size}\r\n\r\n`, Buffer.alloc(size + 3));
    });
    await expect(get(server.url, client)).rejects.toMatchObject({
      code: 'size-mismatch',
      message: expect.stringContaining(`at ${size}`),
    });
    // The connection is not used again.
    await server.visits[0]?.closed;
  });

  test('F3 extra bytes behind the last chunk are refused', async () => {
    await expect(
      getFrom(`${OK}transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n`),
    ).rejects.toMatchObject({ code: 'size-mismatch' });
  });

  test('F18 in chunks without the last one is an error', async () => {
    await expect(getFrom(`${OK}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n`)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/connection closed after 5 bytes$/),
    });
  });

  test.each([
    ['5\r\nhelloX\r\n0\r\n\r\n', 'longer than its size'],
    ['\r\nhello\r\n0\r\n\r\n', 'has no size'],
    ['-5\r\nhello\r\n0\r\n\r\n', 'has no size'],
    ['5\nhello\r\n0\r\n\r\n', 'malformed'],
    ['fffffffffffffff\r\n', 'too large'],
    [`5;${'x'.repeat(5000)}\r\nhello`, 'too long'],
    [`0\r\n${'a: b\r\n'.repeat(20_000)}\r\n`, 'trailers'],
  ])('with malformed chunks is refused (%#)', async (body, text) => {
    await expect(getFrom(`${OK}transfer-encoding: chunked\r\n\r\n${body}`)).rejects.toMatchObject({
      code: 'unexpected',
      message: expect.stringContaining(text),
    });
  });

  test('F17 gzip although identity was asked stays as it came', async () => {
    let asked = '';
    const server = await serve(async (visit) => {
      asked = await visit.request();
      visit.send(`${OK}content-encoding: gzip\r\ncontent-length: 4\r\n\r\n`, Buffer.from([0x1f, 0x8b, 8, 0]));
    });
    expect(await get(server.url)).toEqual(Buffer.from([0x1f, 0x8b, 8, 0]));
    expect(asked).toContain('\r\naccept-encoding: identity\r\n');
  });
});

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

describe('a head', () => {
  test('F24 without end is refused at 64 KiB', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(OK);
      const more = () => {
        for (let n = 0; n < 100; n++) if (!visit.socket.write(`x-${n}: ${'y'.repeat(100)}\r\n`)) return;
        setImmediate(more);
      };
      visit.socket.on('drain', more);
      more();
      await visit.closed;
    });
    await expect(get(server.url)).rejects.toMatchObject({
      code: 'unexpected',
      message: expect.stringContaining('longer than 65536 bytes'),
    });
  });

  test('F24 of 1 MiB is refused, one of 60 KiB is read', async () => {
    await expect(getFrom(`${OK}x: ${'y'.repeat(1024 * 1024)}\r\n\r\n`)).rejects.toMatchObject({
      code: 'unexpected',
    });
    expect(await getFrom(`${OK}x: ${'y'.repeat(60_000)}\r\ncontent-length: 2\r\n\r\nok`)).toEqual(
      Buffer.from('ok'),
    );
  });

  test.each([
    ['SSH-2.0-OpenSSH_9.2\r\n', 'begin like HTTP/1.1'],
    ['HTTP/2 200\r\n\r\n', 'begin like HTTP/1.1'],
    [`${OK}a: b\r\n c\r\ncontent-length: 0\r\n\r\n`, 'header'],
    [`${OK}a : b\r\ncontent-length: 0\r\n\r\n`, 'header name'],
    [`${OK}content-length: 1\r\ncontent-length: 2\r\n\r\nab`, 'Content-Length'],
    [`${OK}content-length: -1\r\n\r\n`, 'Content-Length'],
    [`${OK}content-length: 0x10\r\n\r\n`, 'Content-Length'],
    [`${OK}content-length: 99999999999999999999\r\n\r\n`, 'Content-Length'],
    [`${OK}transfer-encoding: gzip, chunked\r\n\r\n`, 'transfer coding'],
    [`${OK}a: b\x00c\r\ncontent-length: 0\r\n\r\n`, 'control characters'],
    ['HTTP/1.1 101 Switching Protocols\r\n\r\n', 'interim'],
    ['HTTP/1.1 102 Processing\r\n\r\n'.repeat(200), 'interim'],
  ])('that is malformed is refused (%#)', async (head, text) => {
    await expect(getFrom(head)).rejects.toMatchObject({
      code: 'unexpected',
      message: expect.stringContaining(text),
    });
  });

  test('may come byte by byte, behind interim answers', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.socket.setNoDelay();
      const text = `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${OK}content-length: 2\r\nX-A: 1\r\nx-a:2\r\n\r\nok`;
      for (const byte of text) {
        visit.send(byte);
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    const response = await makeClient().send({ method: 'GET', url: server.url, signal: never });
    expect(response.headers['x-a']).toBe('1, 2');
    expect(await readAll(response)).toEqual(Buffer.from('ok'));
  });

  test('with a length and chunks goes by the chunks and ends the connection', async () => {
    const client = makeClient();
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`);
    });
    expect(await get(server.url, client)).toEqual(Buffer.from('hello'));
    await server.visits[0]?.closed;
  });
});

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

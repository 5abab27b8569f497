import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { giveBack } from '../../src/slabs.ts';
import { closeAll, get, getFrom, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\n';

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
      visit.send(`${OK}content-length: 2000000\r\n\r\nfirst`);
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

  test('F2 without a length that is reset is an error, and no end', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`${OK}\r\nhello`);
    });
    const response = await makeClient().send({ method: 'GET', url: server.url, signal: never });
    const body = response.body[Symbol.asyncIterator]();
    expect(Buffer.from((await body.next()).value)).toEqual(Buffer.from('hello'));
    for (const visit of server.visits) visit.socket.resetAndDestroy();
    await expect(body.next()).rejects.toMatchObject({ code: 'unavailable' });
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

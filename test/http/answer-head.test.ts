import { afterEach, describe, expect, test } from 'vitest';
import { closeAll, get, getFrom, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\n';

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

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { isAnswerLost } from '../../src/http/client.ts';
import type { HttpRequest } from '../../src/protocol.ts';
import { chunksOf, closeAll, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

const MIB = 1024 * 1024;
const CREATED = 'HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n';
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

function put(url: string, request: Partial<HttpRequest>, client = makeClient()) {
  return client.send({ method: 'PUT', url, signal: never, ...request });
}

/** A body that records how much of it was asked for. */
function watched(...chunks: Uint8Array[]) {
  const state = { asked: 0, isReleased: false };
  async function* bytes() {
    try {
      for (const chunk of chunks) {
        state.asked++;
        yield chunk;
      }
    } finally {
      state.isReleased = true;
    }
  }
  return { state, bytes: bytes() };
}

describe('a body to send', () => {
  test.each([
    ['small, with its size', 5, true],
    ['empty', 0, true],
    ['just below the announced size', MIB - 1, true],
    ['large, with its size', 5 * MIB + 3, true],
    ['without a size', 3 * MIB + 1, false],
    ['empty, without a size', 0, false],
  ])('arrives as it was: %s', async (_name, size, hasSize) => {
    const content = randomBytes(size);
    let received: { hash: string; headers: Record<string, unknown> } | undefined;
    const server = createServer(async (request, response) => {
      const hash = createHash('sha256');
      for await (const chunk of request) hash.update(chunk);
      received = { hash: hash.digest('hex'), headers: request.headers };
      response.writeHead(201, { 'content-length': 2 }).end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/f`;
    try {
      const client = makeClient();
      for (let round = 0; round < 2; round++) {
        const chunks: Uint8Array[] = [];
        for (let at = 0; at < size; at += 700_001) chunks.push(content.subarray(at, at + 700_001));
        const response = await put(url, { body: chunksOf(...chunks), ...(hasSize ? { size } : {}) }, client);
        expect(response.status).toBe(201);
        expect((await readAll(response)).toString()).toBe('ok');
        expect(received?.hash).toBe(createHash('sha256').update(content).digest('hex'));
        expect(received?.headers['content-length']).toBe(hasSize ? String(size) : undefined);
        expect(received?.headers.expect).toBe(size >= MIB || !hasSize ? '100-continue' : undefined);
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('is sent when the server says nothing to Expect', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      await visit.body(2 * MIB);
      visit.send(CREATED);
    });
    const response = await put(server.url, { body: chunksOf(Buffer.alloc(2 * MIB)), size: 2 * MIB });
    expect(response.status).toBe(201);
  });

  test('is sent without Expect to a server that refuses it', async () => {
    const heads: string[] = [];
    const server = await serve(async (visit, index) => {
      heads.push(await visit.request());
      if (index === 0) {
        visit.send('HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n');
        return;
      }
      await visit.body(MIB);
      visit.send(CREATED);
    });
    const { state, bytes } = watched(Buffer.alloc(MIB));
    const response = await put(server.url, { body: bytes, size: MIB });
    expect(response.status).toBe(201);
    expect(heads.map((head) => head.includes('expect:'))).toEqual([true, false]);
    expect(state.asked).toBe(1);
  });

  test.each([413, 507, 403, 412])('F23 %d before the body: none of it is asked for', async (status) => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(`HTTP/1.1 ${status} No\r\ncontent-length: 4\r\n\r\nfull`);
    });
    const { state, bytes } = watched(Buffer.alloc(4 * MIB));
    const response = await put(server.url, { body: bytes, size: 4 * MIB });
    expect(response.status).toBe(status);
    expect((await readAll(response)).toString()).toBe('full');
    expect(state.asked).toBe(0);
    // The server may take what comes next for the body: the connection ends.
    await server.visits[0]?.closed;
  });

  test('F23 an answer in the middle of the body ends the sending', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(CONTINUE);
      await visit.body(MIB);
      visit.send('HTTP/1.1 507 Insufficient Storage\r\ncontent-length: 4\r\n\r\nfull');
      await visit.closed;
    });
    let asked = 0;
    async function* endless() {
      for (;;) {
        asked++;
        yield Buffer.alloc(64 * 1024);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const response = await put(server.url, { body: endless() });
    expect(response.status).toBe(507);
    const before = asked;
    await server.visits[0]?.closed;
    expect(asked).toBeLessThanOrEqual(before + 1);
  });

  test('a success in the middle of the body is not believed', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(CREATED);
    });
    await expect(put(server.url, { body: chunksOf(Buffer.alloc(MIB)), size: MIB })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('answered 201 before the body was sent'),
    });
  });

  test.each([
    ['shorter', MIB, [Buffer.alloc(MIB - 1)]],
    ['longer', MIB, [Buffer.alloc(MIB), Buffer.alloc(1)]],
    ['longer in one chunk', MIB, [Buffer.alloc(MIB + 1)]],
  ])('%s than promised never makes a complete request', async (_name, size, chunks) => {
    let count = 0;
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(CONTINUE);
      visit.socket.on('data', (chunk: Buffer) => {
        count += chunk.length;
      });
    });
    await expect(put(server.url, { body: chunksOf(...chunks), size })).rejects.toMatchObject({
      code: 'size-mismatch',
    });
    await server.visits[0]?.closed;
    expect(count).toBeLessThan(size);
  });

  test.each([
    ['shorter', 10, [Buffer.alloc(9)]],
    ['longer', 10, [Buffer.alloc(10), Buffer.alloc(1)]],
  ])('small and %s than promised is not sent at all', async (_name, size, chunks) => {
    const server = await serve(async (visit) => void (await visit.request()));
    await expect(put(server.url, { body: chunksOf(...chunks), size })).rejects.toMatchObject({
      code: 'size-mismatch',
    });
    expect(server.visits.length).toBe(0);
  });

  test('that breaks closes the connection before the last chunk', async () => {
    let received = '';
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(CONTINUE);
      visit.socket.on('data', (chunk: Buffer) => {
        received += chunk.toString('latin1');
      });
    });
    async function* breaking() {
      yield Buffer.from('hello');
      throw Object.assign(new Error('read'), { code: 'EIO' });
    }
    await expect(put(server.url, { body: breaking() })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('input/output error'),
    });
    await server.visits[0]?.closed;
    expect(received).toContain('hello');
    expect(received).not.toContain('\r\n0\r\n');
  });

  test('is released when the connection breaks', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(CONTINUE);
      await visit.body(100_000);
      visit.socket.resetAndDestroy();
    });
    const { state, bytes } = watched(...Array.from({ length: 64 }, () => Buffer.alloc(MIB)));
    await expect(put(server.url, { body: bytes, size: 64 * MIB })).rejects.toMatchObject({
      code: 'unavailable',
    });
    await expect.poll(() => state.isReleased).toBe(true);
  });

  test('F4 a server that stops reading is stalled, a slow source is not', async () => {
    const timeouts = { stall: 0.2 };
    const deaf = await serve(async (visit) => {
      await visit.request();
      visit.send(CONTINUE);
      visit.socket.pause();
      await visit.closed;
    });
    const { bytes } = watched(...Array.from({ length: 64 }, () => Buffer.alloc(MIB)));
    await expect(put(deaf.url, { body: bytes }, makeClient({ timeouts }))).rejects.toMatchObject({
      code: 'stalled',
    });
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(CONTINUE);
      await visit.body(2 * MIB);
      visit.send(CREATED);
    });
    async function* slow() {
      yield Buffer.alloc(MIB);
      await new Promise((resolve) => setTimeout(resolve, 700));
      yield Buffer.alloc(MIB);
    }
    const response = await put(server.url, { body: slow(), size: 2 * MIB }, makeClient({ timeouts }));
    expect(response.status).toBe(201);
  });

  test('F22 an answer lost after the body was sent is marked', async () => {
    const after = await serve(async (visit) => {
      await visit.request();
      await visit.body(5);
      visit.socket.end();
    });
    const before = await serve(async (visit) => {
      await visit.request();
      visit.send(CONTINUE);
      await visit.body(MIB);
      visit.socket.end();
    });
    const lost = await put(after.url, { body: chunksOf('hello'), size: 5 }).catch((error: unknown) => error);
    expect(lost).toMatchObject({ code: 'unavailable' });
    expect(isAnswerLost(lost)).toBe(true);
    const large = Array.from({ length: 64 }, () => Buffer.alloc(MIB));
    const cut = await put(before.url, { body: chunksOf(...large) }).catch((error: unknown) => error);
    expect(cut).toMatchObject({ code: 'unavailable' });
    expect(isAnswerLost(cut)).toBe(false);
  });

  test('goes again over another connection when a kept one was dead and none of it was lost', async () => {
    const server = await serve(async (visit, index) => {
      await visit.request();
      if (index === 0) {
        visit.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        await visit.request();
        visit.socket.resetAndDestroy();
        return;
      }
      expect((await visit.body(5)).toString()).toBe('hello');
      visit.send(CREATED);
    });
    const client = makeClient();
    await client.send({ method: 'GET', url: server.url, signal: never });
    const response = await put(server.url, { body: chunksOf('hello'), size: 5 }, client);
    expect(response.status).toBe(201);
  });
});

describe('a redirected upload', () => {
  test.each([
    ['large, before any of it was asked for', 2 * MIB, 307],
    ['small, held in memory', 5, 308],
  ])('goes to the new place: %s', async (_name, size, status) => {
    const target = await serve(async (visit) => {
      const head = await visit.request();
      if (head.includes('expect:')) visit.send(CONTINUE);
      await visit.body(size);
      visit.send(CREATED);
    });
    const server = await serve(async (visit) => {
      await visit.request();
      visit.send(
        `HTTP/1.1 ${status} Go\r\nlocation: ${target.url}/disk?authz=x\r\ncontent-length: 0\r\n\r\n`,
      );
    });
    const { state, bytes } = watched(Buffer.alloc(size));
    const response = await put(`${server.url}/f`, { body: bytes, size });
    expect(response.status).toBe(201);
    expect(response.url).toBe(`${target.url}/disk`);
    expect(state.asked).toBe(1);
  });

  test('303 is refused: its answer says nothing about the upload', async () => {
    const server = await serve(async (visit) => {
      await visit.request();
      await visit.body(5);
      visit.send('HTTP/1.1 303 See Other\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n');
    });
    await expect(put(server.url, { body: chunksOf('hello'), size: 5 })).rejects.toMatchObject({
      code: 'unexpected',
    });
  });
});

import { connect as connectTcp } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import { certificate, chunksOf, closeAll, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const ca = [certificate('ca.pem')];

const answering = (name: 'server' | 'other') =>
  serve(
    async (visit) => {
      for (;;) {
        await visit.request();
        visit.send(OK);
      }
    },
    { certificate: name },
  );

describe('a certificate', () => {
  test('of a trusted authority is accepted, by name and by address', async () => {
    const server = await answering('server');
    const client = makeClient({ ca });
    for (const url of [server.url, server.url.replace('127.0.0.1', 'localhost')]) {
      const response = await client.send({ method: 'GET', url, signal: never });
      expect((await readAll(response)).toString()).toBe('ok');
      expect((await client.send({ method: 'OPTIONS', url, signal: never })).status).toBe(200);
    }
  });

  test('of an authority that is read later is accepted, by all who were refused meanwhile', async () => {
    const server = await answering('server');
    let asked = 0;
    const client = makeClient({
      moreCa: () => {
        asked++;
        return ca;
      },
    });
    const all = Array.from({ length: 4 }, async () =>
      readAll(await client.send({ method: 'GET', url: server.url, signal: never })),
    );
    expect((await Promise.all(all)).map(String)).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(asked).toBe(1);
  });

  test('S11 of an authority that is in no further list either is refused', async () => {
    const server = await answering('server');
    for (const moreCa of [() => [], () => [certificate('other.pem')]]) {
      const sent = makeClient({ moreCa }).send({ method: 'GET', url: server.url, signal: never });
      await expect(sent).rejects.toMatchObject({ code: 'permission-denied' });
    }
  });

  test.each(['GET', 'OPTIONS'])(
    'S11 of an unknown authority is refused for %s, with a way out',
    async (method) => {
      const server = await answering('server');
      await expect(makeClient().send({ method, url: server.url, signal: never })).rejects.toMatchObject({
        code: 'permission-denied',
        message: expect.stringContaining(`the certificate of \`127.0.0.1:${server.port}\` was refused`),
        hint: expect.stringContaining('BRIDLE_TLS_VERIFY=off'),
      });
    },
  );

  test('that never comes, because the port speaks no TLS, is told as that', async () => {
    const server = await serve(async (visit) => visit.send(OK));
    const url = server.url.replace('http:', 'https:');
    await expect(makeClient().send({ method: 'GET', url, signal: never })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('what it answers is not TLS'),
      hint: expect.stringContaining('write `http:`'),
    });
  });

  test('S11 for another host is refused', async () => {
    const server = await answering('other');
    await expect(
      makeClient({ ca }).send({ method: 'GET', url: server.url, signal: never }),
    ).rejects.toMatchObject({ code: 'permission-denied' });
  });

  test.each(['option', 'credentials'])('S11 is accepted by the %s, with one loud warning', async (way) => {
    const server = await answering('other');
    const warnings: string[] = [];
    const client = makeClient({
      ...(way === 'option' ? { verifyTls: false } : {}),
      warn: (_key, message) => warnings.push(message),
    });
    for (let round = 0; round < 2; round++) {
      const response = await client.send({
        method: 'GET',
        url: server.url,
        ...(way === 'option' ? {} : { secrets: async () => ({ verifyTls: false }) }),
        signal: never,
      });
      expect(response.status).toBe(200);
    }
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('NOT verified');
    if (way === 'option') return;
    // A connection made without verification is not lent to those who want it.
    await expect(client.send({ method: 'GET', url: server.url, signal: never })).rejects.toMatchObject({
      code: 'permission-denied',
    });
  });

  test('a server that speaks no TLS is an error that may pass', async () => {
    const server = await serve(async (visit) => {
      visit.send('hello\r\n');
      await visit.closed;
    });
    const url = server.url.replace('http:', 'https:');
    await expect(makeClient().send({ method: 'GET', url, signal: never })).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});

describe('the end of a TLS connection', () => {
  test('F19 a cut is not taken for the end of a body without a length, an end in order is', async () => {
    const size = 300_000;
    for (const isCut of [false, true]) {
      const server = await serve(
        async (visit) => {
          await visit.request();
          visit.send('HTTP/1.1 200 OK\r\n\r\n', Buffer.alloc(size, 'x'));
          if (!isCut) visit.socket.end();
        },
        { certificate: 'server' },
      );
      // Whoever is on the way can end TCP, but not TLS.
      const between = await serve(async (visit) => {
        const upstream = connectTcp(server.port, '127.0.0.1');
        upstream.on('error', () => {});
        visit.socket.pipe(upstream);
        let count = 0;
        upstream.on('data', (chunk) => {
          visit.socket.write(chunk);
          count += chunk.length;
          if (isCut && count > size) visit.socket.end();
        });
        upstream.on('end', () => visit.socket.end());
        await visit.closed;
        upstream.destroy();
      });
      const url = between.url.replace('http:', 'https:');
      const response = await makeClient({ ca }).send({ method: 'GET', url, signal: never });
      const counting = readAll(response).then(({ length }) => length);
      if (isCut) await expect(counting).rejects.toMatchObject({ code: 'unavailable' });
      else expect(await counting).toBe(size);
      // The first connection could not tell, the second was watched.
      expect(server.visits.length).toBe(2);
    }
  });

  test('F19 an answer without a length to something that cannot be asked again is a status without a body', async () => {
    const server = await serve(
      async (visit) => {
        await visit.request();
        await visit.body(2);
        visit.send('HTTP/1.1 201 Created\r\n\r\nstored');
        visit.socket.end();
      },
      { certificate: 'server' },
    );
    const body = chunksOf('ok');
    const response = await makeClient({ ca }).send({
      method: 'PUT',
      url: server.url,
      body,
      size: 2,
      signal: never,
    });
    expect(response.status).toBe(201);
    await expect(readAll(response)).rejects.toMatchObject({ code: 'unsupported' });
  });

  test('F19 a cut before the declared length is one', async () => {
    const server = await serve(
      async (visit) => {
        await visit.request();
        visit.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello');
        visit.socket.end();
      },
      { certificate: 'server' },
    );
    const response = await makeClient({ ca }).send({ method: 'GET', url: server.url, signal: never });
    await expect(readAll(response)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('after 5 of 10 bytes'),
    });
  });

  test.each([16, 32, 64, 128])('F24 a malformed head of %d KiB is refused', async (size) => {
    const server = await serve(
      async (visit) => {
        await visit.request();
        visit.send(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(size * 1024 - 25)}\x01\r\n\r\n`);
      },
      { certificate: 'server' },
    );
    const code = await makeClient({ ca })
      .send({ method: 'GET', url: server.url, signal: never })
      .then(
        () => 'accepted',
        (error: TransferError) => error.code,
      );
    expect(code).toBe('unexpected');
  });

  test('large bodies arrive whole', async () => {
    const size = 9 * 1024 * 1024 + 1;
    const content = Buffer.alloc(size, 'pattern of a prime length.');
    const server = await serve(
      async (visit) => {
        await visit.request();
        visit.send(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`, content);
      },
      { certificate: 'server' },
    );
    const response = await makeClient({ ca }).send({ method: 'GET', url: server.url, signal: never });
    expect((await readAll(response)).equals(content)).toBe(true);
  });
});

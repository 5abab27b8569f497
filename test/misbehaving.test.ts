import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type MisbehavingOptions,
  type MisbehavingServer,
  makeContent,
  readCertificate,
  startMisbehaving,
} from '../fixtures/misbehaving/server.ts';

const SIZE = 300_000;
let server: MisbehavingServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function start(options: MisbehavingOptions): Promise<MisbehavingServer> {
  server = await startMisbehaving({ content: { size: SIZE }, ...options });
  return server;
}

interface Exchange {
  /** Status line and headers, with what separates them from the body. */
  readonly head: string;
  readonly body: Buffer;
  /** `end`: closed properly; `ECONNRESET`; `open` when nothing more came. */
  readonly ended: string;
}

interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly target?: string;
  /** Leave when the answer has reached this length, as a client would. */
  readonly until?: number;
}

/** One request on a connection of its own, the answer byte for byte. */
async function ask(url: string, options: Ask = {}): Promise<Exchange> {
  const { hostname, port, pathname, protocol } = new URL(url);
  const target = { host: hostname, port: Number(port) };
  const socket =
    protocol === 'https:'
      ? connectTls({ ...target, ca: readCertificate('ca.pem'), servername: 'localhost' })
      : connect(target);
  const received: Buffer[] = [];
  let length = 0;
  let ended = 'open';
  socket.on('error', (error: NodeJS.ErrnoException) => {
    ended = error.code ?? 'error';
  });
  socket.on('end', () => {
    ended = 'end';
  });
  socket.on('data', (bytes: Buffer) => {
    received.push(bytes);
    length += bytes.length;
    if (length >= (options.until ?? Number.POSITIVE_INFINITY)) socket.destroy();
  });
  const headers = {
    host: `${hostname}:${port}`,
    ...(options.until === undefined ? { connection: 'close' } : {}),
    ...(options.body ? { 'content-length': String(options.body.length) } : {}),
    ...options.headers,
  };
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${options.method ?? 'GET'} ${options.target ?? pathname} HTTP/1.1\r\n${fields.join('')}\r\n`);
  if (options.body) socket.write(options.body);
  // Not `once`, which rejects on the errors that are expected here.
  await new Promise((resolve) => socket.once('close', resolve));
  const all = Buffer.concat(received);
  const blank = all.indexOf('\r\n\r\n');
  const split = blank < 0 ? 0 : blank + 4;
  return { head: all.toString('latin1', 0, split), body: all.subarray(split), ended };
}

function part(content = makeContent(SIZE), from = 0, to = SIZE): Buffer {
  return Buffer.concat([...content.blocks(from, to)]);
}

function statusOf(exchange: Exchange): number {
  return Number(exchange.head.split(' ')[1]);
}

function fieldOf(exchange: Exchange, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)\r$`, 'im').exec(exchange.head)?.[1];
}

const range = (start: number, headers = {}) => ({ headers: { range: `bytes=${start}-`, ...headers } });

describe('the content', () => {
  test('is the same for the same seed, wherever it is cut', () => {
    const content = makeContent(3 * 1024 * 1024 + 5, 7);
    const whole = part(content, 0, content.size);
    expect(whole.length).toBe(content.size);
    expect(part(content, 1_000_000, 2_100_000).equals(whole.subarray(1_000_000, 2_100_000))).toBe(true);
    expect(content.digest('sha256')).toBe(createHash('sha256').update(whole).digest('hex'));
    expect(makeContent(content.size, 8).digest('sha256')).not.toBe(content.digest('sha256'));
  });

  test('never repeats a page, so that a piece at the wrong place is noticed', () => {
    const whole = part(makeContent(4 * 1024 * 1024), 0, 4 * 1024 * 1024);
    const pages = new Set<string>();
    for (let at = 0; at < whole.length; at += 4096) pages.add(whole.toString('latin1', at, at + 4096));
    expect(pages.size).toBe(1024);
  });
});

describe('without a script the server', () => {
  test('sends the whole, with a strong validator, and records the request', async () => {
    const { url, requests, bytesSent } = await start({});
    const answer = await ask(url, { headers: { 'want-repr-digest': 'sha-256=10', 'x-mark': 'seen' } });
    expect(statusOf(answer)).toBe(200);
    expect(answer.body.equals(part())).toBe(true);
    expect(fieldOf(answer, 'etag')).toBe('"version-1"');
    const digest = Buffer.from(makeContent(SIZE).digest('sha256'), 'hex').toString('base64');
    expect(fieldOf(answer, 'repr-digest')).toBe(`sha-256=:${digest}:`);
    expect(requests[0]).toMatchObject({ origin: 'main', method: 'GET', headers: { 'x-mark': 'seen' } });
    expect(bytesSent()).toBe(SIZE);
  });

  test('honours ranges, If-Range and If-Match', async () => {
    const { url } = await start({});
    const middle = await ask(url, { headers: { range: 'bytes=100-199' } });
    expect(fieldOf(middle, 'content-range')).toBe(`bytes 100-199/${SIZE}`);
    expect(middle.body.equals(part(undefined, 100, 200))).toBe(true);
    expect(statusOf(await ask(url, range(10, { 'if-range': '"version-1"' })))).toBe(206);
    expect(statusOf(await ask(url, range(10, { 'if-range': '"other"' })))).toBe(200);
    expect(statusOf(await ask(url, range(10, { 'if-match': '"other"' })))).toBe(412);
    expect(fieldOf(await ask(url, range(SIZE)), 'content-range')).toBe(`bytes */${SIZE}`);
    expect((await ask(url, { method: 'HEAD' })).body.length).toBe(0);
  });

  test('stores what is put, and moves and deletes it', async () => {
    const { url, stored, requests } = await start({});
    const put = await ask(url, { method: 'PUT', body: part(), headers: { expect: '100-continue' } });
    expect(put.head).toContain('100 Continue');
    expect(stored.get('/data/file.bin')).toMatchObject({
      size: SIZE,
      sha256: makeContent(SIZE).digest('sha256'),
    });
    expect(requests[0]?.received?.size).toBe(SIZE);
    const chunks = Buffer.from('5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nt: 1\r\n\r\n');
    const headers = { 'content-length': '0', 'transfer-encoding': 'chunked' };
    await ask(url, { method: 'PUT', target: '/b', headers, body: chunks });
    expect(stored.get('/b')?.bytes?.toString()).toBe('hello!');
    expect(
      statusOf(await ask(url, { method: 'MOVE', target: '/b', headers: { destination: `${url}2` } })),
    ).toBe(201);
    expect((await ask(`${url}2`)).body.toString()).toBe('hello!');
    expect(statusOf(await ask(`${url}2`, { method: 'DELETE' }))).toBe(204);
  });

  test('answers several requests on one connection', async () => {
    const { url, requests } = await start({ content: { size: 10 } });
    for (let turn = 0; turn < 5; turn++) expect((await (await fetch(url)).arrayBuffer()).byteLength).toBe(10);
    expect(requests).toHaveLength(5);
  });

  test('keeps to a rate', async () => {
    const { url } = await start({ rate: 3_000_000 });
    expect((await ask(url)).body.equals(part())).toBe(true);
  });
});

describe('a body', () => {
  test.each([
    ['F1', 'end'],
    ['F2', 'ECONNRESET'],
  ] as const)('%s breaks off in its middle and ends with `%s`, once', async (script, how) => {
    const { url } = await start({ script, times: 1 });
    const broken = await ask(url);
    expect(fieldOf(broken, 'content-length')).toBe(String(SIZE));
    expect(broken.body.equals(part(undefined, 0, SIZE / 2))).toBe(true);
    expect(broken.ended).toBe(how);
    expect((await ask(url)).body.length).toBe(SIZE);
  });

  test('F3 goes on after its declared length', async () => {
    const { url } = await start({ script: 'F3' });
    const { body } = await ask(url);
    expect(body.length).toBeGreaterThan(SIZE);
  });

  test('F4 falls silent at a byte', async () => {
    const { url } = await start({ script: 'F4', at: 1000 });
    const { head, body, ended } = await ask(url, { until: 1000 });
    expect(ended).toBe('open');
    expect(head.length + body.length).toBeLessThanOrEqual(1000 + head.length);
  });

  test('F5 comes byte by byte', async () => {
    const { url } = await start({ script: 'F5', delay: 1, content: { size: 40 } });
    expect((await ask(url)).body.equals(part(makeContent(40), 0, 40))).toBe(true);
  });

  test('F17 is compressed although nobody asked', async () => {
    const { url } = await start({ script: 'F17' });
    const answer = await ask(url);
    expect(fieldOf(answer, 'content-encoding')).toBe('gzip');
    expect(gunzipSync(answer.body).equals(part())).toBe(true);
  });

  test('F18 lacks its last chunk', async () => {
    const { url } = await start({ script: 'F18' });
    const { body, head } = await ask(url);
    expect(head).toContain('transfer-encoding: chunked');
    expect(body.length).toBeGreaterThan(SIZE);
    expect(body.toString('latin1').endsWith('0\r\n\r\n')).toBe(false);
  });

  test('F19 is cut below TLS, without close-notify', async () => {
    const { url } = await start({ script: 'F19' });
    const { body, head, ended } = await ask(url);
    expect(head).not.toContain('content-length');
    expect(body.length).toBe(SIZE / 2);
    expect(ended).not.toBe('open');
  });

  test('F26 has one wrong byte', async () => {
    const { url } = await start({ script: 'F26', at: 4321, times: 1 });
    const { body } = await ask(url);
    const right = part();
    expect([...body.keys()].filter((index) => body[index] !== right[index])).toEqual([4321]);
    expect((await ask(url)).body.equals(right)).toBe(true);
  });

  test.each([
    ['F29', '500'],
    ['F29-ok', '200'],
  ] as const)('%s is followed by a trailer with status %s', async (script, status) => {
    const { url } = await start({ script });
    expect((await ask(url)).body.toString('latin1')).toMatch(
      new RegExp(`\r\n0\r\nX-Transfer-Status: ${status}: .*\r\n\r\n$`),
    );
  });
});

describe('a resume', () => {
  test('F6 gets the whole', async () => {
    const { url } = await start({ script: 'F6' });
    const answer = await ask(url, range(1000));
    expect(statusOf(answer)).toBe(200);
    expect(answer.body.length).toBe(SIZE);
  });

  test.each([
    ['F7', `bytes 1001-${SIZE - 1}/${SIZE}`, SIZE - 1001],
    ['F7-total', `bytes 1000-${SIZE - 1}/${SIZE + 1}`, SIZE - 1000],
    ['F7-length', `bytes 1000-${SIZE - 1}/${SIZE}`, SIZE - 1001],
  ] as const)('%s gets a range that is not the one', async (script, field, length) => {
    const { url } = await start({ script });
    const answer = await ask(url, range(1000));
    expect(fieldOf(answer, 'content-range')).toBe(field);
    expect(answer.body.length).toBe(length);
  });

  test.each([
    ['F8', 200],
    ['F8-ignores-if-range', 206],
  ] as const)('%s finds another version', async (script, status) => {
    const { url, content } = await start({ script });
    const first = await ask(url);
    expect(first.body.length).toBe(SIZE / 2);
    const second = await ask(url, range(SIZE / 2, { 'if-range': fieldOf(first, 'etag') ?? '' }));
    expect(statusOf(second)).toBe(status);
    expect(fieldOf(second, 'etag')).toBe('"version-2"');
    expect(content().seed).toBe(2);
  });

  test.each([
    ['F9', 'W/"weak"'],
    ['F9-none', undefined],
  ] as const)('%s finds changed bytes behind an unchanged validator', async (script, etag) => {
    const { url, content } = await start({ script });
    const first = await ask(url);
    const second = await ask(url, range(SIZE / 2));
    for (const answer of [first, second]) {
      expect(fieldOf(answer, 'etag')).toBe(etag);
      expect(fieldOf(answer, 'last-modified')).toBeUndefined();
    }
    const mixture = Buffer.concat([first.body, second.body]);
    expect(mixture.length).toBe(SIZE);
    expect(createHash('sha256').update(mixture).digest('hex')).not.toBe(content().digest('sha256'));
  });

  test.each([
    ['F10', SIZE],
    ['F10-wrong', SIZE - 1],
  ] as const)('%s is refused with a size', async (script, total) => {
    const { url } = await start({ script });
    const answer = await ask(url, range(SIZE));
    expect(statusOf(answer)).toBe(416);
    expect(fieldOf(answer, 'content-range')).toBe(`bytes */${total}`);
  });

  test('of several scripts each has its turns', async () => {
    const { url, requests } = await start({
      steps: [
        { script: 'F6', times: 1 },
        { script: 'F2', at: 10, times: 2 },
      ],
    });
    const lengths: number[] = [];
    for (let turn = 0; turn < 3; turn++) lengths.push((await ask(url)).body.length);
    expect(lengths).toEqual([10, 10, SIZE]);
    expect((await ask(url, range(5))).body.length).toBe(SIZE);
    expect(requests.map((request) => request.script)).toEqual(['F2', 'F2', undefined, 'F6']);
  });
});

describe('an answer', () => {
  test.each([
    ['F11', 503, '1'],
    ['F11-date', 503, / GMT$/],
    ['F11-absurd', 503, /^9+$/],
    ['F11-garbage', 503, 'soon, -1'],
    ['F12-told', 429, '1'],
  ] as const)('%s says %d with Retry-After', async (script, status, field) => {
    const { url } = await start({ script, times: 1 });
    const answer = await ask(url);
    expect(statusOf(answer)).toBe(status);
    expect(fieldOf(answer, 'retry-after')).toMatch(field);
    expect(statusOf(await ask(url))).toBe(200);
  });

  test('F12 says 429 every time', async () => {
    const { url } = await start({ script: 'F12' });
    for (let turn = 0; turn < 3; turn++) expect(statusOf(await ask(url))).toBe(429);
  });

  test('F13 accepts only a fresh token after the middle of the body', async () => {
    const { url } = await start({ script: 'F13' });
    const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
    expect(statusOf(await ask(url))).toBe(401);
    expect((await ask(url, as('old'))).body.length).toBe(SIZE / 2);
    expect(statusOf(await ask(url, as('old')))).toBe(401);
    expect((await ask(url, as('fresh'))).body.length).toBe(SIZE);
  });

  test.each([
    ['F14', 'http:', 'http:'],
    ['F15', 'https:', 'http:'],
  ] as const)('%s leads from %s to another origin over %s', async (script, from, to) => {
    const { url, requests, elsewhere } = await start({ script });
    const answer = await ask(url);
    expect(url.startsWith(from)).toBe(true);
    expect(elsewhere.startsWith(to)).toBe(true);
    expect(statusOf(answer)).toBe(302);
    const next = fieldOf(answer, 'location') ?? '';
    expect((await ask(next, { headers: { authorization: 'mark' } })).body.length).toBe(SIZE);
    expect(requests[1]).toMatchObject({ origin: 'elsewhere', headers: { authorization: 'mark' } });
  });

  test('F16 leads to itself, or on for ever', async () => {
    const { url } = await start({ script: 'F16' });
    expect(fieldOf(await ask(url), 'location')).toBe('/data/file.bin');
    await server?.close();
    const endless = await start({ script: 'F16-endless' });
    await ask(endless.url);
    expect(fieldOf(await ask(endless.url), 'location')).toBe('/hop/2');
  });

  test.each([
    ['F20', /^sha-256=:/],
    ['F20-other', /^md5=:/],
    ['F20-mislabelled', /^sha-512=:/],
  ] as const)('%s declares a digest that does not help', async (script, field) => {
    const { url } = await start({ script });
    const answer = await ask(url);
    expect(fieldOf(answer, 'repr-digest')).toMatch(field);
    const right = Buffer.from(makeContent(SIZE).digest('sha256'), 'hex').toString('base64');
    expect(fieldOf(answer, 'repr-digest')).not.toBe(`sha-256=:${right}:`);
  });

  test('F24 has headers without end, or one that is too long', async () => {
    const { url } = await start({ script: 'F24' });
    expect((await ask(url, { until: 2_000_000 })).head).toBe('');
    await server?.close();
    const long = await start({ script: 'F24-long' });
    expect(fieldOf(await ask(long.url), 'x-long')?.length).toBe(1024 * 1024);
  });

  test('F27 comes late', async () => {
    const { url } = await start({ script: 'F27', delay: 50 });
    expect((await ask(url)).body.length).toBe(SIZE);
  });

  test('F28 comes from the proxy, old or damaged, unless no copy is wanted', async () => {
    const { url, proxy, requests } = await start({ script: 'F28' });
    const stale = await ask(proxy, { target: url });
    expect(fieldOf(stale, 'etag')).toBe('"stale"');
    expect(stale.body.equals(part(makeContent(SIZE, 1001)))).toBe(true);
    const fresh = await ask(proxy, { target: url, headers: { 'cache-control': 'no-cache' } });
    expect(fresh.body.equals(part())).toBe(true);
    expect(requests.map((request) => request.origin)).toEqual(['proxy', 'proxy']);
    await server?.close();
    const damaged = await start({ script: 'F28-damaged' });
    expect((await ask(damaged.proxy, { target: damaged.url })).body.equals(part())).toBe(false);
  });
});

describe('an upload', () => {
  test.each(['PUT', 'MKCOL'])('F22 stores by %s and loses the answer', async (method) => {
    const { url, stored } = await start({ script: 'F22', times: 1 });
    const lost = await ask(url, method === 'PUT' ? { method, body: part() } : { method });
    expect(lost).toMatchObject({ head: '', ended: 'ECONNRESET' });
    expect(stored.has('/data/file.bin')).toBe(true);
    expect(statusOf(await ask(url, { method: 'HEAD' }))).toBe(200);
  });

  test.each([
    ['F23', 507],
    ['F23-413', 413],
  ] as const)('%s is refused before its body', async (script, status) => {
    const { url, stored } = await start({ script, times: 1 });
    const headers = { expect: '100-continue', 'content-length': '5' };
    const refused = await ask(url, { method: 'PUT', headers });
    expect(refused.head).not.toContain('100 Continue');
    expect(statusOf(refused)).toBe(status);
    expect(stored.size).toBe(0);
  });

  test('F23-midway is refused while its body comes', async () => {
    const { url, stored } = await start({ script: 'F23-midway', at: 1000 });
    expect(statusOf(await ask(url, { method: 'PUT', body: part() }))).toBe(507);
    expect(stored.size).toBe(0);
  });
});

describe('a connection', () => {
  test('F25 is refused', async () => {
    const { url } = await start({ script: 'F25' });
    expect((await ask(url)).ended).toBe('ECONNREFUSED');
  });

  test('F25-dns has a name that does not exist', async () => {
    const { url } = await start({ script: 'F25-dns' });
    expect(new URL(url).hostname).toMatch(/\.invalid$/);
  });

  test('F25-black-hole is never answered', async () => {
    const { url } = await start({ script: 'F25-black-hole' });
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) });
    const first = await Promise.race([
      once(socket, 'connect').then(() => 'connected'),
      new Promise((resolve) => setTimeout(resolve, 200, 'nothing')),
    ]);
    socket.destroy();
    expect(first).toBe('nothing');
  });

  test('over TLS shows the certificate of localhost, or of another host', async () => {
    const { url } = await start({ tls: true });
    expect((await ask(url)).body.length).toBe(SIZE);
    await server?.close();
    const wrong = await start({ tls: 'wrong-host' });
    expect((await ask(wrong.url)).ended).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });
});

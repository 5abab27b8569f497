import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { parseChallenges } from '../../src/http/challenge.ts';
import { digestAuthorization, sessionFor } from '../../src/http/digest-auth.ts';
import type { HttpRequest } from '../../src/protocol.ts';
import { chunksOf, closeAll, makeClient, never, readAll, serve } from './scripted.ts';

afterEach(closeAll);

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const JOE = { username: 'joe', password: 'MARK' };
const refusal = (...challenges: string[]) =>
  `HTTP/1.1 401 No\r\n${challenges.map((each) => `www-authenticate: ${each}\r\n`).join('')}content-length: 0\r\n\r\n`;
const digestOf = (nonce: string, more = '') =>
  `Digest realm="r", nonce="${nonce}", algorithm=SHA-256, qop="auth"${more}`;

/** The fields of a Digest Authorization, by name. */
function shown(head: string): Record<string, string> | undefined {
  const value = /\r\nauthorization: (Digest .*)\r\n/.exec(head)?.[1];
  return value === undefined ? undefined : Object.fromEntries(parseChallenges(value)[0]!.parameters);
}

/** True when the digest is that of the login and this very request. */
function isRight(head: string, login = JOE): boolean {
  const { uri, nonce, nc, cnonce, response, realm } = shown(head) ?? {};
  const [method, path] = head.split(' ');
  const h = (text: string) => createHash('sha256').update(text).digest('hex');
  const secret = h(`${login.username}:${realm}:${login.password}`);
  return uri === path && response === h(`${secret}:${nonce}:${nc}:${cnonce}:auth:${h(`${method}:${path}`)}`);
}

/** A server that answers each request by its head, and what it was asked. */
async function answering(answer: (head: string, index: number) => string) {
  const heads: string[] = [];
  const server = await serve(async (visit) => {
    for (;;) {
      heads.push(await visit.request());
      visit.send(answer(heads.at(-1)!, heads.length - 1));
    }
  });
  return { heads, url: server.url };
}

const ask = (url: string, more: Partial<HttpRequest> = {}) => ({
  method: 'GET',
  url: `${url}/dir/a%20file?x=1`,
  secrets: async () => JOE,
  signal: never,
  ...more,
});

describe('challenges', () => {
  test.each([
    ['Basic realm="a, b=\\"c\\"", charset="UTF-8"', [['basic', { realm: 'a, b="c"', charset: 'UTF-8' }]]],
    [
      'Digest a=b , c = "d",Basic realm=x',
      [
        ['digest', { a: 'b', c: 'd' }],
        ['basic', { realm: 'x' }],
      ],
    ],
    [
      'Negotiate, Basic realm="x"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'x' }],
      ],
    ],
    [
      'Negotiate YIIabc==, Digest nonce="n"',
      [
        ['negotiate', {}],
        ['digest', { nonce: 'n' }],
      ],
    ],
    ['Bearer', [['bearer', {}]]],
    ['', []],
    [', ,', []],
    ['Basic realm="no end', [['basic', {}]]],
  ])('of `%s` are read', (field, expected) => {
    const read = parseChallenges(field).map(({ scheme, parameters }) => [
      scheme,
      Object.fromEntries(parameters),
    ]);
    // What follows something malformed means nothing.
    expect(read.slice(0, expected.length)).toEqual(expected);
  });
});

describe('a digest', () => {
  // RFC 7616 §3.9.1.
  const MUFASA = {
    method: 'GET',
    uri: '/dir/index.html',
    username: 'Mufasa',
    password: 'Circle of Life',
    cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
  };
  test.each([
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ])('is that of the standard, %s', (algorithm, response) => {
    const [challenge] = parseChallenges(
      `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
    );
    const value = digestAuthorization(sessionFor([challenge!])!, MUFASA);
    expect(value).toContain(`response="${response}"`);
    expect(value).toContain('nc=00000001');
    expect(value).toContain('opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"');
  });

  test('of RFC 7616 §3.9.2 hides the user name', () => {
    const session = sessionFor(
      parseChallenges(
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true',
      ),
    )!;
    const value = digestAuthorization(session, {
      ...MUFASA,
      username: 'Jäsøn Doe',
      password: 'Secret, or not?',
    });
    expect(session.hash).toBe('sha512-256');
    expect(value).toContain('userhash=true');
    expect(value).not.toMatch(/J%C3%A4s|Jäs/);
  });

  test('of a user name beyond ASCII goes in a form that a header can carry', () => {
    const session = sessionFor(parseChallenges(digestOf('n')))!;
    expect(digestAuthorization(session, { ...MUFASA, username: 'Jäsøn' })).toContain(
      "username*=UTF-8''J%C3%A4s%C3%B8n",
    );
  });

  test('by `-sess` and of servers without qop', () => {
    const h = (text: string) => createHash('md5').update(text).digest('hex');
    const old = sessionFor(parseChallenges('Digest realm="r", nonce="n"'))!;
    const what = h('GET:/dir/index.html');
    const login = h('Mufasa:r:Circle of Life');
    expect(digestAuthorization(old, MUFASA)).toContain(`response="${h(`${login}:n:${what}`)}"`);
    const sess = sessionFor(parseChallenges('Digest realm="r", nonce="n", algorithm=MD5-sess, qop=auth'))!;
    const secret = h(`${login}:n:${MUFASA.cnonce}`);
    const response = h(`${secret}:n:00000001:${MUFASA.cnonce}:auth:${what}`);
    expect(digestAuthorization(sess, MUFASA)).toContain(`response="${response}"`);
  });

  test.each([
    ['SHA-256 before MD5', [digestOf('a').replace('SHA-256', 'MD5'), digestOf('b')].join(', '), 'b'],
    ['only `auth`', 'Digest realm="r", nonce="n", qop="auth-int"', undefined],
    ['no hash that nobody knows', 'Digest realm="r", nonce="n", algorithm=XYZ, qop="auth"', undefined],
    ['nothing without a nonce', 'Digest realm="r"', undefined],
  ])('takes %s', (_, field, nonce) => {
    expect(sessionFor(parseChallenges(field))?.nonce).toBe(nonce);
  });
});

describe('a login', () => {
  test('by digest is right for each request, and counts the uses of the nonce', async () => {
    const { heads, url } = await answering((head) =>
      isRight(head) ? OK : refusal(digestOf('n1'), 'Basic realm="r"'),
    );
    const client = makeClient();
    for (const method of ['GET', 'DELETE', 'GET']) {
      const response = await client.send(ask(url, { method, asksFirst: true }));
      expect(response.status).toBe(200);
      await response.discard();
    }
    expect(heads.map((head) => shown(head)?.nc)).toEqual([undefined, '00000001', '00000002', '00000003']);
    // Nothing but digests went, also to a server that would have taken the password itself.
    expect(heads.join('')).not.toContain('Basic');
  });

  test('P10 that asks first shows no password before it was asked, and Basic to who asks for Basic', async () => {
    const { heads, url } = await answering((head) =>
      /authorization: Basic/.test(head) ? OK : refusal('Basic realm="r"'),
    );
    const client = makeClient();
    for (let round = 0; round < 2; round++) {
      await (await client.send(ask(url, { asksFirst: true }))).discard();
    }
    expect(heads.map((head) => /authorization: (\w+)/.exec(head)?.[1])).toEqual([
      undefined,
      'Basic',
      'Basic',
    ]);
  });

  test('with a nonce that is too old goes on with the new one', async () => {
    const { heads, url } = await answering((head, index) => {
      if (index === 0) return refusal(digestOf('n1'));
      if (shown(head)?.nonce === 'n1' && index > 1) return refusal(digestOf('n2', ', stale=TRUE'));
      return OK;
    });
    const client = makeClient();
    for (let round = 0; round < 2; round++) {
      expect((await readAll(await client.send(ask(url)))).toString()).toBe('ok');
    }
    expect(heads.map((head) => `${shown(head)?.nonce} ${shown(head)?.nc}`).slice(1)).toEqual([
      'n1 00000001',
      'n1 00000002',
      'n2 00000001',
    ]);
  });

  test('takes the next nonce that the server names', async () => {
    const { heads, url } = await answering((_, index) =>
      index === 0
        ? refusal(digestOf('n1'))
        : `HTTP/1.1 200 OK\r\nauthentication-info: nextnonce="n${index + 1}"\r\ncontent-length: 2\r\n\r\nok`,
    );
    const client = makeClient();
    for (let round = 0; round < 2; round++) await readAll(await client.send(ask(url)));
    expect(heads.map((head) => `${shown(head)?.nonce} ${shown(head)?.nc}`).slice(1)).toEqual([
      'n1 00000001',
      'n2 00000001',
    ]);
  });

  test('P6 that is wrong is refused after one digest, and is in no message', async () => {
    const { heads, url } = await answering(() => refusal(digestOf('n')));
    const error = await makeClient()
      .send(ask(url, { asksFirst: true }))
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'unauthenticated' });
    expect(`${error} ${JSON.stringify(error)}`).not.toContain('MARK');
    expect(heads).toHaveLength(2);
  });

  test('P7 with nonces that are always too old comes to an end', async () => {
    const { heads, url } = await answering(() => refusal(digestOf('n', ', stale=true')));
    await expect(makeClient().send(ask(url))).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(heads.length).toBeLessThanOrEqual(6);
  });

  test('P10 F14 does not go with a redirect to another origin', async () => {
    const other = await answering(() => refusal(digestOf('n')));
    const { url } = await answering((head) =>
      isRight(head)
        ? `HTTP/1.1 307 There\r\nlocation: ${other.url}/f\r\ncontent-length: 0\r\n\r\n`
        : refusal(digestOf('n')),
    );
    const response = makeClient().send(ask(url));
    await expect(response).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(other.heads.join('')).not.toMatch(/authorization/);
  });

  test('for an upload is asked for before the body goes', async () => {
    const size = 2 * 1024 * 1024;
    const heads: string[] = [];
    const server = await serve(async (visit) => {
      for (;;) {
        heads.push(await visit.request());
        if (!isRight(heads.at(-1)!)) {
          visit.send(refusal(digestOf('n')));
          continue;
        }
        visit.send('HTTP/1.1 100 Continue\r\n\r\n');
        await visit.body(size);
        visit.send(OK);
      }
    });
    const body = chunksOf(Buffer.alloc(size));
    const response = await makeClient().send(ask(server.url, { method: 'PUT', body, size, asksFirst: true }));
    expect(response.status).toBe(200);
    expect(heads).toHaveLength(2);
    expect(heads[0]).toContain('expect: 100-continue');
  });
});

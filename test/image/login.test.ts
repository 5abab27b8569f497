import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { type Asked, end, type MemoryRegistry, putImage } from '../../fixtures/misbehaving/registry.ts';
import type { Secrets } from '../../src/protocol.ts';
import { never } from '../http/scripted.ts';
import { closeScene, collect, find, refusalOf, registry } from './scene.ts';

afterEach(closeScene);

const NAME = { repository: 'a/b', tag: '1' };
const LOGIN: Secrets = { username: 'user', password: 's3cret' };
const BASIC = `Basic ${Buffer.from('user:s3cret').toString('base64')}`;
const DENIED = JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] });

/** A registry that takes only `token N` of the service `realm`, N being the newest. */
async function tokenRegistry(service: {
  realm: string;
  token: () => string | undefined;
  more?: string;
}): Promise<MemoryRegistry> {
  const host = await registry(({ url, authorization }, response) => {
    if (url === '/v2/' || (authorization !== undefined && authorization === `Bearer ${service.token()}`))
      return false;
    const challenge = `Bearer scope="repository:a/b:pull",service="the service",realm="${service.realm}"${service.more ?? ''}`;
    end(response, 401, { 'www-authenticate': challenge }, DENIED);
    return true;
  });
  putImage(host, NAME, [Buffer.alloc(512)]);
  return host;
}

/** A token service that answers as `reply` says, and what it was asked. */
async function tokenService(reply: (asked: Asked, response: ServerResponse, count: number) => void) {
  let count = 0;
  const host = await registry((asked, response) => {
    count += 1;
    reply(asked, response, count);
    return true;
  });
  return { host, realm: `http://${host.authority}/token` };
}

describe('a registry that wants tokens', () => {
  test.each([
    ['token', 'as nobody in particular', {}, undefined],
    ['access_token', 'with a login', LOGIN, BASIC],
  ])('gets the `%s` of its service, asked for %s', async (field, _, secrets, shown) => {
    const service = await tokenService((_asked, response) =>
      end(response, 200, {}, JSON.stringify({ [field]: 't1' })),
    );
    const host = await tokenRegistry({ realm: service.realm, token: () => 't1' });
    const { image } = await find(`${host.authority}/a/b:1`, { secrets });
    await collect(await image.layers[0]!.read(never));
    expect(service.host.asked).toHaveLength(1);
    const [asked] = service.host.asked;
    expect(asked?.url).toBe('/token?service=the+service&scope=repository%3Aa%2Fb%3Apull');
    expect(asked?.authorization).toBe(shown);
    expect(
      host.asked.every(({ authorization }) => authorization === undefined || authorization === 'Bearer t1'),
    ).toBe(true);
  });

  test('F13 that has expired gets another one, and one that still does not do is refused', async () => {
    let newest = 1;
    const service = await tokenService((_, response, count) =>
      end(response, 200, {}, JSON.stringify({ token: `t${count}`, expires_in: 300 })),
    );
    const host = await tokenRegistry({
      realm: service.realm,
      token: () => `t${newest}`,
      more: ',error="invalid_token"',
    });
    const { image } = await find(`${host.authority}/a/b:1`);
    newest = 2;
    await collect(await image.layers[0]!.read(never));
    newest = 99;
    expect(await refusalOf(image.layers[0]!.read(never))).toMatch(/^unauthenticated: /);
  });

  test('gets an identity token by the form alone, which follows no redirect', async () => {
    const other = await registry();
    const service = await tokenService((asked, response, count) => {
      if (count > 1) return end(response, 307, { location: `http://${other.authority}/token` }, '');
      return end(
        response,
        200,
        {},
        JSON.stringify({ access_token: asked.method === 'POST' ? 't1' : 'wrong' }),
      );
    });
    const host = await tokenRegistry({ realm: service.realm, token: () => 't1' });
    const secrets: Secrets = { registry: { identityToken: 's3cret-identity' } };
    await find(`${host.authority}/a/b:1`, { secrets });
    const form = new URLSearchParams(service.host.asked[0]?.body.toString());
    expect(Object.fromEntries(form)).toMatchObject({
      grant_type: 'refresh_token',
      refresh_token: 's3cret-identity',
      scope: 'repository:a/b:pull',
      service: 'the service',
    });
    expect(service.host.asked[0]?.url).toBe('/token');
    expect(await refusalOf(find(`${host.authority}/a/b:1`, { secrets }))).toMatch(/^unexpected: /);
    expect(other.asked).toEqual([]);
  });

  test('gets the token of a login file as it is', async () => {
    const service = await tokenService((_, response) => end(response, 500, {}, ''));
    const host = await tokenRegistry({ realm: service.realm, token: () => 'of-the-file' });
    await find(`${host.authority}/a/b:1`, { secrets: { bearer: 'of-the-file' } });
    expect(service.host.asked).toEqual([]);
  });

  test('S1 and names a service on another host by http gets no login there', async () => {
    const host = await tokenRegistry({ realm: 'http://registry.example.org/token', token: () => 't1' });
    const refused = await refusalOf(find(`${host.authority}/a/b:1`, { secrets: LOGIN }));
    expect(refused).toMatch(
      /^permission-denied: .*refused to ask `registry.example.org` for a token by http: the login/,
    );
  });

  test('S1 a token service that sends on to another origin sends the login nowhere', async () => {
    const other = await registry((_, response) => {
      end(response, 200, {}, JSON.stringify({ token: 't1' }));
      return true;
    });
    const service = await tokenService((_, response) =>
      end(response, 307, { location: `http://${other.authority}/token` }, ''),
    );
    const host = await tokenRegistry({ realm: service.realm, token: () => 't1' });
    await find(`${host.authority}/a/b:1`, { secrets: LOGIN });
    expect(other.asked).toHaveLength(1);
    expect(other.asked[0]?.authorization).toBeUndefined();
  });

  test('whose service does not take the login is refused, without showing it', async () => {
    const service = await tokenService((_, response) => end(response, 401, {}, DENIED));
    const host = await tokenRegistry({ realm: service.realm, token: () => 't1' });
    const refused = await refusalOf(find(`${host.authority}/a/b:1`, { secrets: LOGIN }));
    expect(refused).toMatch(/^unauthenticated: .*it does not take the login/);
    expect(refused).not.toContain('s3cret');
  });
});

describe('a registry that wants a user and a password', () => {
  async function basicRegistry(): Promise<MemoryRegistry> {
    const host = await registry(({ url, authorization }, response) => {
      if (url === '/v2/' || authorization === BASIC) return false;
      end(response, 401, { 'www-authenticate': 'Basic realm="test"' }, DENIED);
      return true;
    });
    putImage(host, NAME, [Buffer.alloc(512)]);
    return host;
  }

  test('gets them once it asked for them', async () => {
    const host = await basicRegistry();
    await find(`${host.authority}/a/b:1`, { secrets: LOGIN });
    const shown = host.asked
      .filter(({ url }) => url.includes('/manifests/'))
      .map(({ authorization }) => authorization);
    expect(shown).toEqual([undefined, BASIC]);
  });

  test('P6 and does not take them is not asked for ever', async () => {
    const host = await basicRegistry();
    const refused = await refusalOf(
      find(`${host.authority}/a/b:1`, { secrets: { ...LOGIN, password: 'wrong' } }),
    );
    expect(refused).toMatch(/^unauthenticated: .*does not take the login/);
    expect(host.asked.length).toBeLessThan(5);
  });
});

describe('a blob that the registry keeps elsewhere', () => {
  test('F14 S1 comes from there without the login', async () => {
    const store = await registry();
    const host = await registry(({ url, authorization }, response) => {
      if (url === '/v2/') return false;
      if (authorization !== BASIC) {
        end(response, 401, { 'www-authenticate': 'Basic realm="test"' }, DENIED);
        return true;
      }
      if (!url.includes('/blobs/')) return false;
      end(response, 307, { location: `http://${store.authority}${url}?signature=1` }, '');
      return true;
    });
    putImage(store, NAME, [Buffer.alloc(512)]);
    putImage(host, NAME, [Buffer.alloc(512)]);
    const { image } = await find(`${host.authority}/a/b:1`, { secrets: LOGIN });
    await collect(await image.layers[0]!.read(never));
    expect(store.asked.length).toBeGreaterThan(1);
    expect(store.asked.map(({ authorization }) => authorization)).toEqual(store.asked.map(() => undefined));
  });

  test('S1 a store that asks for a login gets none', async () => {
    const store = await registry((_, response) => {
      end(response, 401, { 'www-authenticate': 'Basic realm="evil"' }, DENIED);
      return true;
    });
    const host = await registry(({ url }, response) => {
      if (!url.includes('/blobs/')) return false;
      end(response, 307, { location: `http://${store.authority}${url}` }, '');
      return true;
    });
    putImage(host, NAME, [Buffer.alloc(512)]);
    expect(await refusalOf(find(`${host.authority}/a/b:1`, { secrets: LOGIN }))).toMatch(
      /^unauthenticated: /,
    );
    expect(store.asked.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test('S1 a foreign layer comes from where its manifest says, without the login', async () => {
    const store = await registry();
    const host = await registry(({ url, authorization }, response) => {
      if (url === '/v2/' || authorization === BASIC) return false;
      end(response, 401, { 'www-authenticate': 'Basic realm="test"' }, DENIED);
      return true;
    });
    const made = putImage(host, NAME, [Buffer.alloc(512)]);
    const layer = made.layers[0]!;
    const { bytes } = host.manifests.get('a/b/1')!;
    const manifest = JSON.parse(bytes.toString());
    manifest.layers[0].mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
    manifest.layers[0].urls = [
      'http://example.org/not-by-http',
      `http://${store.authority}/v2/x/blobs/${layer}`,
    ];
    host.putManifest('a/b', '1', manifest.mediaType, manifest);
    store.putBlob(host.blobs.get(layer)!);
    host.blobs.delete(layer);
    const { image } = await find(`${host.authority}/a/b:1`, { secrets: LOGIN });
    await collect(await image.layers[0]!.read(never));
    expect(store.asked.map(({ url, authorization }) => [url, authorization])).toEqual([
      [`/v2/x/blobs/${layer}`, undefined],
    ]);
  });
});

import { afterEach, describe, expect, test } from 'vitest';
import { end, type MemoryRegistry } from '../../fixtures/misbehaving/registry.ts';
import type { Image } from '../../src/image/image.ts';
import { parseReference } from '../../src/image/reference.ts';
import { pushImage } from '../../src/image/registry/push.ts';
import { makeClient, never } from '../http/scripted.ts';
import { makeImage, tarOf } from './busybox-image.ts';
import { closeScene, find, refusalOf, registry } from './scene.ts';

afterEach(closeScene);

const image = makeImage({
  layers: [1, 2].map((seed) => tarOf([{ name: `file-${seed}`, content: Buffer.alloc(900, seed) }])),
});

function push(host: MemoryRegistry, made: Image = image, name = 'a/b:1') {
  const tools = {
    http: makeClient(),
    settings: { insecure: [], mirrors: [] },
    secretsFor: async () => ({ username: 'user', password: 's3cret' }),
    warn: () => undefined,
  };
  return pushImage(made, parseReference(`${host.authority}/${name}`), tools, { signal: never });
}

const kindOf = ({ method, url }: { method: string; url: string }) =>
  `${method} ${/\/(manifests|blobs)\//.exec(url)?.[1] ?? url}`;

describe('an image that is pushed', () => {
  test('has its manifest sent last, once every blob is there, and is found again', async () => {
    const host = await registry();
    expect(await push(host)).toMatchObject({ sent: 3, mounted: 0, skipped: 0 });
    const asked = host.asked.filter(({ method }) => method !== 'GET').map(kindOf);
    expect(asked.at(-1)).toBe('PUT manifests');
    expect(asked.filter((kind) => kind === 'PUT manifests')).toHaveLength(1);
    const found = await find(`${host.authority}/a/b:1`);
    expect(found.digest).toBe(image.manifest.descriptor.digest);
    expect(await push(host, image, 'a/b:2')).toMatchObject({ sent: 0, skipped: 3 });
  });

  test('takes blobs over from the repository that it was pulled from', async () => {
    const host = await registry(({ method, url }, response) => {
      // Each repository has its own view of what is there.
      if (method !== 'HEAD' || !url.includes('/to/there/')) return false;
      response.writeHead(404).end();
      return true;
    });
    await push(host, image, 'from/here:1');
    const named = { ...image, name: `${host.authority}/from/here:1` };
    expect(await push(host, named, 'to/there:1')).toMatchObject({ sent: 0, mounted: 3 });
    const posts = host.asked.filter(({ method, url }) => method === 'POST' && url.includes('/to/there/'));
    expect(posts.every(({ url }) => url.endsWith('&from=from%2Fhere'))).toBe(true);
  });

  test('S8 leaves no manifest when a layer is not what it was', async () => {
    const [first, second] = image.layers;
    const host = await registry();
    const wrong = { ...first!, read: (signal: AbortSignal) => second!.read(signal) };
    const refused = await refusalOf(push(host, { ...image, layers: [wrong, second!] }));
    expect(refused).toContain('DIGEST_INVALID');
    expect(host.manifests.size).toBe(0);
    expect(host.blobs.has(first!.descriptor.digest)).toBe(false);
  });

  test('S8 is not called done where the registry stored something else', async () => {
    const host = await registry(({ method, url }, response) => {
      if (method !== 'PUT' || !url.includes('/manifests/')) return false;
      end(response, 201, { 'docker-content-digest': `sha256:${'0'.repeat(64)}` }, '');
      return true;
    });
    expect(await refusalOf(push(host))).toContain(
      `digest-mismatch: push \`${host.authority}/a/b:1\`: the registry stored`,
    );
  });

  test('under a digest that is not its own is refused before anything is sent', async () => {
    const host = await registry();
    const refused = await refusalOf(push(host, image, `a/b@sha256:${'0'.repeat(64)}`));
    expect(refused).toContain(`the image has the digest \`${image.manifest.descriptor.digest}\``);
    expect(host.asked).toEqual([]);
  });

  test('F11 is tried again where the registry was not able to', async () => {
    let failures = 0;
    const host = await registry(({ method, url }, response) => {
      if (method !== 'POST' || failures > 0) return false;
      failures += 1;
      end(response, 503, { 'retry-after': '0' }, '');
      return Boolean(url);
    });
    expect(await push(host)).toMatchObject({ sent: 3 });
  });

  test('S1 goes where the registry says, without its login when that is another host', async () => {
    const basic = `Basic ${Buffer.from('user:s3cret').toString('base64')}`;
    const store = await registry((asked, response) => {
      if (asked.url === '/v2/') return false;
      host.blobs.set(new URL(asked.url, 'http://h').searchParams.get('digest') ?? '', asked.body);
      end(response, 201, {}, '');
      return true;
    });
    const host = await registry(({ method, url, authorization }, response) => {
      if (url === '/v2/') return false;
      if (authorization !== basic) {
        end(response, 401, { 'www-authenticate': 'Basic realm="r"' }, '');
        return true;
      }
      if (method !== 'POST') return false;
      end(response, 202, { location: `http://${store.authority}/upload/1?state=s` }, '');
      return true;
    });
    expect(await push(host)).toMatchObject({ sent: 3 });
    expect(store.asked).toHaveLength(3);
    for (const { url, authorization } of store.asked) {
      expect(url).toMatch(/^\/upload\/1\?state=s&digest=sha256%3A[0-9a-f]{64}$/);
      expect(authorization).toBeUndefined();
    }
  });
});

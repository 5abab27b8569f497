import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { end, type MemoryRegistry, putImage, sha256 } from '../../fixtures/misbehaving/registry.ts';
import { never } from '../http/scripted.ts';
import { closeScene, collect, find, refusalOf, registry } from './scene.ts';

afterEach(closeScene);

const LAYER = Buffer.alloc(10_240, 'layer ');
const NAME = { repository: 'a/b', tag: '1' };
const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

const error = (code: string, message = 'of its own') => JSON.stringify({ errors: [{ code, message }] });

describe('an image of a registry', () => {
  test('is found by tag and by digest, its layers read as they are stored', async () => {
    const host = await registry();
    const made = putImage(host, NAME, [LAYER, Buffer.alloc(512)]);
    const byTag = await find(`${host.authority}/a/b:1`);
    expect(byTag).toMatchObject({ digest: made.digest, from: host.authority, notes: [] });
    expect(byTag.image.name).toBe(`${host.authority}/a/b:1`);
    expect(byTag.image.config.descriptor.digest).toBe(made.config);
    expect(byTag.image.layers.map(({ diffId }) => diffId)).toEqual([
      sha256(LAYER),
      sha256(Buffer.alloc(512)),
    ]);
    const [layer] = byTag.image.layers;
    expect(await collect(await layer!.read(never))).toEqual(gzipSync(LAYER));
    const byDigest = await find(`${host.authority}/a/b@${made.digest}`);
    expect(byDigest.image.manifest).toEqual(byTag.image.manifest);
  });

  test('S8 whose manifest is not what was asked for by digest is refused', async () => {
    const host = await registry();
    const made = putImage(host, NAME, [LAYER]);
    const key = `a/b/${made.digest}`;
    const kept = host.manifests.get(key)!;
    host.manifests.set(key, { ...kept, bytes: Buffer.concat([kept.bytes, Buffer.from(' ')]) });
    const refused = await refusalOf(find(`${host.authority}/a/b@${made.digest}`));
    expect(refused).toContain('digest-mismatch: pull');
    expect(refused).toContain(`asked for \`${made.digest}\``);
  });

  test('S8 whose manifest is not what the registry says of it is refused', async () => {
    const host = await registry(({ url }, response) => {
      if (!url.endsWith('/manifests/1')) return false;
      const { bytes, type } = host.manifests.get('a/b/1')!;
      end(response, 200, { 'content-type': type, 'docker-content-digest': sha256(Buffer.from('x')) }, bytes);
      return true;
    });
    putImage(host, NAME, [LAYER]);
    expect(await refusalOf(find(`${host.authority}/a/b:1`))).toContain('digest-mismatch: pull');
  });

  test.each([
    ['S8 other bytes', (blob: Buffer) => Buffer.from(blob).fill(0xff, 5, 6), 'digest-mismatch'],
    ['S8 fewer bytes', (blob: Buffer) => blob.subarray(1), 'size-mismatch'],
    ['S8 more bytes', (blob: Buffer) => Buffer.concat([blob, Buffer.from('x')]), 'size-mismatch'],
  ])('%s in a layer are refused', async (_, spoil, code) => {
    const host = await registry();
    const made = putImage(host, NAME, [LAYER]);
    const digest = made.layers[0]!;
    host.blobs.set(digest, spoil(host.blobs.get(digest)!));
    const { image } = await find(`${host.authority}/a/b:1`);
    const refused = await refusalOf(image.layers[0]!.read(never).then(collect));
    expect(refused).toContain(`${code}: pull \`${digest}\``);
  });

  test('S8 a layer of another length that comes without telling its length is refused', async () => {
    const host = await registry(({ url }, response) => {
      if (!url.includes('/blobs/') || url.includes(made.config)) return false;
      response.writeHead(200).write(host.blobs.get(made.layers[0]!)!);
      response.end('x');
      return true;
    });
    const made = putImage(host, NAME, [LAYER]);
    const { image } = await find(`${host.authority}/a/b:1`);
    const refused = await refusalOf(image.layers[0]!.read(never).then(collect));
    expect(refused).toMatch(/^size-mismatch: .*got more/);
  });

  test('F1 a layer that breaks off rejects, and goes on by range where it was, its digest compared over both', async () => {
    let isCut = true;
    const host = await registry(({ url, range }, response) => {
      if (!isCut || !url.includes('/blobs/') || url.includes(made.config) || range !== undefined)
        return false;
      isCut = false;
      const blob = host.blobs.get(made.layers[0]!)!;
      response
        .writeHead(200, { 'content-length': blob.length })
        .write(blob.subarray(0, 20), () => response.destroy());
      return true;
    });
    const made = putImage(host, NAME, [LAYER]);
    const { image } = await find(`${host.authority}/a/b:1`);
    const layer = image.layers[0]!;
    const got: Uint8Array[] = [];
    const broken = (async () => {
      for await (const piece of await layer.read(never)) got.push(Uint8Array.from(piece));
    })();
    expect(await refusalOf(broken)).toContain('unavailable: ');
    expect(Buffer.concat(got)).toHaveLength(20);
    const rest = await collect(await layer.readFrom(20, never));
    expect(Buffer.concat([...got, rest])).toEqual(gzipSync(LAYER));
    expect(host.asked.at(-1)?.range).toBe('bytes=20-');
  });

  test('S8 the rest of a layer is not believed without what came before: it is fetched again, and compared', async () => {
    const host = await registry();
    const made = putImage(host, NAME, [LAYER]);
    const { image } = await find(`${host.authority}/a/b:1`);
    const whole = gzipSync(LAYER);
    expect(await collect(await image.layers[0]!.readFrom(30, never))).toEqual(whole.subarray(30));
    expect(host.asked.at(-1)?.range).toBeUndefined();
    const spoiled = Buffer.from(whole);
    spoiled[3] = 0xff;
    host.blobs.set(made.layers[0]!, spoiled);
    expect(await refusalOf(image.layers[0]!.readFrom(30, never).then(collect))).toContain('digest-mismatch');
  });

  test('a manifest of the first generation is refused, saying what to do', async () => {
    const host = await registry();
    host.putManifest('a/b', '1', 'application/vnd.docker.distribution.manifest.v1+prettyjws', {
      schemaVersion: 1,
    });
    expect(await refusalOf(find(`${host.authority}/a/b:1`))).toMatch(
      /^unsupported: .*first generation.* \| push it again/,
    );
  });

  test('S8 a document that is a manifest and an index at once is refused', async () => {
    const host = await registry();
    host.putManifest('a/b', '1', MANIFEST, { schemaVersion: 2, manifests: [], layers: [], config: {} });
    expect(await refusalOf(find(`${host.authority}/a/b:1`))).toContain('unexpected: ');
  });

  test('an artifact that is no image is refused by what it is', async () => {
    const host = await registry();
    const blob = host.putBlob(Buffer.from('{}'));
    const config = { mediaType: 'application/vnd.sylabs.sif.config.v1+json', ...blob };
    host.putManifest('a/b', '1', MANIFEST, { schemaVersion: 2, mediaType: MANIFEST, config, layers: [] });
    expect(await refusalOf(find(`${host.authority}/a/b:1`))).toContain('it is a SIF file kept in a registry');
  });

  test('S8 bytes that a manifest holds itself are compared, too', async () => {
    const host = await registry();
    const config = Buffer.from(
      JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { diff_ids: [] } }),
    );
    const descriptor = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: sha256(config),
      size: config.length,
    };
    const put = (data: string) =>
      host.putManifest('a/b', '1', MANIFEST, {
        schemaVersion: 2,
        config: { ...descriptor, data },
        layers: [],
      });
    put(config.toString('base64'));
    expect((await find(`${host.authority}/a/b:1`)).image.config.bytes).toEqual(config);
    put(Buffer.from(config).fill('x', 0, 1).toString('base64'));
    expect(await refusalOf(find(`${host.authority}/a/b:1`))).toContain('digest-mismatch');
  });
});

describe('an image for several platforms', () => {
  function putIndex(host: MemoryRegistry) {
    const entries = [
      { os: 'unknown', architecture: 'unknown' },
      { os: 'linux', architecture: 'amd64' },
      { os: 'linux', architecture: 'arm', variant: 'v6' },
      { os: 'linux', architecture: 'arm', variant: 'v5' },
      { os: 'linux', architecture: 'amd64', variant: 'v3' },
    ].map((platform, index) => {
      const { digest, size } = putImage(
        host,
        { repository: 'a/b', tag: `p${index}` },
        [Buffer.alloc(512, index)],
        platform,
      );
      return { mediaType: MANIFEST, digest, size, platform };
    });
    const index = host.putManifest('a/b', '1', INDEX, {
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: entries,
    });
    return { entries, index };
  }

  test('is taken for the one asked for, or the nearest that runs there', async () => {
    const host = await registry();
    const { entries, index } = putIndex(host);
    const at = async (architecture: string, variant?: string) => {
      const platform = { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) };
      const found = await find(`${host.authority}/a/b:1`, { platform });
      expect(found.digest).toBe(index.digest);
      return entries.findIndex(({ digest }) => digest === found.image.manifest.descriptor.digest);
    };
    expect(await at('amd64')).toBe(1);
    expect(await at('amd64', 'v2')).toBe(1);
    expect(await at('amd64', 'v4')).toBe(4);
    expect(await at('arm')).toBe(2);
    expect(await at('arm', 'v5')).toBe(3);
  });

  test('is refused for one that is not there, naming those that are', async () => {
    const host = await registry();
    putIndex(host);
    const refused = await refusalOf(
      find(`${host.authority}/a/b:1`, { platform: { os: 'linux', architecture: 's390x' } }),
    );
    expect(refused).toMatch(
      /^not-found: .*it has nothing for linux\/s390x \| it has linux\/amd64, linux\/arm\/v6, /,
    );
  });

  test('may have indexes inside of its index, but not without end', async () => {
    const host = await registry();
    const { index } = putIndex(host);
    const entry = (inner: { digest: string; size: number }) => ({
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: [{ mediaType: INDEX, ...inner }],
    });
    let inner = index;
    for (let depth = 0; depth < 3; depth += 1) inner = host.putManifest('a/b', 'nested', INDEX, entry(inner));
    expect((await find(`${host.authority}/a/b:nested`)).image.platform).toEqual({
      os: 'linux',
      architecture: 'amd64',
    });
    host.putManifest('a/b', 'nested', INDEX, entry(inner));
    expect(await refusalOf(find(`${host.authority}/a/b:nested`))).toContain('unexpected: ');
  });
});

describe('what a registry refuses', () => {
  test.each([
    [
      401,
      error('UNAUTHORIZED'),
      /^unauthenticated: .*wants a login, or there is no such repository.*of its own.* \| `podman login/,
    ],
    [403, error('DENIED'), /^permission-denied: .*refuses it without a login/],
    [404, error('NAME_UNKNOWN'), /^not-found: .*has no repository `a\/b`/],
    [404, error('MANIFEST_UNKNOWN'), /^not-found: .*there is no `1`/],
    [404, '<html>', /^not-found: .*there is no `1` \(HTTP 404\)/],
    [500, error('UNKNOWN'), /^unavailable: /],
  ])('with %d %s is told in its words', async (status, body, expected) => {
    const host = await registry(({ url }, response) => {
      if (!url.includes('/manifests/')) return false;
      end(response, status, {}, body);
      return true;
    });
    expect(await refusalOf(find(`${host.authority}/a/b:1`))).toMatch(expected);
  });

  test('F12 as too much asks to wait, and tells how much was allowed', async () => {
    const host = await registry(({ url }, response) => {
      if (!url.includes('/manifests/')) return false;
      const limits = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '0;w=21600' };
      end(response, 429, { ...limits, 'retry-after': '7' }, error('TOOMANYREQUESTS'));
      return true;
    });
    const refused = find(`${host.authority}/a/b:1`);
    await expect(refused).rejects.toMatchObject({ code: 'rate-limited', retryAfter: 7 });
    await expect(refused).rejects.toThrow('0 of 100 pulls in 6 h are left');
  });

  test('the pulls that are left are told with what was found', async () => {
    const host = await registry(({ url }, response) => {
      if (!url.endsWith('/manifests/1')) return false;
      const { bytes, type } = host.manifests.get('a/b/1')!;
      const limits = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '87;w=21600' };
      end(response, 200, { 'content-type': type, ...limits }, bytes);
      return true;
    });
    putImage(host, NAME, [LAYER]);
    expect((await find(`${host.authority}/a/b:1`)).limit).toEqual({
      limit: 100,
      remaining: 87,
      seconds: 21_600,
    });
  });
});

describe('mirrors', () => {
  test('are asked first, and what they lack comes from the registry, with a warning', async () => {
    const [mirror, host] = [await registry(), await registry()];
    putImage(host, NAME, [LAYER]);
    const warnings: string[] = [];
    const settings = { mirrors: [`${host.authority}=${mirror.authority}/cache`] };
    expect((await find(`${host.authority}/a/b:1`, { settings, warnings })).from).toBe(host.authority);
    expect(mirror.asked.some(({ url }) => url === '/v2/cache/a/b/manifests/1')).toBe(true);
    expect(warnings).toEqual([expect.stringContaining(`the mirror \`${mirror.authority}\` is of no use`)]);
    putImage(mirror, { ...NAME, repository: 'cache/a/b' }, [LAYER]);
    expect((await find(`${host.authority}/a/b:1`, { settings })).from).toBe(mirror.authority);
  });
});

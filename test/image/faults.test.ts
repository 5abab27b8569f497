import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { end, putImage, sha256 } from '../../fixtures/misbehaving/registry.ts';
import type { Clock } from '../../src/clock.ts';
import { inflateArchive } from '../../src/image/archive/inflate.ts';
import { storeLayers } from '../../src/image/blob-store.ts';
import { convertImage } from '../../src/image/keep.ts';
import { scratch } from '../commands/run-command.ts';
import { never } from '../http/scripted.ts';
import { archive } from './archives.ts';
import { layerOf } from './layer.ts';
import { imageOf } from './made-image.ts';
import { closeScene, collect, find, refusalOf, registry } from './scene.ts';

afterEach(closeScene);

const NAME = { repository: 'a/b', tag: '1' };
const INDEX = 'application/vnd.oci.image.index.v1+json';
const errors = (code: string, message: string, detail: unknown = null) =>
  JSON.stringify({ errors: [{ code, message, detail }] });

describe('a refusal in the words of', () => {
  test.each([
    [
      'Docker Hub, for a private or absent repository',
      401,
      errors('UNAUTHORIZED', 'authentication required', [{ Type: 'repository' }]),
      /^unauthenticated: .*wants a login, or there is no such repository \(`UNAUTHORIZED`: authentication required\)/,
    ],
    [
      'Docker Hub, for an absent tag',
      404,
      errors('MANIFEST_UNKNOWN', 'manifest unknown', 'unknown tag=1'),
      /^not-found: .*there is no `1` \(`MANIFEST_UNKNOWN`/,
    ],
    [
      'GHCR, for a package that it hides',
      403,
      errors('DENIED', 'requested access to the resource is denied'),
      /^permission-denied: .*refuses it without a login \(`DENIED`/,
    ],
    [
      'Quay, for a private or absent repository',
      401,
      errors('UNAUTHORIZED', 'access to the requested resource is not authorized', {}),
      /^unauthenticated: .*not authorized\)/,
    ],
    [
      'Quay, for a tag that has expired',
      404,
      errors('TAG_EXPIRED', 'Tag 1 was deleted or has expired'),
      /^not-found: .*there is no `1` \(`TAG_EXPIRED`: Tag 1 was deleted/,
    ],
    ['ECR, without a login', 401, 'Not Authorized\n', /^unauthenticated: .*wants a login.*\(HTTP 401\)/],
    [
      'ECR, for an absent repository',
      404,
      errors('NAME_UNKNOWN', "The repository with name 'a/b' does not exist in the registry with id '1'"),
      /^not-found: .*has no repository `a\/b` \(`NAME_UNKNOWN`: The repository/,
    ],
    [
      'Harbor, for an absent artifact',
      404,
      errors('NOT_FOUND', 'artifact a/b:1 not found'),
      /^not-found: .*\(`NOT_FOUND`: artifact a\/b:1 not found\)/,
    ],
    [
      'Harbor, for a project of others',
      401,
      errors('UNAUTHORIZED', 'unauthorized to access repository: a/b, action: pull'),
      /^unauthenticated: .*action: pull\)/,
    ],
    [
      'a proxy, in HTML',
      403,
      `<html><body>${'Forbidden '.repeat(20_000)}</body></html>`,
      /^permission-denied: .*\(HTTP 403\)/,
    ],
    ['nobody: JSON of another form', 404, '{"errors":"none"}', /^not-found: .*\(HTTP 404\)/],
  ])('%s, is told', async (_, status, body, expected) => {
    const host = await registry(({ url }, response) => {
      if (!url.includes('/manifests/')) return false;
      end(response, status, {}, body);
      return true;
    });
    const refused = await refusalOf(find(`${host.authority}/a/b:1`));
    expect(refused).toMatch(expected);
    expect(refused.length).toBeLessThan(600);
  });
});

test.each([
  [
    'size',
    (one: { digest: string; size: number }) => ({ ...one, size: one.size + 1 }),
    /^size-mismatch: .* was announced, got/,
  ],
  [
    'digest, so that another manifest is there',
    (one: { digest: string; size: number }) => one,
    /^digest-mismatch: .*asked for/,
  ],
])('S8 an index that lies of the %s of a manifest is refused', async (_, lie, expected) => {
  const host = await registry();
  const { digest, size } = putImage(host, NAME, [Buffer.alloc(512)]);
  const entry = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    ...lie({ digest, size }),
    platform: { os: 'linux', architecture: 'amd64' },
  };
  host.putManifest('a/b', '1', INDEX, { schemaVersion: 2, mediaType: INDEX, manifests: [entry] });
  const kept = host.manifests.get(`a/b/${digest}`)!;
  if (entry.size === size)
    host.manifests.set(`a/b/${digest}`, {
      ...kept,
      bytes: Buffer.from(kept.bytes.toString().replace('"schemaVersion":2', '"schemaVersion":3')),
    });
  expect(await refusalOf(find(`${host.authority}/a/b:1`))).toMatch(expected);
});

test.each([
  ['as long as it says', { 'retry-after': '7' }, 7],
  ['by itself where it does not say how long', {}, 0],
])(
  'F12 a layer that is refused as too much in the middle waits %s, and goes on where it was',
  async (_, headers, least) => {
    const blob = gzipSync(Buffer.from(Array.from({ length: 4000 }, (_, at) => (at * at) % 251)));
    const asked: (string | undefined)[] = [];
    const host = await registry(({ url, range }, response) => {
      if (!url.endsWith(sha256(blob))) return false;
      asked.push(range);
      if (asked.length === 1)
        response
          .writeHead(200, { 'content-length': blob.length })
          .write(blob.subarray(0, 99), () => response.destroy());
      if (asked.length === 2)
        end(response, 429, headers, errors('TOOMANYREQUESTS', 'You have reached your pull rate limit.'));
      return asked.length <= 2;
    });
    putImage(host, NAME, [Buffer.from(Array.from({ length: 4000 }, (_, at) => (at * at) % 251))]);
    const waits: number[] = [];
    const clock: Clock = {
      now: () => 0,
      epoch: () => 0,
      sleep: async (wait) => void waits.push(wait / 1000),
    };
    const { image } = await find(`${host.authority}/a/b:1`);
    const [stored] = await storeLayers(image.layers, { directory: scratch(), signal: never, clock });
    expect((await collect(await stored!.read(never))).equals(blob)).toBe(true);
    expect(asked).toEqual([undefined, 'bytes=99-', 'bytes=99-']);
    expect(Math.max(...waits)).toBeGreaterThanOrEqual(least);
  },
);

test('F12 a token service that gives no more for now is told as that, with how long to wait', async () => {
  const service = await registry((_, response) => {
    end(response, 429, { 'retry-after': '11' }, '<html>Too Many Requests</html>');
    return true;
  });
  const host = await registry(({ url }, response) => {
    if (url === '/v2/') return false;
    end(
      response,
      401,
      { 'www-authenticate': `Bearer realm="http://${service.authority}/token",service="s"` },
      '',
    );
    return true;
  });
  const finding = find(`${host.authority}/a/b:1`);
  await expect(finding).rejects.toMatchObject({ code: 'rate-limited', retryAfter: 11 });
  await expect(finding).rejects.toThrow(`ask \`${service.authority}\` for a token`);
});

describe('a layer that is not what its media type says', () => {
  const tar = archive([{ name: 'a', data: 'content' }]);
  const typed = (stored: Uint8Array, end: string) => {
    const made = layerOf(stored, tar);
    return { ...made, descriptor: { ...made.descriptor, mediaType: `${made.descriptor.mediaType}${end}` } };
  };
  const convert = (stored: Uint8Array, end: string, path: string) =>
    convertImage(imageOf([typed(stored, end)]), { path, format: 'sandbox', signal: never });

  test.each([
    ['plain, said to be gzip', tar, '+gzip'],
    ['plain, said to be zstd', tar, '+zstd'],
    ['gzip, said to be plain', gzipSync(tar), ''],
    ['gzip, said to be zstd', gzipSync(tar), '+zstd'],
  ])('is read as what it is: %s', async (_, stored, said) => {
    const path = join(scratch(), 'box');
    await convert(stored, said, path);
    expect(existsSync(join(path, 'a'))).toBe(true);
  });

  test.each([
    [
      'garbage',
      Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 7919) % 251)),
      'digest-mismatch|invalid-request',
    ],
    ['text', Buffer.from('<html>not a layer</html>'.repeat(100)), 'digest-mismatch|invalid-request'],
    ['gzip of garbage', gzipSync(Buffer.alloc(5000, 'garbage')), 'digest-mismatch|invalid-request'],
    ['gzip that is cut', gzipSync(tar).subarray(0, -9), 'invalid-request'],
  ])('S7 P9 is refused, and leaves nothing: %s', async (_, stored, codes) => {
    const cwd = scratch();
    expect(await refusalOf(convert(stored, '+gzip', join(cwd, 'box')))).toMatch(
      new RegExp(`^(?:${codes}): `),
    );
    expect(readdirSync(cwd)).toEqual([]);
  });
});

test('S7 P9 an archive that inflates without end as a whole is refused at its bound, and leaves nothing', async () => {
  const cwd = scratch();
  const tar = archive([{ name: 'a', data: Buffer.alloc(3_000_000) }]);
  writeFileSync(join(cwd, 'a.gz'), gzipSync(tar));
  const call = { compression: 'gzip', programs: '', signal: never } as const;
  const refused = await refusalOf(
    inflateArchive(join(cwd, 'a.gz'), join(cwd, 'a.tar'), { ...call, limits: { most: 1_000_000 } }),
  );
  expect(refused).toMatch(
    /^invalid-request: unpacking the archive .*: it inflates from \d+ to more than 1000000 bytes$/,
  );
  expect(readdirSync(cwd)).toEqual(['a.gz']);
  expect(await inflateArchive(join(cwd, 'a.gz'), join(cwd, 'a.tar'), call)).toBe(tar.length);
});

import { describe, expect, test } from 'vitest';
import { s3Failure } from '../../fixtures/misbehaving/s3-objects.ts';
import { startScriptedS3 } from '../../fixtures/misbehaving/s3-server.ts';
import { addressOf, encodeKey } from '../../src/s3/address.ts';
import { copyObject } from '../../src/s3/copy.ts';
import { listObjects } from '../../src/s3/list.ts';
import { removeKeys } from '../../src/s3/remove.ts';
import { headObject, statObject } from '../../src/s3/stat.ts';
import { failureOf, never, SECRET, useScene, whole } from './scene.ts';

const scene = useScene();
const PATH = '/bucket/dir/key';

const get = () =>
  scene.client.send({ method: 'GET', bucket: 'bucket', key: 'dir/key', signal: never, doing: 'read it' });
const regionOf = (headers: Readonly<Record<string, unknown>>) =>
  /Credential=key\/\d{8}\/([^/]+)\/s3\/aws4_request/.exec(String(headers.authorization))?.[1];

describe('a request', () => {
  test('goes to the endpoint in the path, to Amazon in the host name, and by TLS where that is forced', () => {
    const place = { region: 'eu-west-1', bucket: 'b-1', key: 'a b/ä+~/../x', isSecure: false };
    const key = '/a%20b/%C3%A4%2B~/../x';
    const access = { isSite: false, source: '' };
    const urlOf = (more: object, at: object = {}) => {
      const { origin, path } = addressOf({ ...access, ...more }, { ...place, ...at });
      return origin + path;
    };
    expect(urlOf({})).toBe(`https://b-1.s3.eu-west-1.amazonaws.com${key}`);
    expect(urlOf({}, { bucket: 'dotted.name' })).toBe(`https://s3.eu-west-1.amazonaws.com/dotted.name${key}`);
    expect(urlOf({}, { region: 'cn-north-1' })).toBe(`https://b-1.s3.cn-north-1.amazonaws.com.cn${key}`);
    expect(urlOf({ endpoint: 'http://h:9000/base/' })).toBe(`http://h:9000/base/b-1${key}`);
    expect(urlOf({ endpoint: 'http://h:9000' }, { isSecure: true })).toBe(`https://h:9000/b-1${key}`);
    expect(urlOf({ endpoint: 'host.example' })).toBe(`https://host.example/b-1${key}`);
    expect(urlOf({ endpoint: 'http://h', pathStyle: false })).toBe(`http://b-1.h${key}`);
    expect(encodeKey(`!'()*`)).toBe('%21%27%28%29%2A');
    for (const endpoint of ['ftp://h', 'http://', 'http://u:p@h']) {
      expect(() => urlOf({ endpoint })).toThrow('expected an S3 endpoint');
    }
  });

  test('without keys is not signed, and who pays is said', async () => {
    scene.access = { accessKeyId: undefined, secretAccessKey: undefined, requestPayer: true } as object;
    scene.server.store.objects.set(PATH, Buffer.from('public'));
    await (await get()).discard();
    const [asked] = scene.server.asked;
    expect(asked?.headers).toMatchObject({ 'x-amz-request-payer': 'requester' });
    expect(asked?.headers).not.toHaveProperty('authorization');
    scene.server.setScript(() => s3Failure(403, 'AccessDenied'));
    expect(await failureOf(get())).toMatchObject({
      code: 'permission-denied',
      hint: 'the request was not signed: the test',
    });
  });
});

describe('the region', () => {
  test.each([
    ['PermanentRedirect', 301, { 'x-amz-bucket-region': 'eu-west-3' }, {}],
    ['AuthorizationHeaderMalformed', 400, {}, { Region: 'eu-west-3' }],
  ])('is learnt once from %s', async (code, status, headers, more) => {
    scene.server.store.objects.set(PATH, Buffer.from('x'));
    scene.server.setScript((asked) =>
      regionOf(asked.headers) === 'eu-west-3' ? undefined : { ...s3Failure(status, code, more), headers },
    );
    for (let round = 0; round < 3; round += 1) await (await get()).discard();
    expect(scene.server.asked.map(({ headers: given }) => regionOf(given))).toEqual([
      'us-east-1',
      'eu-west-3',
      'eu-west-3',
      'eu-west-3',
    ]);
  });

  test('is asked of the bucket where the refusal of a HEAD cannot say it', async () => {
    scene.server.store.objects.set(PATH, Buffer.from('1234'));
    scene.server.setScript(({ headers, method }) => {
      if (regionOf(headers) === 'eu-west-3') return undefined;
      return method === 'HEAD'
        ? { status: 400 }
        : s3Failure(400, 'AuthorizationHeaderMalformed', { Region: 'eu-west-3' });
    });
    expect(await headObject(scene.client, scene.object, never)).toMatchObject({ size: 4 });
  });

  test('that cannot be learnt is an error with a hint, at once', async () => {
    scene.server.setScript(() => s3Failure(301, 'PermanentRedirect'));
    const error = await failureOf(get());
    expect(error).toMatchObject({ code: 'invalid-request', hint: expect.stringContaining('AWS_REGION') });
    expect(scene.server.asked).toHaveLength(1);
  });

  test('S1 F14 a redirect to another host is not followed, so that it sees no signature', async () => {
    const other = await startScriptedS3();
    try {
      scene.server.setScript(() => ({ status: 307, headers: { location: `${other.url}/bucket/dir/key` } }));
      await failureOf(get());
      expect(other.asked).toEqual([]);
    } finally {
      await other.close();
    }
  });
});

describe('a refusal', () => {
  test('F13 of a HEAD, which has no word for it, is told and mended as that of anything else', async () => {
    scene.server.store.objects.set(PATH, Buffer.from('1234'));
    const refuse = (code: string, status: number) =>
      scene.server.setScript(({ method, headers }) => {
        if (String(headers.authorization).includes('Credential=fresh/')) return undefined;
        return method === 'HEAD' ? { status } : s3Failure(status, code);
      });
    refuse('SignatureDoesNotMatch', 403);
    expect(await failureOf(headObject(scene.client, scene.object, never))).toMatchObject({
      code: 'unauthenticated',
      hint: expect.stringContaining('secret key'),
    });
    refuse('AccessDenied', 403);
    expect(await failureOf(headObject(scene.client, scene.object, never))).toMatchObject({
      code: 'permission-denied',
    });
    refuse('ExpiredToken', 400);
    scene.again = { accessKeyId: 'fresh' };
    expect(await headObject(scene.client, scene.object, never)).toMatchObject({ size: 4 });
  });

  test('of a wrong clock is answered by theirs, once', async () => {
    scene.server.store.objects.set(PATH, Buffer.from('x'));
    const theirs = new Date(Date.now() + 5 * 3600_000);
    const isTheirs = (date: unknown) =>
      String(date).slice(0, 11) === theirs.toISOString().replace(/[-:]/g, '').slice(0, 11);
    const headers = { date: theirs.toUTCString() };
    scene.server.setScript((asked) =>
      isTheirs(asked.headers['x-amz-date'])
        ? undefined
        : { ...s3Failure(403, 'RequestTimeTooSkewed'), headers },
    );
    await (await get()).discard();
    await (await get()).discard();
    expect(scene.server.asked).toHaveLength(3);
    scene.server.setScript(() => ({ ...s3Failure(403, 'RequestTimeTooSkewed'), headers }));
    const error = await failureOf(get());
    expect(error).toMatchObject({ code: 'unauthenticated', hint: expect.stringContaining('set the clock') });
    expect(scene.server.asked).toHaveLength(5);
  });

  test('F13 of an expired token takes fresh keys, once', async () => {
    scene.server.store.objects.set(PATH, Buffer.from('x'));
    scene.access = { sessionToken: `old-${SECRET}` };
    scene.server.setScript(({ headers }) =>
      headers['x-amz-security-token'] === `old-${SECRET}` ? s3Failure(400, 'ExpiredToken') : undefined,
    );
    const error = await failureOf(get());
    expect(error).toMatchObject({
      code: 'unauthenticated',
      hint: 'renew the credentials: they come from the test',
    });
    expect(scene.server.asked).toHaveLength(1);
    scene.again = { sessionToken: `new-${SECRET}` };
    await (await get()).discard();
    expect(scene.server.asked).toHaveLength(3);
  });

  test.each([
    ['NoSuchBucket', 404, 'not-found', /no bucket `bucket` at `http:.*bridle mkdir/],
    ['InvalidAccessKeyId', 403, 'unauthenticated', /the key comes from the test/],
    ['SignatureDoesNotMatch', 403, 'unauthenticated', /secret key is probably not/],
    ['AccessDenied', 403, 'permission-denied', /the key from the test may not/],
    ['InvalidObjectState', 403, 'permission-denied', /restore it first/],
    ['SlowDown', 503, 'rate-limited', undefined],
    ['InternalError', 500, 'unavailable', undefined],
    ['RequestTimeout', 400, 'timed-out', undefined],
    ['SomethingNew', 400, 'invalid-request', undefined],
  ])('%s is told in our words', async (code, status, ours, hint) => {
    scene.server.setScript(() => s3Failure(status, code));
    const error = await failureOf(get());
    expect(error.code).toBe(ours);
    if (hint) expect(error.hint).toMatch(hint);
    else expect(error.hint).toBeUndefined();
  });

  test('that is not S3’s own asks whether the endpoint is right', async () => {
    scene.server.setScript(() => ({ status: 404, body: '<html><body>nginx</body></html>' }));
    expect((await failureOf(get())).hint).toContain('is the endpoint');
    scene.server.setScript(() => ({ status: 200, body: 'hello' }));
    const listing = listObjects(scene.client, scene.object, { signal: never }).next();
    expect(await failureOf(listing)).toMatchObject({ code: 'unexpected' });
  });

  test('F21 of a copy may come with 200', async () => {
    scene.server.store.objects.set(PATH, Buffer.from('source'));
    scene.server.setScript(({ method }) =>
      method === 'PUT' ? { ...s3Failure(200, 'SlowDown'), status: 200 } : undefined,
    );
    const to = { ...scene.object, key: 'copy' };
    const call = { signal: never, key: whole.key };
    const copying = copyObject({ client: scene.client, from: scene.object, to, call });
    expect(await failureOf(copying.then((staged) => staged.commit(never)))).toMatchObject({
      code: 'rate-limited',
    });
    expect(scene.server.store.objects.has('/bucket/copy')).toBe(false);
  });

  test('of one key of a batch names the key', async () => {
    scene.server.setScript(() => ({
      status: 200,
      body: '<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>',
    }));
    const removing = removeKeys(scene.client, scene.object, ['a', 'b'], never);
    expect(await failureOf(removing)).toMatchObject({
      code: 'permission-denied',
      message: expect.stringContaining('`a`'),
    });
  });
});

describe('a listing', () => {
  test('that goes on without saying where is refused, not taken for whole', async () => {
    scene.server.setScript(() => ({
      status: 200,
      body: '<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>dir/key/a</Key></Contents></ListBucketResult>',
    }));
    const all = (async () => {
      for await (const _ of listObjects(scene.client, scene.object, { signal: never }));
    })();
    expect(await failureOf(all)).toMatchObject({ code: 'unexpected' });
  });

  test('S2 marks names that would lead elsewhere', async () => {
    for (const key of ['a//b', '../../etc/x', 'plain']) {
      scene.server.store.objects.set(`${PATH}/${key}`, Buffer.alloc(1));
    }
    const found: [string, boolean][] = [];
    for await (const entry of listObjects(scene.client, scene.object, { signal: never, recursive: true })) {
      if (entry.stat.type === 'file') found.push([entry.name, entry.problem !== undefined]);
    }
    expect(found).toEqual([
      ['../../etc/x', true],
      ['a//b', true],
      ['plain', false],
    ]);
  });

  test('of a name without objects below is `not-found`, and a name with some is a directory', async () => {
    expect(await failureOf(statObject(scene.client, scene.object, never))).toMatchObject({
      code: 'not-found',
    });
    scene.server.store.objects.set(`${PATH}/below`, Buffer.alloc(1));
    expect(await statObject(scene.client, scene.object, never)).toEqual({ type: 'directory' });
  });
});

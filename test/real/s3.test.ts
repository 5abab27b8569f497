import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { OTHER_S3_USER, type RunningCephRgw, S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import { startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { type Entry as RequestEntry, TransferError, transfer } from '../../src/index.ts';
import { startDigest } from '../../src/integrity/digests.ts';
import type { Bytes, Endpoint, HttpClient, WriteCall } from '../../src/protocol.ts';
import { createBucket } from '../../src/s3/bucket.ts';
import { createS3Client, type S3Client } from '../../src/s3/client.ts';
import { copyObject } from '../../src/s3/copy.ts';
import { conformance } from '../conformance.ts';
import { openS3, s3Subject, testHttp } from '../s3-subject.ts';

const MIB = 1024 * 1024;
const never = new AbortController().signal;
const call = { signal: never };
const whole: WriteCall = { ...call, key: 'c0ffee00c0ffee00c0ffee00c0ffee00', retry: (unit) => unit(never) };

let ceph: RunningCephRgw;
let http: HttpClient;
beforeAll(async () => {
  ceph = await startServer('ceph-rgw');
  http = testHttp();
}, 150_000);
afterAll(async () => {
  await http?.close();
  await ceph?.stop();
});

/** Where the endpoints of these tests are. */
const SITE = { scheme: 's3', authority: 'site', path: '/', site: '' };
const LIMITS = { noEmptyDirectories: true, keepsParts: true } as const;
const stop = async () => undefined;

conformance(
  's3, Ceph RGW 16',
  () => s3Subject({ access: { ...S3_USER, endpoint: ceph.http }, bucket: 'plain', stop }),
  LIMITS,
);
conformance(
  's3s, Ceph RGW 16',
  () =>
    s3Subject(
      { access: { ...S3_USER, endpoint: ceph.https.replace('https:', 'http:') }, bucket: 'secure', stop },
      { scheme: 's3s', ca: [readCertificate('ca.pem')] },
    ),
  LIMITS,
);

async function* chunksOf(content: Uint8Array): Bytes {
  for (let at = 0; at < content.length; at += MIB) yield content.subarray(at, at + MIB);
}

async function contentOf(endpoint: Endpoint, path: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await endpoint.read(path, call)).bytes) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

async function store(endpoint: Endpoint, path: string, content: Uint8Array, more: Partial<WriteCall> = {}) {
  const staged = await endpoint.write!(path, chunksOf(content), { ...whole, size: content.length, ...more });
  return staged.commit(never);
}

async function failureOf(work: Promise<unknown>): Promise<TransferError> {
  const error = await work.then(
    () => new Error('no error'),
    (reason: unknown) => reason,
  );
  if (error instanceof TransferError) return error;
  throw error;
}

describe('s3 on Ceph RGW 16', () => {
  let endpoint: Endpoint;
  let client: S3Client;
  const access = () => ({ ...S3_USER, endpoint: ceph.http });
  const clientOf = (more: object) =>
    createS3Client(
      { http, secrets: async () => ({ s3: { isSite: true, source: 'the test', ...access(), ...more } }) },
      false,
    );

  beforeAll(async () => {
    endpoint = await openS3('s3://test@site/', access(), http);
    client = clientOf({});
    await createBucket(client, 'one', never);
    await createBucket(client, 'two', never);
  });

  const uploads = async (key: string) => {
    const answer = await client.sendForXml({
      method: 'GET',
      bucket: 'one',
      query: { uploads: '', prefix: key },
      signal: never,
      doing: 'look',
    });
    return JSON.stringify(answer).includes('UploadId');
  };

  /** An object of one byte, whatever its name. */
  const put = async (key: string) => {
    const body = Buffer.from('x');
    const request = { method: 'PUT', bucket: 'two', key, body, signal: never, doing: 'put' } as const;
    await (await client.send(request)).discard();
  };

  test('P4 a broken upload goes on behind its acknowledged parts, in another process too', async () => {
    const content = randomBytes(30 * MIB);
    const path = '/one/resumed';
    let handle = '';
    async function* broken() {
      yield* chunksOf(content.subarray(0, 20 * MIB));
      throw new TransferError('stalled', 'the source fell silent');
    }
    const onPartial = (given: string) => {
      handle = given;
    };
    const writing = endpoint.write!(path, broken(), { ...whole, size: content.length, onPartial });
    expect(await failureOf(writing)).toMatchObject({ code: 'stalled' });
    expect(await uploads('resumed')).toBe(true);
    const later = await openS3('s3://test@site/', access(), http);
    const partial = await later.partial!(path, { ...call, key: whole.key, handle });
    expect(partial).toMatchObject({ ranges: [{ start: 0, end: 16 * MIB }], isProven: true });
    expect(await later.partial!(path, { ...call, key: whole.key, handle })).toBeUndefined();
    const rest = chunksOf(content.subarray(16 * MIB));
    const staged = await later.write!(path, rest, { ...whole, size: content.length, resume: partial });
    expect(await staged.commit(never)).toMatchObject({ size: content.length, isProven: true });
    expect((await contentOf(endpoint, path)).equals(content)).toBe(true);
    expect(await later.partial!(path, { ...call, key: whole.key, handle })).toBeUndefined();
  });

  test('P9 a broken upload that nobody keeps the handle of is dropped', async () => {
    async function* broken() {
      yield Buffer.alloc(MIB);
      throw new TransferError('stalled', 'the source fell silent');
    }
    await failureOf(endpoint.write!('/one/dropped', broken(), { ...whole, size: 20 * MIB }));
    expect(await uploads('dropped')).toBe(false);
  });

  test('F2 a part whose connection is reset on the way up is sent again', async () => {
    const proxy = await startFaultProxy({ port: Number(new URL(ceph.http).port) }, [
      { skip: 1, break: { direction: 'up', at: 3 * MIB, how: 'reset' } },
    ]);
    try {
      const through = await openS3(
        's3://test@site/',
        { ...access(), endpoint: `http://127.0.0.1:${proxy.port}` },
        http,
      );
      const content = randomBytes(20 * MIB);
      const retry: WriteCall['retry'] = (unit) => unit(never).catch(() => unit(never));
      await store(through, '/one/reset', content, { retry });
      expect((await contentOf(endpoint, '/one/reset')).equals(content)).toBe(true);
    } finally {
      await proxy.close();
    }
  });

  test('F26 P1 a byte that changes on the way up is refused by the service', async () => {
    const proxy = await startFaultProxy({ port: Number(new URL(ceph.http).port) }, [
      { break: { direction: 'up', at: 50_000, how: 'corrupt' } },
    ]);
    try {
      const through = await openS3(
        's3://test@site/',
        { ...access(), endpoint: `http://127.0.0.1:${proxy.port}` },
        http,
      );
      const failing = store(through, '/one/flipped', randomBytes(100_000));
      expect(await failureOf(failing)).toMatchObject({ code: 'digest-mismatch' });
      expect(await failureOf(endpoint.stat('/one/flipped', call))).toMatchObject({ code: 'not-found' });
    } finally {
      await proxy.close();
    }
  });

  test('P1 P3 an upload that tells the CRC64NVME of the whole is stored, with it where the gateway keeps checksums', async () => {
    const summed = await openS3('s3://test@site/', { ...access(), wholeChecksum: true }, http);
    expect(summed.digestsOnWrite).toEqual(['crc64nvme']);
    const content = randomBytes(17 * MIB + 5);
    const running = await startDigest('crc64nvme');
    running.update(content);
    const value = running.end();
    const write = async (path: string, crc64nvme: string) => {
      const call = { ...whole, size: content.length };
      const staged = await summed.write!(path, chunksOf(content), call);
      return staged.commit(never, new Map([['crc64nvme', crc64nvme]]));
    };
    const stored = await write('/one/summed', value);
    expect((await contentOf(endpoint, '/one/summed')).equals(content)).toBe(true);
    // Up to Ceph 18 nothing is kept.
    const told = stored.digests.filter(({ algorithm }) => algorithm === 'crc64nvme');
    process.stdout.write(`s3: the gateway keeps ${told.length === 0 ? 'no CRC64NVME' : 'the CRC64NVME'}\n`);
    expect([[], [{ algorithm: 'crc64nvme', value }]]).toContainEqual(told);
  });

  test('a large object comes down in ranges, and what the service knows of a small one is told', async () => {
    const content = randomBytes(50 * MIB + 3);
    const stored = await store(endpoint, '/one/large', content);
    expect(stored.isProven).toBe(true);
    expect((await contentOf(endpoint, '/one/large')).equals(content)).toBe(true);
    await store(endpoint, '/one/small', Buffer.from('small'));
    const md5 = createHash('md5').update('small').digest('hex');
    expect((await endpoint.stat('/one/small', call)).digests).toEqual([{ algorithm: 'md5', value: md5 }]);
    expect(await endpoint.digest!('/one/small', ['md5', 'sha256'], call)).toEqual([
      { algorithm: 'md5', value: md5 },
    ]);
  });

  test('an upload whose size nobody knew has as many parts as it needs', async () => {
    const content = randomBytes(17 * MIB);
    expect(await store(endpoint, '/one/unknown', content, { size: undefined })).toMatchObject({
      size: 17 * MIB,
    });
    expect((await contentOf(endpoint, '/one/unknown')).equals(content)).toBe(true);
  });

  test('copies go across buckets, and in parts where one request does not do', async () => {
    const content = randomBytes(12 * MIB);
    await store(endpoint, '/one/to copy+ä', content);
    const whole = await endpoint.copy!('/one/to copy+ä', '/two/copied', {
      ...call,
      key: 'x',
      source: SITE,
    });
    await whole.commit(never);
    expect((await contentOf(endpoint, '/two/copied')).equals(content)).toBe(true);
    const seen: number[] = [];
    const staged = await copyObject(
      {
        client,
        from: { bucket: 'one', key: 'to copy+ä', name: 'source' },
        to: { bucket: 'two', key: 'in parts', name: 'destination' },
        call: { ...call, key: 'x', progress: (bytes) => seen.push(bytes) },
      },
      { whole: 6 * MIB, part: 5 * MIB },
    );
    expect(await failureOf(endpoint.stat('/two/in parts', call))).toMatchObject({ code: 'not-found' });
    expect(await staged.commit(never)).toMatchObject({ size: content.length });
    expect((await contentOf(endpoint, '/two/in parts')).equals(content)).toBe(true);
    expect(seen.at(-1)).toBe(content.length);
  });

  test('more than 1,000 names are listed, and a recursive remove really removes them', async () => {
    const names = Array.from({ length: 1100 }, (_, at) => `many/${String(at).padStart(4, '0')}`);
    const queue = [...names, 'many-others/stays'];
    const worker = async () => {
      for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
        await put(name);
      }
    };
    await Promise.all(Array.from({ length: 4 }, worker));
    const listed: string[] = [];
    for await (const { name } of endpoint.list!('/two/many', { ...call, recursive: true })) listed.push(name);
    expect(listed).toEqual(names.map((name) => name.slice('many/'.length)));
    expect(await failureOf(endpoint.remove!('/two/many', call))).toMatchObject({ code: 'already-exists' });
    await endpoint.remove!('/two/many', { ...call, recursive: true });
    expect(await failureOf(endpoint.stat('/two/many', call))).toMatchObject({ code: 'not-found' });
    expect(await endpoint.stat('/two/many-others/stays', call)).toMatchObject({ type: 'file' });
  });

  test('P1 a name with two slashes at its end is another one: nothing beside it is listed or removed', async () => {
    for (const key of ['odd/safe', 'odd//in', 'odd//deep/in', '/lead', 'beside']) await put(key);
    const names = async (path: string) => {
      const found: string[] = [];
      for await (const { name, stat } of endpoint.list!(path, { ...call, recursive: true })) {
        if (stat.type === 'file') found.push(name);
      }
      return found;
    };
    expect(await names('/two/odd//')).toEqual(['deep/in', 'in']);
    expect(await names('/two//')).toEqual(['lead']);
    await endpoint.remove!('/two/odd//', { ...call, recursive: true });
    await endpoint.remove!('/two//', { ...call, recursive: true });
    expect(await names('/two/odd')).toEqual(['safe']);
    expect(await endpoint.stat('/two/beside', call)).toMatchObject({ type: 'file' });
  });

  test('what is no path, or no name for the service, is said by its name', async () => {
    for (const key of ['strange//a', 'strange/../b']) await put(key);
    const problems: (string | undefined)[] = [];
    for await (const { stat, problem } of endpoint.list!('/two/strange', { ...call, recursive: true })) {
      if (stat.type === 'file') problems.push(problem);
    }
    expect(problems).toEqual(
      ['../b', '/a'].map((name) => `\`${name}\` has a part that is empty, \`.\` or \`..\``),
    );
    const long = store(endpoint, `/two/${'n'.repeat(1025)}`, Buffer.from('x'));
    expect(await failureOf(long)).toMatchObject({ code: 'invalid-request', transient: false });
    await store(endpoint, `/two/${'n'.repeat(1024)}`, Buffer.from('x'));
  });

  test('the marker of a directory is that directory: removed when nothing else is there, and with everything else', async () => {
    for (const key of ['marked/', 'marked/file', 'empty/', 'both', 'both/in']) await put(key);
    const found: string[] = [];
    for await (const { name } of endpoint.list!('/two/marked', call)) found.push(name);
    expect(found).toEqual(['file']);
    expect(await endpoint.stat('/two/empty', call)).toEqual({ type: 'directory' });
    for (const path of ['/two/marked', '/two/marked/']) {
      expect(await failureOf(endpoint.remove!(path, call)), path).toMatchObject({ code: 'already-exists' });
    }
    await endpoint.remove!('/two/empty', call);
    expect(await failureOf(endpoint.stat('/two/empty', call))).toMatchObject({ code: 'not-found' });
    await endpoint.remove!('/two/marked', { ...call, recursive: true });
    expect(await failureOf(endpoint.stat('/two/marked', call))).toMatchObject({ code: 'not-found' });
    // A file whose name others begin with goes alone, and with all of them.
    await endpoint.remove!('/two/both', call);
    expect(await endpoint.stat('/two/both', call)).toEqual({ type: 'directory' });
    await put('both');
    await endpoint.remove!('/two/both', { ...call, recursive: true });
    expect(await failureOf(endpoint.stat('/two/both', call))).toMatchObject({ code: 'not-found' });
  });

  test('one by one where the site says that it has no batches', async () => {
    const singly = await openS3('s3://test@site/', { ...access(), deleteBatch: 1 }, http);
    for (const name of ['a', 'b/c']) await store(endpoint, `/two/singly/${name}`, Buffer.from(name));
    await singly.remove!('/two/singly', { ...call, recursive: true });
    expect(await failureOf(endpoint.stat('/two/singly', call))).toMatchObject({ code: 'not-found' });
  });

  test('buckets are made on demand at a site, and not elsewhere', async () => {
    await store(endpoint, '/on-demand/small', Buffer.from('x'));
    await store(endpoint, '/on-demand-large/large', Buffer.alloc(9 * MIB));
    expect(await endpoint.stat('/on-demand', call)).toEqual({ type: 'directory' });
    const plain = await openS3('s3://no-such-bucket/', { ...access(), isSite: false }, http);
    expect(await failureOf(store(plain, '/x', Buffer.from('x')))).toMatchObject({
      code: 'not-found',
      hint: expect.stringContaining('bridle mkdir'),
    });
    await plain.mkdir!('/', call);
    await plain.mkdir!('/some/directory', call);
    await store(plain, '/x', Buffer.from('x'));
    expect(String(await contentOf(plain, '/x'))).toBe('x');
  });

  test('a wrong key, a wrong secret and a bucket of somebody else are told apart, at once', async () => {
    const of = async (more: object) => {
      const other = await openS3('s3://test@site/', { ...access(), ...more }, http);
      return failureOf(other.read('/one/small', call));
    };
    expect(await of({ accessKeyId: 'nobody' })).toMatchObject({
      code: 'unauthenticated',
      hint: expect.stringContaining('the test'),
    });
    expect(await of({ secretAccessKey: 'wrong' })).toMatchObject({
      code: 'unauthenticated',
      hint: expect.stringContaining('secret key'),
    });
    expect(await of(OTHER_S3_USER)).toMatchObject({
      code: 'permission-denied',
      hint: expect.stringContaining('may not'),
    });
    expect(await of({ accessKeyId: undefined })).toMatchObject({
      code: 'permission-denied',
      hint: expect.stringContaining('not signed'),
    });
    const other = await openS3('s3://test@site/', { ...access(), ...OTHER_S3_USER }, http);
    expect(await failureOf(other.mkdir!('/one', call))).toMatchObject({ code: 'permission-denied' });
    expect(await failureOf(store(other, '/one/x', Buffer.from('x')))).toMatchObject({
      code: 'permission-denied',
    });
  });

  test.each([-2, 2])(
    'a clock that is %d hours off costs one more request, also where a HEAD is refused without a word',
    async (hours) => {
      await put('timely');
      const now = Date.now.bind(Date);
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + hours * 3_600_000);
      try {
        const wrong = await openS3('s3://test@site/', access(), http);
        expect(await wrong.stat('/two/timely', call)).toMatchObject({ type: 'file', size: 1 });
        await store(wrong, '/two/timely', Buffer.from('later'));
        expect(String(await contentOf(wrong, '/two/timely'))).toBe('later');
        // Who may not do it is told that, and not to set the clock.
        const stranger = await openS3('s3://test@site/', { ...access(), ...OTHER_S3_USER }, http);
        expect(await failureOf(stranger.stat('/two/timely', call))).toMatchObject({
          code: 'permission-denied',
        });
      } finally {
        clock.mockRestore();
      }
    },
  );

  test('who lets everybody read is read without keys', async () => {
    const put = {
      method: 'PUT',
      bucket: 'one',
      key: 'public',
      body: Buffer.from('for all'),
      signal: never,
    } as const;
    await (await client.send({ ...put, headers: { 'x-amz-acl': 'public-read' }, doing: 'put' })).discard();
    const anonymous = { accessKeyId: undefined, secretAccessKey: undefined } as object;
    const guest = await openS3('s3://site/', { ...access(), ...anonymous }, http);
    expect(String(await contentOf(guest, '/one/public'))).toBe('for all');
  });

  test('endpoints of one identity are one service, those of two are not', async () => {
    const same = await openS3('s3://bucket/', { ...access(), isSite: false }, http);
    const other = await openS3('s3://test@site/', { ...access(), ...OTHER_S3_USER }, http);
    expect(same.service).toBe(endpoint.service);
    expect(other.service).not.toBe(endpoint.service);
    for (const { service } of [same, other]) expect(service).not.toMatch(/secret/);
  });
});

describe('transfers with s3', () => {
  let directory = '';
  let env: Record<string, string> = {};
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'bridle-s3-'));
    const credentials = join(directory, 'credentials.conf');
    const lines = [
      `[lab]\nendpoint = ${ceph.http}`,
      `[joe@lab]\naccess_key = test\nsecret_key = testsecret`,
      `[ann@lab]\naccess_key = other\nsecret_key = othersecret`,
    ];
    writeFileSync(credentials, `${lines.join('\n')}\n`, { mode: 0o600 });
    env = {
      PEGASUS_CREDENTIALS: credentials,
      HOME: directory,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'testsecret',
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL_S3: ceph.http,
    };
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const entry = (from: string, to: string): RequestEntry => ({
    type: 'transfer',
    src_urls: [{ site_label: 'here', url: from }],
    dest_urls: [{ site_label: 'there', url: to }],
  });
  const run = async (...entries: RequestEntry[]) => (await transfer(entries, { env })).outcomes;

  test('P3 go up and down with the sections of a site and with the environment, and are graded', async () => {
    const content = randomBytes(20 * MIB + 1);
    writeFileSync(join(directory, 'up'), content);
    const up = await run(entry(`file://${directory}/up`, 's3://joe@lab/flow/up'));
    expect(up[0]).toMatchObject({ status: 'done', bytes: content.length });
    const small = await run(entry(`file://${directory}/credentials.conf`, 's3://joe@lab/flow/small'));
    expect(small[0]).toMatchObject({
      status: 'done',
      destinationVerification: { grade: 'server', by: 'service' },
    });
    const down = await run(
      entry('s3://flow/up', `file://${directory}/down`),
      entry('s3://flow/small', `file://${directory}/small`),
    );
    expect(down.map(({ status }) => status)).toEqual(['done', 'done']);
    expect(down[1]).toMatchObject({ sourceVerification: { grade: 'server', algorithm: 'md5' } });
    expect(readFileSync(join(directory, 'down')).equals(content)).toBe(true);
  });

  test('P10 each side has its own identity, and what one has is not shown to the other', async () => {
    writeFileSync(join(directory, 'mine'), 'of joe');
    const outcomes = await run(
      entry(`file://${directory}/mine`, 's3://joe@lab/joes/mine'),
      entry(`file://${directory}/mine`, 's3://ann@lab/anns/mine'),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['done', 'done']);
    const across = await run(entry('s3://joe@lab/joes/mine', 's3://ann@lab/anns/theirs'));
    expect(across[0]).toMatchObject({ status: 'done', route: 'stream' });
    const within = await run(entry('s3://joe@lab/joes/mine', 's3://joe@lab/others/mine'));
    expect(within[0]).toMatchObject({ status: 'done', route: 'copy' });
  });
});

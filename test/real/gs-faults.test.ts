import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type GcsEmulator, type GcsKnobs, startGcsEmulator } from '../../fixtures/servers/gcs/emulator.ts';
import { open as openGs } from '../../protocols/gs.ts';
import { createHttpClient } from '../../src/http/client.ts';
import { parseUrl } from '../../src/location.ts';
import type { Secrets } from '../../src/protocol.ts';
import { listRemoteJournals } from '../../src/remote-journals.ts';
import { afterwards, MIB, type RunMore, runAll, scratch, sha256, transferOf } from '../faults/scene.ts';
import { addBucket, BUCKET, contentOf, store } from '../gcs-subject.ts';

const SIZE = 20 * MIB + 17;
const URL_OF_FILE = `gs://${BUCKET}/dir/file`;

interface Scene {
  readonly emulator: GcsEmulator;
  readonly directory: string;
  readonly local: string;
  readonly content: Buffer;
  readonly secrets: () => Secrets;
  upload(knobs?: GcsKnobs, more?: RunMore): ReturnType<typeof runAll>;
  download(knobs?: GcsKnobs, more?: RunMore): ReturnType<typeof runAll>;
  stored(): Buffer | undefined;
}

/** A file of three chunks, an emulator with a bucket, and transfers between the two. */
async function scene(size = SIZE): Promise<Scene> {
  const emulator = await startGcsEmulator();
  afterwards(() => emulator.close());
  addBucket(emulator, BUCKET);
  const directory = scratch();
  const local = join(directory, 'from');
  const content = randomBytes(size);
  fs.writeFileSync(local, content);
  const google = { endpoint: emulator.origin, project: 'p' };
  const run = (from: string, to: string, knobs: GcsKnobs, more: RunMore) => {
    emulator.turn(knobs);
    const timeouts = { connect: 5, firstByte: 2, stall: 2 };
    const secretsFor = async () => ({ google });
    return runAll([transferOf(from, to)], { secretsFor, http: { timeouts }, ...more });
  };
  return {
    emulator,
    directory,
    local,
    content,
    secrets: () => ({ google }),
    upload: (knobs = {}, more = {}) => run(local, URL_OF_FILE, knobs, more),
    download: (knobs = {}, more = {}) => run(URL_OF_FILE, join(directory, 'to'), knobs, more),
    stored: () => contentOf(emulator, 'dir/file'),
  };
}

const puts = ({ requests }: GcsEmulator) =>
  requests.filter(({ method }) => method === 'PUT').map(({ headers }) => headers['content-range']);

describe('uploads', () => {
  test('go in chunks of whole 256 KiB, the last with the digests of all', async () => {
    const { upload, emulator, stored, content } = await scene();
    const { outcome } = await upload();
    expect(outcome).toMatchObject({
      status: 'done',
      destinationVerification: { grade: 'server', algorithm: 'md5', by: 'service' },
    });
    expect(puts(emulator)).toEqual([
      `bytes 0-${8 * MIB - 1}/${SIZE}`,
      `bytes ${8 * MIB}-${16 * MIB - 1}/${SIZE}`,
      `bytes ${16 * MIB}-${SIZE - 1}/${SIZE}`,
    ]);
    expect(emulator.requests.at(-1)?.headers['x-goog-hash']).toMatch(/^crc32c=[^,]{8},md5=[^,]{24}$/);
    expect(stored()?.equals(content)).toBe(true);
  });

  test('F11 F12 a chunk that is refused for now is sent again from what the service has', async () => {
    for (const status of [503, 429, 500, 408]) {
      const { upload, emulator, stored, content } = await scene();
      const fault = { method: 'PUT', after: 1, status, headers: { 'retry-after': '1' } };
      const { outcome } = await upload({ faults: [fault] });
      expect(outcome).toMatchObject({ status: 'done', attempts: [{ round: 1 }] });
      expect(puts(emulator).filter((range) => range === 'bytes */*')).toHaveLength(1);
      expect(stored()?.equals(content)).toBe(true);
    }
  });

  test('P4 only what the service says that it has is behind us', async () => {
    const { upload, emulator, stored, content } = await scene();
    expect((await upload({ persistBytes: 3 * MIB })).outcome.status).toBe('done');
    expect(puts(emulator)).toContain(`bytes ${3 * MIB}-${8 * MIB - 1}/${SIZE}`);
    expect(stored()?.equals(content)).toBe(true);
  });

  test('P7 a service that takes nothing is not asked for ever', async () => {
    const { upload, stored } = await scene();
    const { outcome } = await upload({ persistBytes: 0 }, { options: { attempts: 1 } });
    expect(outcome.failure).toMatchObject({ code: 'unavailable' });
    expect(stored()).toBeUndefined();
  });

  test('P2 a service that has more than was sent is not believed', async () => {
    const { upload, stored, emulator } = await scene();
    const lie = { method: 'PUT', status: 308, body: '', headers: { range: `bytes=0-${12 * MIB - 1}` } };
    const { outcome } = await upload({ faults: [lie] }, { options: { attempts: 1 } });
    expect(outcome.failure?.message).toContain('the service has bytes that nobody sent');
    expect(stored()).toBeUndefined();
    expect(emulator.sessions.size).toBe(0);
  });

  test('F2 a connection that is reset before or after a chunk was taken costs that chunk at most', async () => {
    for (const reset of ['before', 'after'] as const) {
      const { upload, stored, content } = await scene();
      const { outcome } = await upload({ faults: [{ method: 'PUT', after: 1, reset }] });
      expect(outcome).toMatchObject({ status: 'done', attempts: [{ round: 1 }] });
      expect(stored()?.equals(content)).toBe(true);
    }
  });

  test('F22 an answer that is lost after the commit is asked for again: it is stored once', async () => {
    const { upload, stored, content, emulator } = await scene();
    const { outcome } = await upload({ faults: [{ method: 'PUT', after: 2, reset: 'after' }] });
    expect(outcome).toMatchObject({ status: 'done', attempts: [{ round: 1 }] });
    expect(puts(emulator).at(-1)).toBe('bytes */*');
    expect(stored()?.equals(content)).toBe(true);
  });

  test('F21 a success that is none is not one', async () => {
    const { upload, stored, content } = await scene();
    const proxy = { method: 'PUT', after: 2, status: 200, body: '<html>Welcome</html>' };
    const { outcome } = await upload({ faults: [proxy] });
    expect(outcome.status).toBe('done');
    expect(stored()?.equals(content)).toBe(true);
  });

  test('F4 a service that falls silent is asked again', async () => {
    const { upload, stored, content } = await scene();
    const timeouts = { connect: 5, firstByte: 0.3, stall: 2 };
    const { outcome } = await upload(
      { faults: [{ method: 'PUT', after: 1, isSilent: true }] },
      {
        http: { timeouts },
      },
    );
    expect(outcome.status).toBe('done');
    expect(stored()?.equals(content)).toBe(true);
  });

  test.each([
    ['in the middle', SIZE, 'PUT', 1, ['digest-mismatch', undefined]],
    ['in the last chunk', SIZE, 'PUT', 2, ['digest-mismatch', undefined]],
    // Held in memory, it is sent again at once.
    ['of a small object', MIB, 'POST', 0, [undefined]],
  ])(
    'P1 F26 a bit that flips %s is noticed by the service: nobody sees it',
    async (_, size, method, after, codes) => {
      const { upload, stored, emulator, content } = await scene(size);
      store(emulator, 'dir/file', Buffer.from('old'));
      const seen = new Set<string>();
      const look = () => seen.add(sha256(stored() ?? Buffer.alloc(0)));
      const faults = [{ method, match: 'upload', after, flip: 'request' as const }];
      const { outcome } = await upload({ faults }, { onEvent: look });
      expect(outcome.status).toBe('done');
      expect(outcome.attempts.map(({ failure }) => failure?.code)).toEqual(codes);
      expect([...seen]).toEqual([sha256(Buffer.from('old')), sha256(content)]);
    },
  );

  test('L5 P9 a source that shrinks while it is read is never seen, and leaves no session', async () => {
    const { upload, stored, emulator, local } = await scene();
    const onEvent = () => {
      if (emulator.sessions.size > 0) fs.truncateSync(local, 9 * MIB);
    };
    const slow = { bandwidth: 64 * MIB, attempts: 1 };
    const { outcome } = await upload({}, { options: slow, onEvent });
    expect(outcome.status).toBe('failed');
    expect(stored()).toBeUndefined();
    expect(emulator.sessions.size).toBe(0);
  });
});

describe('P4 uploads resume', () => {
  const broken = { faults: [{ method: 'PUT', after: 1, times: 100, status: 403, reason: 'forbidden' }] };

  test('behind what the service has, in the next run', async () => {
    const { upload, stored, content, emulator, directory } = await scene();
    const options = { state: join(directory, 'state'), attempts: 1 };
    expect((await upload(broken, { options })).outcome.failure?.code).toBe('permission-denied');
    expect(emulator.sessions.size).toBe(1);
    const { outcome } = await upload({}, { options });
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 8 * MIB });
    expect(puts(emulator)).not.toContain(`bytes 0-${8 * MIB - 1}/${SIZE}`);
    expect(stored()?.equals(content)).toBe(true);
    expect(listRemoteJournals(options.state)).toEqual([]);
  });

  test('from the start when the session has ended, or the source has changed', async () => {
    const { upload, stored, emulator, directory, local } = await scene();
    const options = { state: join(directory, 'state'), attempts: 1 };
    await upload(broken, { options });
    emulator.sessions.clear();
    // The first question is one request more.
    const later = { faults: [{ method: 'PUT', after: 2, times: 100, status: 403, reason: 'forbidden' }] };
    const gone = await upload(later, { options });
    expect(gone.outcome.notes).toContain(
      'started over: the service has nothing left of the interrupted transfer',
    );
    const changed = randomBytes(SIZE);
    fs.writeFileSync(local, changed);
    const { outcome } = await upload({}, { options });
    expect(outcome.notes).toContain('started over: the source changed since the interrupted transfer');
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 0 });
    expect(stored()?.equals(changed)).toBe(true);
  });

  test('S1 a handle that leads to another host is not followed', async () => {
    const { upload, stored, content, emulator, directory } = await scene();
    const other = await startGcsEmulator();
    afterwards(() => other.close());
    const options = { state: join(directory, 'state'), attempts: 1 };
    await upload(broken, { options });
    const folder = join(options.state, 'partials');
    for (const name of fs.readdirSync(folder).filter((one) => one.endsWith('.handle'))) {
      const text = fs.readFileSync(join(folder, name), 'utf8');
      fs.writeFileSync(join(folder, name), text.replace(emulator.origin, other.origin));
    }
    expect((await upload({}, { options })).outcome).toMatchObject({ status: 'done', resumedFrom: 0 });
    expect(other.requests).toEqual([]);
    expect(stored()?.equals(content)).toBe(true);
  });

  test('P9 without a state directory no session is left', async () => {
    const { upload, emulator } = await scene();
    await upload(broken, { options: { attempts: 1 } });
    expect(emulator.sessions.size).toBe(0);
  });

  test('P10 the URL of a session is in its handle and nowhere else', async () => {
    const { upload, emulator, directory } = await scene();
    const options = { state: join(directory, 'state'), attempts: 1 };
    const { events } = await upload(broken, { options });
    const [id = ''] = emulator.sessions.keys();
    expect(JSON.stringify(events)).not.toContain(id);
    const folder = join(options.state, 'partials');
    for (const name of fs.readdirSync(folder)) {
      const text = fs.readFileSync(join(folder, name), 'utf8');
      expect([name, text.includes(id)]).toEqual([name, name.endsWith('.handle')]);
    }
  });
});

describe('downloads', () => {
  test('compare MD5 and CRC32C with what the service has', async () => {
    const { download, emulator, content, directory } = await scene();
    store(emulator, 'dir/file', content);
    const { outcome } = await download();
    expect(outcome).toMatchObject({
      status: 'done',
      sourceVerification: { grade: 'server', algorithm: 'md5' },
    });
    expect(Object.keys(outcome.digests)).toEqual(expect.arrayContaining(['md5', 'crc32c']));
    expect(fs.readFileSync(join(directory, 'to')).equals(content)).toBe(true);
  });

  test('F1 F2 a body that is cut goes on by range, of the same generation', async () => {
    const { download, emulator, content, directory } = await scene();
    store(emulator, 'dir/file', content);
    const { outcome } = await download({ faults: [{ method: 'GET', match: 'alt=media', cut: 7 * MIB }] });
    expect(outcome).toMatchObject({ status: 'done', attempts: [{ round: 1 }] });
    expect(emulator.requests.at(-1)?.url).toMatch(/ifGenerationMatch=\d+/);
    expect(emulator.requests.at(-1)?.headers.range).toMatch(/^bytes=\d+-$/);
    expect(fs.readFileSync(join(directory, 'to')).equals(content)).toBe(true);
  });

  test('P7 answers whose body nobody reads to its end keep no connection', async () => {
    const { emulator, content } = await scene(3 * MIB);
    store(emulator, 'dir/file', content);
    const http = createHttpClient({
      version: 'test',
      connectionsPerOrigin: 1,
      proxyEnv: {},
      warn: () => undefined,
      timeouts: { firstByte: 5 },
    });
    afterwards(() => http.close());
    const secrets = async (): Promise<Secrets> => ({ google: { endpoint: emulator.origin } });
    const endpoint = openGs(parseUrl(URL_OF_FILE).location, { http, secrets });
    const { signal } = new AbortController();
    const read = (more: object = {}) => endpoint.read('/dir/file', { signal, ...more });
    await expect(endpoint.read('/none', { signal })).rejects.toMatchObject({ code: 'not-found' });
    await expect(read({ version: 'generation 1' })).rejects.toMatchObject({ code: 'changed' });
    await expect(read({ range: { start: 4 * MIB } })).rejects.toMatchObject({ code: 'changed' });
    await (await read()).discard?.();
    for await (const _ of (await read()).bytes) break;
    const chunks: Uint8Array[] = [];
    for await (const chunk of (await read()).bytes) chunks.push(Buffer.from(chunk));
    expect(Buffer.concat(chunks).equals(content)).toBe(true);
  });

  test('F8 P1 a body that is cut and overwritten meanwhile is never mixed', async () => {
    const { download, emulator, content, directory } = await scene();
    store(emulator, 'dir/file', content);
    const newer = randomBytes(SIZE);
    let isReplaced = false;
    const onEvent = ({ type }: { readonly type: string }) => {
      if (type !== 'progress' || isReplaced) return;
      isReplaced = true;
      store(emulator, 'dir/file', newer);
    };
    const { outcome } = await download({ faults: [{ match: 'alt=media', cut: 7 * MIB }] }, { onEvent });
    expect(outcome.status).toBe('done');
    expect(sha256(fs.readFileSync(join(directory, 'to')))).toBe(sha256(newer));
    expect(outcome.attempts.map(({ failure }) => failure?.code)).toEqual(['changed', undefined]);
  });

  test('P1 F26 a bit that flips on the way is noticed, and read again', async () => {
    const { download, emulator, content, directory } = await scene();
    store(emulator, 'dir/file', content);
    const { outcome } = await download({ faults: [{ match: 'alt=media', flip: 'answer' }] });
    expect(outcome.attempts.map(({ failure }) => failure?.code)).toEqual(['digest-mismatch', undefined]);
    expect(fs.readFileSync(join(directory, 'to')).equals(content)).toBe(true);
  });

  test('F17 what is stored gzipped is copied as it is stored, cut or not', async () => {
    const { download, emulator, directory } = await scene(1);
    const zipped = gzipSync(randomBytes(2 * MIB));
    store(emulator, 'dir/file', zipped, { contentEncoding: 'gzip' });
    for (const faults of [[], [{ match: 'alt=media', cut: 1.5 * MIB }]]) {
      const { outcome } = await download({ faults });
      expect(outcome.failure).toBeUndefined();
      expect(outcome).toMatchObject({ status: 'done', sourceVerification: { grade: 'server' } });
      expect(outcome.notes).toContain('stored gzip-encoded, and copied as stored');
      expect(fs.readFileSync(join(directory, 'to')).equals(zipped)).toBe(true);
    }
  });

  test('composed objects have no MD5: their CRC32C is compared', async () => {
    const { download, emulator, content } = await scene();
    store(emulator, 'dir/file', content, { componentCount: 2 });
    const { outcome } = await download();
    expect(outcome.sourceVerification).toMatchObject({ grade: 'server', algorithm: 'crc32c' });
  });

  test('F13 a token that expires on the way is got anew', async () => {
    const { download, emulator, content, directory, secrets } = await scene();
    store(emulator, 'dir/file', content);
    const secretsFor = async (_location: unknown, _secret: unknown, again: boolean) => ({
      ...secrets(),
      bearer: again ? 'fresh' : 'stale',
    });
    const { outcome } = await download({ token: 'fresh' }, { secretsFor });
    expect(outcome).toMatchObject({ status: 'done', attempts: [{ round: 1 }] });
    expect(fs.readFileSync(join(directory, 'to')).equals(content)).toBe(true);
  });
});

describe('P6 what will not go away is said at once, with a way out', () => {
  test.each([
    [
      'no such bucket',
      { status: 404, reason: 'notFound', message: 'The specified bucket does not exist.' },
      'not-found',
      'bridle mkdir',
    ],
    [
      'no access',
      { status: 403, reason: 'forbidden', message: 'a@b does not have access' },
      'permission-denied',
      'role',
    ],
    [
      'no credentials',
      { status: 401, reason: 'required' },
      'unauthenticated',
      'GOOGLE_APPLICATION_CREDENTIALS',
    ],
    [
      'requester pays',
      { status: 400, reason: 'userProjectMissing' },
      'invalid-request',
      'GOOGLE_CLOUD_QUOTA_PROJECT',
    ],
  ])('%s', async (_, fault, code, hint) => {
    const { upload } = await scene(10);
    const { outcome, waited } = await upload({ faults: [{ ...fault, times: 10 }] });
    expect(outcome.attempts).toHaveLength(1);
    expect(outcome.failure).toMatchObject({ code });
    expect(outcome.failure?.hint).toContain(hint);
    expect(waited).toBe(0);
  });

  test('a rate limit that comes as 403 is waited for', async () => {
    const { upload } = await scene(10);
    const fault = { status: 403, reason: 'rateLimitExceeded' };
    expect((await upload({ faults: [fault] })).outcome.status).toBe('done');
  });
});

describe('within the service', () => {
  const both = async () => {
    const all = await scene(1);
    const { emulator, secrets } = all;
    addBucket(emulator, 'other');
    store(emulator, 'dir/file', randomBytes(5 * MIB));
    const copy = (to: string, knobs: GcsKnobs) => {
      emulator.turn(knobs);
      return runAll([transferOf(URL_OF_FILE, to)], { secretsFor: async () => secrets() });
    };
    return { ...all, copy };
  };

  test('a copy takes as many calls as the service wants, from bucket to bucket too', async () => {
    const { copy, emulator, stored } = await both();
    for (const to of [`gs://${BUCKET}/copy`, 'gs://other/copy']) {
      const { outcome } = await copy(to, { rewriteBytes: 2 * MIB });
      expect(outcome).toMatchObject({ status: 'done', route: 'copy', bytes: 5 * MIB });
      expect(emulator.requests.filter(({ url }) => url.includes('rewriteTo'))).toHaveLength(3);
      expect(emulator.requests.some(({ url }) => url.includes('alt=media'))).toBe(false);
    }
    const copied = emulator.store.buckets.get('other')?.objects.get('copy')?.content;
    expect(copied?.equals(stored() ?? Buffer.alloc(0))).toBe(true);
  });

  test('F22 a copy whose answer is lost is made again', async () => {
    const { copy } = await both();
    const { outcome } = await copy('gs://other/copy', { faults: [{ match: 'rewriteTo', reset: 'after' }] });
    expect(outcome).toMatchObject({ status: 'done' });
  });
});

describe('directories', () => {
  const openAt = (origin: string, project?: string) => {
    const http = createHttpClient({
      version: 'test',
      connectionsPerOrigin: 8,
      proxyEnv: {},
      warn: () => undefined,
    });
    afterwards(() => http.close());
    const google = { endpoint: origin, ...(project === undefined ? {} : { project }) };
    const open = (bucket: string) =>
      openGs(parseUrl(`gs://${bucket}/`).location, { http, secrets: async () => ({ google }) });
    return { open, call: { signal: new AbortController().signal } };
  };

  test('listings and recursive removals go through every page', async () => {
    const { emulator } = await scene(1);
    const names = Array.from({ length: 25 }, (_, at) => `tree/${at % 5}/${at}`);
    for (const name of [...names, 'tree-house', 'tree']) store(emulator, name, Buffer.from(name));
    emulator.turn({ pageEntries: 3 });
    const { open, call } = openAt(emulator.origin);
    const endpoint = open(BUCKET);
    const found: string[] = [];
    for await (const { name, stat } of endpoint.list!('/tree', { ...call, recursive: true })) {
      if (stat.type === 'file') found.push(name);
    }
    expect(found).toEqual(names.map((name) => name.slice('tree/'.length)).sort());
    const shallow: string[] = [];
    for await (const { name } of endpoint.list!('/tree', call)) shallow.push(name);
    expect(shallow).toEqual(['0', '1', '2', '3', '4']);
    await endpoint.remove!('/tree', { ...call, recursive: true });
    expect([...(emulator.store.buckets.get(BUCKET)?.objects.keys() ?? [])]).toEqual(['tree-house']);
  });

  test('P1 a file and a directory of one name are two: a slash at the end means the directory', async () => {
    const { emulator } = await scene(1);
    for (const name of ['both', 'both/in', 'both/deep/in', 'empty/', 'empty']) {
      store(emulator, name, Buffer.from(name));
    }
    const { open, call } = openAt(emulator.origin);
    const endpoint = open(BUCKET);
    const names = () => [...(emulator.store.buckets.get(BUCKET)?.objects.keys() ?? [])].sort();
    expect(await endpoint.stat('/both', call)).toMatchObject({ type: 'file', size: 4 });
    expect(await endpoint.stat('/both/', call)).toEqual({ type: 'directory' });
    await expect(endpoint.stat('/both/in/', call)).rejects.toMatchObject({ code: 'not-found' });
    await expect(endpoint.remove!('/both/', call)).rejects.toMatchObject({ code: 'already-exists' });
    await endpoint.remove!('/both/', { ...call, recursive: true });
    await endpoint.remove!('/empty/', call);
    expect(names()).toEqual(['both', 'empty']);
  });

  test('a bucket is made in its project, and removed with everything in it only when asked', async () => {
    const { emulator } = await scene(1);
    const { open, call } = openAt(emulator.origin, 'p');
    const endpoint = open('made');
    await endpoint.mkdir!('/', call);
    await endpoint.mkdir!('/', call);
    expect(await endpoint.stat('/', call)).toMatchObject({ type: 'directory' });
    await endpoint.mkdir!('/a/b', call);
    await expect(endpoint.remove!('/', call)).rejects.toMatchObject({ code: 'already-exists' });
    await endpoint.remove!('/', { ...call, recursive: true });
    expect(emulator.store.buckets.has('made')).toBe(false);
    await endpoint.remove!('/', { ...call, recursive: true });
  });

  test('a bucket without a project is not made, and which variable names one is said', async () => {
    const { emulator } = await scene(1);
    const { open, call } = openAt(emulator.origin);
    const making = open('made').mkdir!('/', call);
    await expect(making).rejects.toMatchObject({ hint: 'name it in GOOGLE_CLOUD_PROJECT' });
  });

  test('a name that is no path is listed with its problem', async () => {
    const { emulator } = await scene(1);
    for (const name of ['odd//name', 'odd/../name']) store(emulator, name, Buffer.from('x'));
    const { open, call } = openAt(emulator.origin);
    const problems: (string | undefined)[] = [];
    for await (const entry of open(BUCKET).list!('/odd', { ...call, recursive: true })) {
      if (entry.stat.type === 'file') problems.push(entry.problem);
    }
    const why = 'has a part that is empty, `.` or `..`';
    expect(problems).toEqual(['../name', '/name'].map((name) => `\`${name}\` ${why}`));
  });
});

import fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import { newNonce } from '../../src/local/writer.ts';
import { partialName } from '../../src/partial-name.ts';
import { listRemoteJournals } from '../../src/remote-journals.ts';
import { createS3Client } from '../../src/s3/client.ts';
import { findLeftovers } from '../../src/s3/leftovers.ts';
import { abortUpload, createUpload } from '../../src/s3/multipart.ts';
import { bridle, ended, scratch, start } from '../commands/run-command.ts';
import { testHttp } from '../s3-subject.ts';
import { type MatrixPlace, PLACES } from './matrix-subjects.ts';

const MIB = 1024 * 1024;
const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));
const NAMES = ['file', 'ftp', 'sftp', 's3', 'gs', 'dav'] as const;
const KEY = '0123456789abcdef'.repeat(2);
/** Of a process that is no more: no live one makes it but by a chance of 1 to 2^32. */
const DEAD = '0'.repeat(16);
const never = new AbortController().signal;

const places = new Map<string, MatrixPlace>();
beforeAll(async () => {
  await Promise.all(NAMES.map(async (name) => places.set(name, await PLACES[name]!())));
});
afterAll(async () => {
  await Promise.all([...places.values()].map((place) => place.stop()));
});

interface Line {
  readonly action: string;
  readonly kind: string;
  readonly url: string;
  readonly size?: number;
  readonly reason?: string;
}

/** Runs `bridle clean --json ARGS` against a place. */
async function clean(place: MatrixPlace, cwd: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = await bridle(['clean', '--json', '--ca', CA, ...args], {
    cwd,
    ...(place.env ? { env: place.env } : {}),
  });
  const lines = stdout.split('\n').filter((line) => line !== '');
  return { status, stderr, lines: lines.map((line) => JSON.parse(line) as Line) };
}

/** Starts an upload, sees that a clean of everything at `top` leaves it alone, and kills it. */
async function killUpload(
  place: MatrixPlace,
  cwd: string,
  { destination, top }: { readonly destination: string; readonly top: string },
): Promise<void> {
  fs.writeFileSync(join(cwd, 'big'), Buffer.alloc(96 * MIB, 'x'));
  const args = ['cp', '--ca', CA, '--quiet', '--bwlimit', '3M', 'big', destination];
  const child = start(args, { cwd, ...(place.env ? { env: place.env } : {}) });
  const end = ended(child);
  try {
    const inUse = [{ action: 'kept', reason: 'in-use' }];
    const all = ['--older-than', '0s', top];
    await expect
      .poll(async () => (await clean(place, cwd, ...all)).lines, { timeout: 60_000, interval: 50 })
      .toMatchObject(inUse);
    // Not before it is written down: an upload to S3 exists for a moment before anybody can know whose it is.
    expect((await clean(place, cwd, '--any-owner', ...all)).lines).toMatchObject(inUse);
    expect(child.exitCode).toBe(null);
  } finally {
    child.kill('SIGKILL');
  }
  expect((await end).status).toBe('SIGKILL');
}

/** Names below the place's own directory that are somebody else's, however much they look like ours. */
const THEIRS = ['dir/.bridle-notes.part', 'dir/x.part', 'dir/deep/.bridle-0/theirs'];

describe.each(['file', 'ftp', 'sftp', 's3', 'gs'] as const)('clean, %s', (name) => {
  test('P9 an upload under way is left alone, what a kill left of it is found and removed, and nothing of anybody else', async () => {
    const place = places.get(name)!;
    const cwd = scratch();
    for (const their of THEIRS) await place.put(their, Buffer.from('theirs'));
    const top = place.url('dir');
    const all = ['--older-than', '0s', '--any-owner', top];
    const destination = place.url('dir/deep/f');
    await killUpload(place, cwd, { destination, top });

    const young = await clean(place, cwd, top);
    expect(young).toMatchObject({ status: 0, lines: [{ action: 'kept', reason: 'too-young' }] });
    const dry = await clean(place, cwd, '--older-than', '0s', '--dry-run', top);
    expect(dry).toMatchObject({ status: 0, lines: [{ action: 'would-remove' }] });
    expect(dry.lines[0]?.url).toContain(`${withoutLogin(top)}/deep/`);
    // A part of a name is none of what is below it.
    expect((await clean(place, cwd, '--older-than', '0s', place.url('dir/dee'))).lines).toEqual([]);
    const removed = await clean(place, cwd, '--older-than', '0s', top);
    expect(removed).toMatchObject({ status: 0, lines: [{ action: 'removed', kind: dry.lines[0]?.kind }] });
    expect(await clean(place, cwd, ...all)).toMatchObject({ status: 0, lines: [] });
    expect(listRemoteJournals(join(cwd, '.local/state/bridle'))).toEqual([]);
    for (const their of THEIRS) expect(String(await place.look(their))).toBe('theirs');
    expect(await place.look('dir/deep/f')).toBe(undefined);
  });
});

test('P9 what cannot be removed stays written down, and the exit status says so', async () => {
  const place = places.get('gs')!;
  const cwd = scratch();
  const top = place.url('down');
  await killUpload(place, cwd, { destination: place.url('down/f'), top });
  const turn = (knobs: object) =>
    fetch(`${place.env!.STORAGE_EMULATOR_HOST}/-/knobs`, { method: 'POST', body: JSON.stringify(knobs) });
  await turn({ faults: [{ method: 'DELETE', status: 503, times: 100 }] });
  const failed = await clean(place, cwd, '--older-than', '0s', top);
  expect(failed).toMatchObject({ status: 1, lines: [{ action: 'failed', url: place.url('down/f') }] });
  expect(listRemoteJournals(join(cwd, '.local/state/bridle'))).toHaveLength(1);
  await turn({});
  const removed = await clean(place, cwd, '--older-than', '0s', top);
  expect(removed).toMatchObject({ status: 0, lines: [{ action: 'removed' }] });
});

test('P9 components that never became one object go together', async () => {
  const place = places.get('gs')!;
  const cwd = scratch();
  const component = (id: string, index: number) =>
    `parts/${partialName(KEY, `${id}${index.toString(16).padStart(8, '0')}`)}`;
  const names = [0, 1, 2].map((index) => component('0badcafe', index));
  for (const name of [...names, component('0badcaff', 0)]) await place.put(name, Buffer.from('piece'));
  await place.put('parts/theirs', Buffer.from('theirs'));
  const dry = await clean(place, cwd, '--older-than', '0s', '--dry-run', place.url('parts'));
  expect(dry.lines.map(({ kind, size }) => [kind, size])).toEqual([
    ['partial', 15],
    ['partial', 5],
  ]);
  expect(await clean(place, cwd, '--older-than', '0s', place.url('parts'))).toMatchObject({
    status: 0,
    lines: [{ action: 'removed' }, { action: 'removed' }],
  });
  for (const name of names) expect(await place.look(name)).toBe(undefined);
  expect(String(await place.look('parts/theirs'))).toBe('theirs');
});

describe.each(['ftp', 'sftp', 'dav'] as const)('clean, %s', (name) => {
  test('P9 a name that only we make tells whose it is: a live process keeps it, a dead one does not', async () => {
    const place = places.get(name)!;
    const cwd = scratch();
    const [live, dead] = [newNonce(), DEAD].map((nonce) => `named/a b/${partialName(KEY, nonce)}`);
    const aside = `named/.bridle-${KEY}-${DEAD}.old`;
    // By the server: what is in a directory is its owner's to remove.
    const made = place.url(name === 'sftp' ? 'named/a b' : 'named/a%20b');
    await bridle(['mkdir', made], { cwd, ...(place.env ? { env: place.env } : {}) });
    for (const one of [live!, dead!, aside]) await place.put(one, Buffer.from('bytes'));
    await place.put('named/theirs', Buffer.from('theirs'));
    const cleaned = await clean(place, cwd, '--older-than', '0s', place.url('named'));
    expect(cleaned.status).toBe(0);
    const seen = cleaned.lines.map(({ action, kind, size, reason }) => [action, kind, size, reason]).sort();
    expect(seen).toEqual([
      ['kept', 'aside', 5, 'put-aside'],
      ['kept', 'partial', 5, 'in-use'],
      ['removed', 'partial', 5, undefined],
    ]);
    expect(await place.look(dead!)).toBe(undefined);
    for (const one of [live!, aside]) expect(String(await place.look(one))).toBe('bytes');
    expect(String(await place.look('named/theirs'))).toBe('theirs');
  });

  test('a directory that is not there is an error, an age without a unit is bad input', async () => {
    const place = places.get(name)!;
    const cwd = scratch();
    expect(await clean(place, cwd, place.url('no/such/place'))).toMatchObject({ status: 1, lines: [] });
    expect(await clean(place, cwd, '--older-than', '7', place.url('named'))).toMatchObject({ status: 2 });
  });
});

test('P9 of an upload that no note tells of, only --any-owner makes an end', async () => {
  const place = places.get('s3')!;
  const cwd = scratch();
  const http = testHttp({});
  const s3 = { isSite: true, source: 'the test', ...S3_USER, endpoint: place.env!.AWS_ENDPOINT_URL_S3! };
  const client = createS3Client({ http, secrets: async () => ({ s3 }) }, false);
  const object = (key: string) => ({ bucket: 'matrix', key, name: key });
  try {
    const mine = await createUpload(client, object('conformance/owned/a b+c'), never);
    const other = await createUpload(client, object('conformance/owned-not'), never);
    const all = ['--older-than', '0s', place.url('owned')];
    expect(await clean(place, cwd, ...all)).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('--any-owner'),
      lines: [{ action: 'kept', kind: 'upload', url: place.url('owned/a b+c'), reason: 'perhaps-of-others' }],
    });
    expect(await clean(place, cwd, '--any-owner', '--dry-run', ...all)).toMatchObject({
      lines: [{ action: 'would-remove' }],
    });
    expect(await clean(place, cwd, '--any-owner', ...all)).toMatchObject({ lines: [{ action: 'removed' }] });
    expect(await clean(place, cwd, '--any-owner', ...all)).toMatchObject({ status: 0, lines: [] });
    // Somewhere else.
    const still = await clean(
      place,
      cwd,
      '--any-owner',
      '--older-than',
      '0s',
      '--dry-run',
      place.url('owned-not'),
    );
    expect(still.lines).toHaveLength(1);
    await abortUpload(other, never);
    await abortUpload(mine, never);
  } finally {
    await http.close();
  }
});

test('uploads are found to the last one, however many pages the list of them has', async () => {
  const place = places.get('s3')!;
  const http = testHttp({});
  const s3 = { isSite: true, source: 'the test', ...S3_USER, endpoint: place.env!.AWS_ENDPOINT_URL_S3! };
  const client = createS3Client({ http, secrets: async () => ({ s3 }) }, false);
  const object = (key: string) => ({ bucket: 'matrix', key, name: key });
  try {
    // Two of one name: the marker must tell them apart.
    const keys = ['p/a', 'p/a', 'p/a', 'p/ü & <b>', 'p/c+d e'];
    for (const key of keys) await createUpload(client, object(key), never);
    const found: string[] = [];
    const call = { signal: never, pathOf: (key: string) => key };
    for await (const { path, remove } of findLeftovers(client, object('p'), call, 2)) {
      found.push(path);
      await remove({ signal: never });
    }
    expect(found.sort()).toEqual(keys.sort());
  } finally {
    await http.close();
  }
});

function withoutLogin(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//');
}

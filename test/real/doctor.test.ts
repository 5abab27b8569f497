import fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer } from '../../fixtures/servers/servers.ts';
import { bridle, scratch } from '../commands/run-command.ts';
import { type MatrixPlace, PLACES } from './matrix-subjects.ts';

const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));
const NAMES = Object.keys(PLACES);
const places = new Map<string, MatrixPlace>();

/** What each kind of service must say of itself, in order of telling. */
const SAYS: Readonly<Record<string, readonly RegExp[]>> = {
  file: [/^version +told, by inode/, /^disk +/, /^copies +/, /^free +[\d.]+ [KMGT]iB$/],
  http: [/^version +told, by (entity tag|modification time \(Last-Modified\))/],
  https: [/^version +told, by (entity tag|modification time \(Last-Modified\))/],
  ftp: [/^TLS +of login and data/, /^resumes +by REST/, /^lists +exact/, /^tells +size, modification/],
  ftps: [/^TLS +of login and data/, /^digests +by HASH: .*SHA-256/, /^offers +.*MLST/],
  // Apache has no strong entity tag for what was written within the last second.
  dav: [/^server +Apache/, /^dav +classes 1,2/, /^methods +.*PROPFIND/, /^broken uploads +go on:/],
  sftp: [
    /^version +told, by modification time and size/,
    /^by +\S*ssh \(/,
    /^host key +must be known/,
    /^offers +.*posix-rename@openssh\.com/,
    /^limits +requests of \d+ KiB down, \d+ KiB up/,
    /^replaces +in one step/,
    /^round trip +\d+ ms/,
    /^free +[\d.]+ [KMGT]iB$/,
  ],
  s3: [
    /^version +told, by entity tag/,
    /^server +Ceph/,
    /^bucket +`matrix` in the path, by 127/,
    /^region +default/,
    /^signed +AWS4/,
    /^parts +up to 8 MiB .*10000 parts/,
    /^checks +MD5/,
  ],
  gs: [/^version +told, by generation/, /^service +http:/, /^chunks +below 8 MiB/, /^checks +crc32c/],
};

/** Facts, one a line, however they were wrapped. */
const linesOf = (stdout: string) =>
  stdout
    .replace(/\n {14}(?=\S)/g, ' ')
    .split('\n')
    .map((line) => line.trim());

beforeAll(async () => {
  await Promise.all(NAMES.map(async (name) => places.set(name, await PLACES[name]!())));
});
afterAll(async () => {
  await Promise.all([...places.values()].map((place) => place.stop()));
});

test.each(NAMES)('P10 doctor tells what %s can do, and shows no secret', async (name) => {
  const place = places.get(name)!;
  await place.put('patient', Buffer.from('ten bytes!'));
  const env = place.env ?? {};
  const { status, stdout, stderr } = await bridle(['doctor', '--ca', CA, place.url('patient')], {
    cwd: scratch(),
    env,
  });
  // What doctor finds wrong is marked: it is shown here when the status is not the expected one.
  const wrong = stdout.split('\n').filter((line) => line.startsWith('!'));
  expect({ status, stderr, wrong }).toEqual({ status: 0, stderr: '', wrong: [] });
  expect(stdout).toMatch(/there +file, 10 bytes/);
  expect(stdout).toMatch(/ranges +yes/);
  for (const secret of [
    new URL(place.url('x').replace(/^\w+:/, 'http:')).password,
    env.AWS_SECRET_ACCESS_KEY,
  ])
    if (secret) expect(stdout).not.toContain(secret);
  const lines = linesOf(stdout);
  const found = (SAYS[name] ?? []).map((fact) => lines.findIndex((line) => fact.test(line)));
  expect(found, stdout).toEqual([...found].filter((at) => at >= 0).sort((a, b) => a - b));
  const absent = await bridle(['doctor', '--ca', CA, place.url('absent')], { cwd: scratch(), env });
  expect(absent.status).toBe(1);
  expect(absent.stdout).toContain('(not-found)');
  // What the service says of itself does not depend on the file, but for the methods that it takes there.
  const told = (SAYS[name] ?? []).filter((fact) => !/version|methods/.test(fact.source));
  const missed = told.filter((fact) => !linesOf(absent.stdout).some((line) => fact.test(line)));
  expect(missed, absent.stdout).toEqual([]);
});

test('doctor says when it is the built-in client that speaks SFTP', async () => {
  const place = places.get('sftp')!;
  await place.put('built-in', Buffer.from('ten bytes!'));
  const env = { ...place.env, BRIDLE_SSH: 'none' };
  const { status, stdout } = await bridle(['doctor', place.url('built-in')], { cwd: scratch(), env });
  expect({ status, by: linesOf(stdout).find((line) => /^by /.test(line)) }).toEqual({
    status: 0,
    by: expect.stringMatching(/^by +the built-in client, ssh2 \(BRIDLE_SSH says `none`\)$/),
  });
});

test('doctor promises of uploads to WebDAV servers that they go on where they do', async () => {
  const nginx = await startServer('nginx-dav');
  try {
    fs.writeFileSync(join(nginx.dav, 'f'), 'ten bytes!');
    const { stdout } = await bridle(['doctor', `${nginx.http.replace('http', 'dav')}/open/f`], {
      cwd: scratch(),
    });
    const lines = linesOf(stdout);
    expect(lines).toContainEqual(expect.stringMatching(/^broken uploads +start over:/));
    expect(lines.find((line) => /^can /.test(line))).toMatch(/^can +read, write, list, /);
  } finally {
    await nginx.stop();
  }
});

test('doctor of a host without SFTP says that it is the old scp protocol', async () => {
  const old = await startServer('sshd', { subsystem: null });
  try {
    fs.writeFileSync(join(old.files, 'f'), 'ten bytes!');
    const env = {
      SSH_PRIVATE_KEY: old.keys.ed25519,
      SSH_KNOWN_HOSTS: old.knownHosts,
      BRIDLE_SSH_CONFIG: '/dev/null',
    };
    const url = `scp://${old.username}@127.0.0.1:${old.port}${old.files}/f`;
    const { stdout } = await bridle(['doctor', url], { cwd: scratch(), env });
    expect(linesOf(stdout)).toContainEqual(expect.stringMatching(/^offers +no SFTP: the old scp protocol$/));
  } finally {
    await old.stop();
  }
});

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningCephRgw, S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import type { Endpoint, HttpClient } from '../../src/protocol.ts';
import { ended, scratch, start } from '../commands/run-command.ts';
import { openS3, testHttp } from '../s3-subject.ts';

const never = new AbortController().signal;

let ceph: RunningCephRgw;
let http: HttpClient;
let endpoint: Endpoint;
beforeAll(async () => {
  ceph = await startServer('ceph-rgw');
  http = testHttp();
  endpoint = await openS3('s3://test@site/', { ...S3_USER, endpoint: ceph.http }, http);
}, 150_000);
afterAll(async () => {
  await http?.close();
  await ceph?.stop();
});

/** A directory with a credentials file, and `pegasus-s3` in it. */
function place() {
  const cwd = scratch();
  const sections = [
    `[lab]\nendpoint = ${ceph.http}\nbatch_delete_size = 100`,
    '[joe@lab]\naccess_key = test\nsecret_key = testsecret',
    '[ann@lab]\naccess_key = other\nsecret_key = othersecret',
    '[eve@lab]\naccess_key = test\nsecret_key = wrong',
  ];
  const conf = join(cwd, 'credentials.conf');
  writeFileSync(conf, `${sections.join('\n')}\n`, { mode: 0o600 });
  const run = async (...args: string[]) => {
    const child = start(args, { cwd, program: 'pegasus-s3', env: { PEGASUS_CREDENTIALS: conf } });
    child.stdin?.end();
    return ended(child);
  };
  return { cwd, conf, run };
}

async function put(path: string, text = 'x'): Promise<void> {
  async function* bytes() {
    yield Buffer.from(text);
  }
  const call = {
    signal: never,
    key: 'k',
    retry: <T>(unit: (signal: AbortSignal) => Promise<T>) => unit(never),
  };
  await (await endpoint.write!(path, bytes(), { ...call, size: text.length })).commit(never);
}

const isThere = (path: string) =>
  endpoint.stat(path, { signal: never }).then(
    () => true,
    () => false,
  );

describe('pegasus-s3', () => {
  test('makes a bucket, stores, lists, fetches, copies and removes a file', async () => {
    const { cwd, run } = place();
    const content = randomBytes(100_000);
    writeFileSync(join(cwd, 'file'), content);
    expect(await run('mkdir', 's3://joe@lab/flow')).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(await run('mkdir', 's3://joe@lab/flow')).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('exists'),
    });
    expect(await run('put', 'file', 's3://joe@lab/flow')).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(await run('put', 'file', 's3://joe@lab/flow/dir/')).toMatchObject({ status: 0 });
    expect(await run('put', 'file', 's3://joe@lab/flow/other name')).toMatchObject({ status: 0 });
    expect(await run('ls', 's3://joe@lab')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('\tflow\n'),
    });
    expect((await run('ls', 's3://joe@lab/flow')).stdout).toBe('\tdir/file\n\tfile\n\tother name\n');
    expect((await run('ls', 's3://joe@lab/flow/oth')).stdout).toBe('\tother name\n');
    expect((await run('ls', '-l', '-H', 's3://joe@lab/flow/file')).stdout).toMatch(
      /^\ttest {12} {8}97\.7K \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ STANDARD {17}file\n$/,
    );
    expect(await run('get', 's3://joe@lab/flow/dir/file', 'back')).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'back')).equals(content)).toBe(true);
    mkdirSync(join(cwd, 'folder'));
    await run('get', 's3://joe@lab/flow/other name', 'folder');
    expect(existsSync(join(cwd, 'folder/other name'))).toBe(true);
    expect(await run('cp', 's3://joe@lab/flow/file', 's3://joe@lab/flow/copy')).toMatchObject({ status: 0 });
    expect(
      await run('cp', '-c', 's3://joe@lab/flow/file', 's3://joe@lab/flow/copy', 's3://joe@lab/made'),
    ).toMatchObject({ status: 0 });
    expect((await run('ls', 's3://joe@lab/made')).stdout).toBe('\tcopy\n\tfile\n');
    expect(await run('rm', 's3://joe@lab/flow/copy')).toMatchObject({ status: 0 });
    expect(await isThere('/flow/copy')).toBe(false);
  });

  test('replaces nothing and makes no bucket unless told', async () => {
    const { cwd, run } = place();
    writeFileSync(join(cwd, 'file'), 'new');
    await put('/careful/key', 'old');
    for (const args of [
      ['put', 'file', 's3://joe@lab/careful/key'],
      ['cp', 's3://joe@lab/careful/key', 's3://joe@lab/careful/key'],
    ]) {
      expect(await run(...args)).toMatchObject({
        status: 1,
        stdout: expect.stringContaining('something is there already'),
      });
    }
    expect(await run('put', 'file', 's3://joe@lab/not-made/key')).toMatchObject({ status: 1 });
    expect(await isThere('/not-made')).toBe(false);
    expect(await run('put', '-b', '-f', 'file', 's3://joe@lab/on-the-way/key')).toMatchObject({ status: 0 });
    expect(await run('put', '--force', 'file', 's3://joe@lab/careful/key')).toMatchObject({ status: 0 });
    expect((await run('get', 's3://joe@lab/careful/key')).status).toBe(0);
    expect(readFileSync(join(cwd, 'key'), 'utf8')).toBe('new');
  });

  test('lists and removes more than 1,000 keys, and nothing beside the prefix', async () => {
    const { cwd, run } = place();
    await put('/many/first/stays');
    const numbers = Array.from({ length: 1050 }, (_, at) => at);
    const worker = async () => {
      for (let at = numbers.pop(); at !== undefined; at = numbers.pop()) await put(`/many/first-${at}`);
    };
    await Promise.all(Array.from({ length: 4 }, worker));
    expect((await run('ls', 's3://joe@lab/many/first-')).stdout.split('\n')).toHaveLength(1051);
    writeFileSync(
      join(cwd, 'list'),
      '# what is to go\ns3://joe@lab/many/first-*\n\ns3://joe@lab/many/absent\n',
    );
    expect(await run('rm', '-F', 'list')).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('absent'),
    });
    expect(await isThere('/many/first-7')).toBe(true);
    expect(await run('rm', '-f', '-F', 'list')).toEqual({ status: 0, stdout: '', stderr: '' });
    expect((await run('ls', 's3://joe@lab/many')).stdout).toBe('\tfirst/stays\n');
  });

  test('says what is wrong on standard output, with status 1, and never a key', async () => {
    const { cwd, conf, run } = place();
    mkdirSync(join(cwd, 'folder'));
    writeFileSync(join(cwd, 'file'), 'x');
    await put('/wrong/key');
    for (const [args, message] of [
      [['get', 's3://joe@lab/wrong/absent'], /not found/],
      [['get', 's3://joe@lab/wrong'], /expected the key/],
      [['get', 's3://lab/wrong/key'], /s3:\/\/user@site/],
      [['get', 's3://jim@lab/wrong/key'], /section \[jim@lab\]/],
      [['get', 's3://eve@lab/wrong/key'], /signature is wrong/],
      [['get', 's3://ann@lab/wrong/key'], /access denied/],
      [['mkdir', 's3://joe@lab/bucket/key'], /a key behind it/],
      [['mkdir', 's3://ann@lab/wrong'], /access denied/],
      [['put', 'folder', 's3://joe@lab/wrong/x'], /expected a file/],
      [['cp', 's3://joe@lab/wrong/key', 's3://ann@lab/wrong/x'], /one user and site/],
      [['-C', join(cwd, 'none'), 'ls', 's3://joe@lab'], /no such file/],
    ] as const) {
      const { status, stdout, stderr } = await run(...args);
      expect([args, status, stdout]).toEqual([args, 1, expect.stringMatching(message)]);
      expect(stdout + stderr).not.toMatch(/testsecret|othersecret/);
    }
    expect(await run('-C', conf, 'ls', 's3://joe@lab/wrong')).toMatchObject({ status: 0, stdout: '\tkey\n' });
  });

  test('knows its usage: status 0 without a command, 2 for what is none', async () => {
    const { run } = place();
    expect(await run()).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^usage: pegasus-s3 .*\{ls,mkdir,rm,put,get,cp\}/),
    });
    expect(await run('-h')).toMatchObject({ status: 0, stdout: expect.stringContaining('--conf') });
    expect(await run('put', '-h')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('--create-bucket'),
    });
    for (const args of [['help'], ['ls'], ['rm'], ['put', 'x'], ['ls', '--nonsense', 's3://joe@lab']]) {
      expect(await run(...args)).toMatchObject({
        status: 2,
        stdout: '',
        stderr: expect.stringContaining('pegasus-s3: error: '),
      });
    }
  });
});

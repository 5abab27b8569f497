import fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LOGIN, startServer } from '../../fixtures/servers/servers.ts';
import { partialName } from '../../src/partial-name.ts';
import { bridle, scratch } from '../commands/run-command.ts';

const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));

/** A tree on a server: where it lies on this machine, and what the product calls it. */
interface Tree {
  readonly root: string;
  readonly url: (path: string) => string;
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const FILES = [
  'run-1.csv',
  'run-2.csv',
  'run-10.csv',
  'with space.csv',
  '100%.csv',
  '.hidden.csv',
  'a*b',
  'axb',
];
const DEEP = ['x/1/in.dat', 'x/2/in.dat', 'y/1/in.dat', 'y/1/out.txt'];

const STARTERS: Readonly<Record<string, () => Promise<Tree>>> = {
  async sftp() {
    const { username, port, files, keys, knownHosts, stop } = await startServer('sshd');
    return {
      root: files,
      url: (path) => `sftp://${username}@127.0.0.1:${port}${files}/${path}`,
      env: { SSH_PRIVATE_KEY: keys.ed25519, SSH_KNOWN_HOSTS: knownHosts, BRIDLE_SSH_CONFIG: '/dev/null' },
      stop,
    };
  },
  async dav() {
    const { http, dav, stop } = await startServer('apache-dav');
    return { root: dav, url: (path) => `${http.replace('http', 'dav')}/open/${path}`, env: {}, stop };
  },
  async ftp() {
    const { plain, root, stop } = await startServer('ftp');
    const base = plain.replace('://', `://${LOGIN.username}:${LOGIN.password}@`);
    return { root, url: (path) => `${base}/${path}`, env: { SSL_CERT_FILE: CA }, stop };
  },
};

describe.each(Object.keys(STARTERS))('a pattern in the path of a URL, %s', (scheme) => {
  let tree: Tree;
  beforeAll(async () => {
    tree = await STARTERS[scheme]!();
    for (const path of [...FILES, ...DEEP]) {
      const local = join(tree.root, path);
      fs.mkdirSync(join(local, '..'), { recursive: true, mode: 0o777 });
      fs.writeFileSync(local, path);
    }
    // The server may be another user than the test.
    for (const entry of fs.readdirSync(tree.root, { recursive: true, withFileTypes: true }))
      fs.chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o777 : 0o666);
  });
  afterAll(() => tree?.stop());

  const run = (...args: string[]) => bridle(args, { cwd: scratch(), env: tree.env });
  const names = async (pattern: string) => {
    const { status, stdout } = await run('ls', tree.url(pattern));
    expect(status).toBe(0);
    return stdout.split('\n').filter((line) => line !== '');
  };

  test.each([
    ['`*` is any part of a name', 'run-*.csv', ['run-1.csv', 'run-10.csv', 'run-2.csv']],
    ['`[…]` is one character', 'run-[1-2].csv', ['run-1.csv', 'run-2.csv']],
    [
      '`*` does not find what begins with a dot',
      '*.csv',
      ['100%.csv', 'run-1.csv', 'run-10.csv', 'run-2.csv', 'with space.csv'],
    ],
    ['a dot finds a dot', '.h*', ['.hidden.csv']],
    ['a file that has such a name is meant before any pattern', 'a*b', ['a*b']],
    ['`*` stands for directories on the way', 'x/*/in.dat', ['in.dat', 'in.dat']],
  ])('ls: %s', async (_, pattern, expected) => {
    expect(await names(pattern)).toEqual(expected);
  });

  test('cp fetches every file that fits, each under its own name', async () => {
    const cwd = scratch();
    const done = await bridle(['cp', '-q', tree.url('*.csv'), 'to/'], { cwd, env: tree.env });
    expect(done).toMatchObject({ status: 0, stderr: '' });
    const there = fs.readdirSync(join(cwd, 'to')).sort();
    expect(there).toEqual(['100%.csv', 'run-1.csv', 'run-10.csv', 'run-2.csv', 'with space.csv']);
    for (const name of there) expect(fs.readFileSync(join(cwd, 'to', name), 'utf8')).toBe(name);
  });

  test('`**` goes through every directory', async () => {
    const cwd = scratch();
    const { status, stdout } = await bridle(['stat', '--json', tree.url('**/in.dat')], {
      cwd,
      env: tree.env,
    });
    expect(status).toBe(0);
    const found = stdout.split('\n').filter((line) => line !== '');
    expect(found.map((line) => JSON.parse(line).name.replace(/^.*\/(?=[xy]\/)/, ''))).toEqual([
      'x/1/in.dat',
      'x/2/in.dat',
      'y/1/in.dat',
    ]);
  });

  test.each(['ls', 'stat', 'rm'])('%s says so when no name fits, and fails', async (command) => {
    const { status, stderr } = await run(command, tree.url('nothing-*'));
    expect(status).toBe(1);
    expect(stderr).toContain('no name fits this pattern');
  });

  test('P1 what is unfinished is not listed, and not copied with its directory', async () => {
    const cwd = scratch();
    const partial = join(tree.root, 'y', partialName('0'.repeat(32), '0'.repeat(16)));
    fs.writeFileSync(partial, 'half');
    fs.chmodSync(partial, 0o666);
    const { stdout } = await run('ls', '-r', tree.url('y'));
    expect(stdout.split('\n').filter((line) => line !== '')).toEqual(['1', '1/in.dat', '1/out.txt']);
    expect(await bridle(['cp', '-qr', tree.url('y'), 'y'], { cwd, env: tree.env })).toMatchObject({
      status: 0,
    });
    expect(fs.readdirSync(join(cwd, 'y'))).toEqual(['1']);
    fs.rmSync(partial);
  });

  test('rm removes what fits and nothing else', async () => {
    for (const name of ['old-1', 'old-2', 'older']) {
      fs.writeFileSync(join(tree.root, name), '');
      fs.chmodSync(join(tree.root, name), 0o666);
    }
    expect(await run('rm', tree.url('old-*'))).toMatchObject({ status: 0 });
    const left = fs.readdirSync(tree.root);
    expect(left).toContain('older');
    expect(left).not.toContain('old-1');
    expect(left).not.toContain('old-2');
  });
});

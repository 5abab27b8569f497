import fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningApache } from '../../fixtures/servers/dav.ts';
import { LOGIN, startServer } from '../../fixtures/servers/servers.ts';
import { bridle, scratch } from '../commands/run-command.ts';

const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));

/** A server: where its files lie on this machine, and what the product calls them. */
interface Remote {
  readonly root: string;
  /** Of `root`, without a slash at its end. */
  readonly base: string;
  readonly env?: Readonly<Record<string, string>>;
  /** As it stands in a URL. */
  readonly name: (plain: string) => string;
  /** Names that it does not take, or does not tell of. */
  readonly lacks: readonly string[];
  /** `METHOD path status authorization expect` of each request, where they are written down. */
  readonly requests?: RunningApache['requests'];
  stop(): Promise<void>;
}

const plainNames = (name: string) => name;

async function dav(which: 'apache-dav' | 'nginx-dav'): Promise<Remote> {
  const server = await startServer(which);
  return {
    root: server.dav,
    base: `${server.http.replace('http', 'dav')}/open`,
    name: encodeURIComponent,
    // nginx stores them and leaves them out of its listings.
    lacks: which === 'nginx-dav' ? ['.dot'] : [],
    ...('requests' in server ? { requests: server.requests } : {}),
    stop: server.stop,
  };
}

async function ssh(scheme: 'sftp' | 'scp', env: Readonly<Record<string, string>> = {}): Promise<Remote> {
  const { username, port, files, keys, knownHosts, stop } = await startServer('sshd');
  return {
    root: files,
    base: `${scheme}://${username}@127.0.0.1:${port}${files}`,
    env: {
      SSH_PRIVATE_KEY: keys.ed25519,
      SSH_KNOWN_HOSTS: knownHosts,
      BRIDLE_SSH_CONFIG: '/dev/null',
      ...env,
    },
    name: plainNames,
    lacks: [],
    stop,
  };
}

async function ftp(): Promise<Remote> {
  const server = await startServer('ftp');
  return {
    root: server.root,
    base: server.plain.replace('://', `://${LOGIN.username}:${LOGIN.password}@`),
    env: { SSL_CERT_FILE: CA },
    name: encodeURIComponent,
    // No command can carry it.
    lacks: ['new\nline'],
    stop: server.stop,
  };
}

const REMOTES: Readonly<Record<string, () => Promise<Remote>>> = {
  'WebDAV of Apache': () => dav('apache-dav'),
  'WebDAV of nginx': () => dav('nginx-dav'),
  'sftp by ssh': () => ssh('sftp'),
  'scp by ssh2': () => ssh('scp', { BRIDLE_SSH: 'none' }),
  ftp,
};

/** Of files; L14 of the faults, as far as a name in a tree can go. */
const NAMES = [
  'a file',
  `quotes'"\``,
  'new\nline',
  '#hash',
  '%2F',
  'question?mark',
  'emoji 🦜',
  'x'.repeat(255),
  '-rf',
  '.dot',
  '[a-z]*',
  '100%',
  ' lead and trail ',
  'back\\slash',
];

describe.each(Object.keys(REMOTES))('over %s', (title) => {
  let remote: Remote;
  beforeAll(async () => {
    remote = await REMOTES[title]!();
  });
  afterAll(() => remote?.stop());

  /** What a command prints, or its status and what it complains of. */
  const runIn =
    (cwd: string) =>
    async (...args: string[]) => {
      const { status, stdout, stderr } = await bridle(args, { cwd, env: remote.env ?? {} });
      return status === 0 ? stdout : `${status} ${stderr}`;
    };

  test('ls, stat, mkdir, cp -r and rm -r do what they do on paths', async () => {
    const base = `${remote.base}/commands`;
    const cwd = scratch();
    const run = runIn(cwd);
    fs.mkdirSync(join(cwd, 'tree/deep/empty'), { recursive: true });
    fs.writeFileSync(join(cwd, 'tree/a file'), 'first');
    fs.writeFileSync(join(cwd, 'tree/deep/ä#%2F'), 'second');
    fs.writeFileSync(join(cwd, 'tree/nothing'), '');

    expect(await run('mkdir', base, base)).toBe('');
    expect(await run('cp', '-r', 'tree', base)).toBe('');
    expect(await run('ls', '-r', base)).toBe(
      ['tree', 'tree/a file', 'tree/deep', 'tree/deep/empty', 'tree/deep/ä#%2F', 'tree/nothing', ''].join(
        '\n',
      ),
    );
    expect(await run('ls', '-l', `${base}/tree`)).toMatch(
      /^- {15}5 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ a file\nd +[-\d]+ \d{4}.*Z deep\n- {15}0 .*Z nothing\n$/,
    );
    expect(JSON.parse(await run('stat', '--json', `${base}/tree/${remote.name('a file')}`))).toMatchObject({
      type: 'file',
      size: 5,
    });
    expect(await run('cp', '-r', `${base}/tree`, `${base}/again`)).toBe('');
    expect(await run('cp', '-r', `${base}/again`, 'back')).toBe('');
    for (const each of ['a file', 'deep/ä#%2F', 'nothing']) {
      expect(fs.readFileSync(join(cwd, 'back', each), 'utf8')).toBe(
        fs.readFileSync(join(cwd, 'tree', each), 'utf8'),
      );
    }
    expect(fs.readdirSync(join(cwd, 'back/deep/empty'))).toEqual([]);
    expect(await run('rm', `${base}/tree`)).toMatch(/^1 .*not empty.*hint: .*-r/s);
    expect(await run('rm', '-r', `${base}/tree`, `${base}/absent`)).toBe('');
    expect(await run('ls', base)).toBe('again\n');
    expect(await run('rm', '-r', base)).toBe('');
    expect(await run('stat', base)).toMatch(/^1 .*(?:not found|no such file)/is);
    expect(fs.readdirSync(remote.root)).toEqual([]);
    const methods = (await remote.requests?.())?.map((line) => line.split(' ')[0]);
    if (methods) expect(methods).toContain('COPY');
  });

  test('L14 a tree of odd names comes back as it was, and each of them by its URL', async () => {
    const cwd = scratch();
    const run = runIn(cwd);
    const names = NAMES.filter((name) => !remote.lacks.includes(name));
    fs.mkdirSync(join(cwd, 'odd/dir ?#%2F'), { recursive: true });
    for (const name of names) fs.writeFileSync(join(cwd, 'odd', name), `in ${name}`);
    fs.writeFileSync(join(cwd, 'odd/dir ?#%2F/-in it'), 'deep');

    const base = `${remote.base}/names`;
    expect(await run('mkdir', base)).toBe('');
    expect(await run('cp', '-r', 'odd', base)).toBe('');
    expect(await run('cp', '-r', `${base}/odd`, 'back')).toBe('');
    expect(fs.readdirSync(join(cwd, 'back')).sort()).toEqual(fs.readdirSync(join(cwd, 'odd')).sort());
    expect(fs.readFileSync(join(cwd, 'back/dir ?#%2F/-in it'), 'utf8')).toBe('deep');
    const lines = (await run('ls', '--json', `${base}/odd`)).split('\n').filter((line) => line !== '');
    expect(lines.map((line) => JSON.parse(line).name).sort()).toEqual([...names, 'dir ?#%2F'].sort());
    // A control character would be none in a URL of plain paths.
    const possible = names.filter((name) => remote.name !== plainNames || !name.includes('\n'));
    const urls = possible.map((name) => `${base}/odd/${remote.name(name)}`);
    expect(await run('cat', ...urls)).toBe(possible.map((name) => `in ${name}`).join(''));
    expect(await run('rm', ...urls)).toBe('');
    const left = fs.readdirSync(join(remote.root, 'names/odd'));
    expect(left.sort()).toEqual([...names.filter((name) => !possible.includes(name)), 'dir ?#%2F'].sort());
    expect(await run('rm', '-r', `${base}/odd`)).toBe('');
  });

  test('many files at once into directories that nobody made are all there', async () => {
    const cwd = scratch();
    fs.mkdirSync(join(cwd, 'many'));
    const names = Array.from({ length: 64 }, (_, index) => `f${index}`);
    for (const each of names) fs.writeFileSync(join(cwd, 'many', each), each);
    expect(await runIn(cwd)('cp', '-r', '--threads', '16', 'many', `${remote.base}/not/yet/there`)).toBe('');
    const there = join(remote.root, 'not/yet/there');
    expect(fs.readdirSync(there).sort()).toEqual([...names].sort());
    for (const each of names) expect(fs.readFileSync(join(there, each), 'utf8')).toBe(each);
  });
});

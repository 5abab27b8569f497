import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LOGIN, startServer } from '../../fixtures/servers/servers.ts';
import { bridle, scratch } from '../commands/run-command.ts';
import { afterwards } from '../faults/scene.ts';

const MIB = 1024 * 1024;

/** A server whose files lie on this machine. */
interface Served {
  readonly root: string;
  readonly url: (path: string) => string;
  readonly env?: Readonly<Record<string, string>>;
  /** Tries at a file for which there is no room: one, unless the server does not say that this is the reason. */
  readonly tries: number | readonly number[];
  readonly says: RegExp;
  stop(): Promise<void>;
}

async function sftp(env: Readonly<Record<string, string>>): Promise<Served> {
  const { username, port, files, keys, knownHosts, stop } = await startServer('sshd');
  return {
    root: files,
    url: (path) => `sftp://${username}@127.0.0.1:${port}${files}/${path}`,
    env: {
      SSH_PRIVATE_KEY: keys.ed25519,
      SSH_KNOWN_HOSTS: knownHosts,
      BRIDLE_SSH_CONFIG: '/dev/null',
      ...env,
    },
    tries: 1,
    says: /free on the server/,
    stop,
  };
}

async function dav(name: 'apache-dav' | 'nginx-dav'): Promise<Served> {
  const { http, dav: root, stop } = await startServer(name);
  const url = (path: string) => `${http.replace('http', 'dav')}/open/${path}`;
  return name === 'apache-dav'
    ? { root, url, tries: 1, says: /no space left on the server \(HTTP 507\)/, stop }
    : // nginx says 500, which may be anything.
      { root, url, tries: 2, says: /internal error of the server \(HTTP 500\)/, stop };
}

const SERVERS: Readonly<Record<string, () => Promise<Served>>> = {
  'WebDAV of Apache': () => dav('apache-dav'),
  'WebDAV of nginx': () => dav('nginx-dav'),
  'SFTP, by ssh': () => sftp({}),
  'SFTP, by ssh2': () => sftp({ BRIDLE_SSH: 'none' }),
  async FTP() {
    const { plain, root, stop } = await startServer('ftp');
    const base = plain.replace('://', `://${LOGIN.username}:${LOGIN.password}@`);
    const env = { BRIDLE_FTP_TLS: 'off' };
    const url = (path: string) => `${base}/${path}`;
    // Now and then ProFTPD calls a full disk an input/output error (451), which may pass.
    return { root, url, env, tries: [1, 2], says: /No space left on device/, stop };
  },
};

describe.each(Object.keys(SERVERS))('a full disk behind %s', (name) => {
  let server: Served;
  beforeAll(async () => {
    server = await SERVERS[name]!();
  });
  afterAll(() => server?.stop());

  const run = (cwd: string, ...args: string[]) => bridle(args, { cwd, env: server.env ?? {} });

  test('L1 P1 P6 P9 is told as such, costs no old file, and what stays of the upload is found and removed', async () => {
    if (process.getuid?.() !== 0) throw new Error('mounting a small tmpfs needs root');
    const small = fs.mkdtempSync(join(server.root, 'small-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0777', 'bridle-test', small]);
    afterwards(() => execFileSync('umount', ['-l', small]));
    const there = (path: string) => server.url(`${small.slice(server.root.length + 1)}/${path}`);
    const cwd = scratch();
    const content = randomBytes(12 * MIB);
    fs.writeFileSync(join(cwd, 'f'), content);
    expect(await run(cwd, 'cp', '-q', 'f', there('f'))).toMatchObject({ status: 0 });
    // Some 9 MiB find room, which only SFTP asks for beforehand.
    fs.writeFileSync(join(small, 'ballast'), Buffer.alloc(3 * MIB));
    fs.writeFileSync(join(cwd, 'g'), randomBytes(12 * MIB));
    for (const to of ['f', 'g']) {
      const copy = ['cp', '--attempts', '2', '--report', `report-${to}`, 'g', there(to)];
      const failed = await run(cwd, ...copy);
      expect(failed).toMatchObject({ status: 1, stderr: expect.stringMatching(server.says) });
      if (server.tries !== 2) expect(failed.stderr).toMatch(/hint: make room there.*bridle clean/);
      const tries = fs.readFileSync(join(cwd, `report-${to}`), 'utf8').match(/"round": ?\d+/g);
      expect([server.tries].flat()).toContain(tries?.length);
    }
    expect(fs.readFileSync(join(small, 'f')).equals(content)).toBe(true);

    const listed = await run(cwd, 'ls', there(''));
    expect(listed).toMatchObject({ status: 0, stdout: 'ballast\nf\n' });
    const cleaned = await run(cwd, 'clean', '--older-than', '0s', there(''));
    expect(cleaned).toMatchObject({ status: 0 });
    expect(fs.readdirSync(small).sort()).toEqual(['ballast', 'f']);

    fs.rmSync(join(small, 'f'));
    expect(await run(cwd, 'cp', '-q', 'g', there('g'))).toMatchObject({ status: 0 });
    expect(fs.readFileSync(join(small, 'g')).equals(fs.readFileSync(join(cwd, 'g')))).toBe(true);
    expect(fs.readdirSync(small).sort()).toEqual(['ballast', 'g']);
  });
});

import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startServer } from '../../fixtures/servers/servers.ts';
import type { RunningSshd } from '../../fixtures/servers/sshd.ts';
import { bridle, scratch } from '../commands/run-command.ts';
import { afterwards } from '../faults/scene.ts';

const MIB = 1024 * 1024;
const EXTENSIONS = 'posix-rename,fsync,limits,copy-data,hardlink,statvfs,fstatvfs,lsetstat,expand-path';

/** OpenSSH's server, which writes every request into a file (sftp-server(8)). */
const telling = (log: string, more = '') => `/usr/lib/openssh/sftp-server -e -l DEBUG3 ${more} 2>>${log}`;

async function sshd(options: { subsystem?: string; sshdConfig?: string }): Promise<RunningSshd> {
  const server = await startServer('sshd', options);
  afterwards(server.stop);
  return server;
}

const digest = (path: string) => createHash('sha256').update(fs.readFileSync(path)).digest('hex');

function environment({ keys, knownHosts }: RunningSshd, way: string): Record<string, string> {
  return {
    SSH_PRIVATE_KEY: keys.ed25519,
    SSH_KNOWN_HOSTS: knownHosts,
    BRIDLE_SSH_CONFIG: '/dev/null',
    ...(way === 'ssh2' ? { BRIDLE_SSH: 'none' } : {}),
  };
}

const url = ({ username, port, files }: RunningSshd, name: string) =>
  `sftp://${username}@127.0.0.1:${port}${files}/${name}`;

/** A file of 3 MiB goes there over one that is there, is copied by the server, and comes back. */
async function roundTrip(server: RunningSshd, way: string): Promise<void> {
  const cwd = scratch();
  const env = environment(server, way);
  fs.writeFileSync(join(cwd, 'f'), randomBytes(3 * MIB));
  fs.writeFileSync(join(server.files, 'f'), 'old');
  for (const [from, to] of [
    ['f', url(server, 'f')],
    [url(server, 'f'), url(server, 'twin')],
    [url(server, 'twin'), 'back'],
  ] as const) {
    expect(await bridle(['cp', '-q', from, to], { cwd, env })).toMatchObject({ status: 0, stderr: '' });
  }
  expect(digest(join(cwd, 'back'))).toBe(digest(join(cwd, 'f')));
  expect(fs.readdirSync(server.files).sort()).toEqual(['f', 'twin']);
}

describe.each(['ssh', 'ssh2'])('extensions of the host, by %s', (way) => {
  test('are used where it offers them: requests of its size, to the disk, renamed over, copied there', async () => {
    const file = join(scratch(), 'log');
    await roundTrip(await sshd({ subsystem: telling(file) }), way);
    const log = fs.readFileSync(file, 'utf8');
    expect(log).toMatch(/limits/);
    expect(log).toMatch(/fsync \(handle/);
    expect(log).toMatch(/posix-rename old "[^"]*\.part" new "[^"]*\/f"/);
    expect(log).toMatch(/copy-data/);
    expect(log).not.toMatch(/^(?:debug3: )?rename old/m);
  });

  test('P1 are done without where it does not', async () => {
    const file = join(scratch(), 'log');
    await roundTrip(await sshd({ subsystem: telling(file, `-P ${EXTENSIONS}`) }), way);
    const log = fs.readFileSync(file, 'utf8');
    expect(log).not.toMatch(/fsync \(handle|posix-rename old|copy-data from/);
    expect(log).toMatch(/rename old "[^"]*\.part" new "[^"]*\/f"/);
  });
});

test.each(['ssh', 'ssh2'])(
  'P7 new session keys in the middle of a file disturb nothing, by %s',
  async (way) => {
    const server = await sshd({ sshdConfig: 'RekeyLimit 1M' });
    const cwd = scratch();
    const env = environment(server, way);
    fs.writeFileSync(join(cwd, 'f'), randomBytes(24 * MIB));
    for (const [from, to] of [
      ['f', url(server, 'f')],
      [url(server, 'f'), 'back'],
    ] as const) {
      const args = ['cp', '--attempts', '1', '-q', from, to];
      expect(await bridle(args, { cwd, env })).toMatchObject({ status: 0, stderr: '' });
    }
    expect(digest(join(cwd, 'back'))).toBe(digest(join(cwd, 'f')));
  },
);

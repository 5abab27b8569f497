import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { startServer } from '../../fixtures/servers/servers.ts';
import type { RunningSshd } from '../../fixtures/servers/sshd.ts';
import { bridle, scratch } from '../commands/run-command.ts';
import { afterwards } from '../faults/scene.ts';

const run = promisify(execFile);

async function sshd(): Promise<RunningSshd> {
  const server = await startServer('sshd');
  afterwards(server.stop);
  return server;
}

async function fingerprint(key: string): Promise<string> {
  const { stdout } = await run('ssh-keygen', ['-l', '-f', `${key}.pub`]);
  return stdout.split(' ')[1] ?? '';
}

/** `USER FINGERPRINT` of every key that was shown, whether it was let in or not. */
async function shown(server: RunningSshd): Promise<string[]> {
  const lines = [
    ...(await server.log()).matchAll(/(?:Accepted|Failed|Postponed) publickey for (\S+) .* (SHA256:\S+)/g),
  ];
  return [...new Set(lines.map(([, user, key]) => `${user} ${key}`))].sort();
}

/** An agent that would offer a key of its own to every host. Gives its socket. */
async function agentWith(key: string, directory: string): Promise<string> {
  const socket = join(directory, 'agent');
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
  afterwards(() => agent.kill());
  const add = () => run('ssh-add', ['-q', key], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
  await vi.waitFor(add, { timeout: 10_000, interval: 20 });
  return socket;
}

test.each([
  ['sftp', 'the ssh of the system', {}],
  ['scp', 'the ssh of the system', {}],
  ['sftp', 'the one built in', { BRIDLE_SSH: 'none' }],
])(
  'P10 by %s over %s each side of an item shows the key of its site alone, whatever an agent holds',
  async (scheme, _, env) => {
    const [one, other] = await Promise.all([sshd(), sshd()]);
    const cwd = scratch();
    const strange = await agentWith(one.strangeKey, cwd);
    const { jail } = one;
    fs.writeFileSync(join(one.files, 'in'), 'of one');
    fs.writeFileSync(join(other.files, 'in'), 'of other');
    const hosts = join(cwd, 'hosts');
    fs.writeFileSync(
      hosts,
      fs.readFileSync(one.knownHosts, 'utf8') + fs.readFileSync(other.knownHosts, 'utf8'),
    );
    if (jail) {
      fs.writeFileSync(join(jail.root, 'data', 'in'), 'of the jail');
      fs.chownSync(join(jail.root, 'data', 'in'), 65534, 65534);
    }
    const [a, b, c] = [one.keys.ed25519, one.keys.ecdsa, other.keys.rsa];
    const at = (server: RunningSshd, path: string, user = server.username) =>
      `${scheme}://${user}@127.0.0.1:${server.port}${path}`;
    // The second user of the first host, where there may be one; else the same user with another key.
    const second = (name: string) =>
      jail ? at(one, `/data/${name}`, jail.username) : at(one, join(one.files, name));
    const items = [
      [
        ['a', at(one, join(one.files, 'in'))],
        ['local', `file://${join(cwd, 'a')}`],
      ],
      [
        ['site-b', second('in')],
        ['local', `file://${join(cwd, 'b')}`],
      ],
      [
        ['a', at(one, join(one.files, 'in'))],
        ['site-b', second('from-a')],
      ],
      [
        ['site-b', second('in')],
        ['c', at(other, join(other.files, 'from-b'))],
      ],
      [
        ['c', at(other, join(other.files, 'in'))],
        ['a', at(one, join(one.files, 'from-c'))],
      ],
    ].map(([from, to], id) => ({
      type: 'transfer',
      linkage: 'input',
      lfn: `f${id}`,
      id,
      src_urls: [{ site_label: from?.[0], url: from?.[1] }],
      dest_urls: [{ site_label: to?.[0], url: to?.[1] }],
    }));
    const { status, stderr } = await bridle(['transfer'], {
      cwd,
      env: {
        ...env,
        SSH_AUTH_SOCK: strange,
        SSH_KNOWN_HOSTS: hosts,
        BRIDLE_SSH_CONFIG: '/dev/null',
        SSH_PRIVATE_KEY: other.keys.ecdsa,
        SSH_PRIVATE_KEY_a: a,
        SSH_PRIVATE_KEY_site_b: b,
        SSH_PRIVATE_KEY_c: c,
        SSH_PRIVATE_KEY_elsewhere: one.strangeKey,
        PEGASUS_CREDENTIALS: '/nonexistent',
        BEARER_TOKEN: 'token-for-all',
      },
      input: JSON.stringify(items),
    });
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const user = one.username;
    expect(await shown(one)).toEqual(
      [`${user} ${await fingerprint(a)}`, `${jail?.username ?? user} ${await fingerprint(b)}`].sort(),
    );
    expect(await shown(other)).toEqual([`${user} ${await fingerprint(c)}`]);
    expect(fs.readFileSync(join(one.files, 'from-c'), 'utf8')).toBe('of other');
    expect(fs.readFileSync(join(other.files, 'from-b'), 'utf8')).toBe(jail ? 'of the jail' : 'of one');
  },
);

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import { findFreePorts } from '../../fixtures/servers/ports.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import type { RunningSshd } from '../../fixtures/servers/sshd.ts';
import { TransferError } from '../../src/errors.ts';
import type { Endpoint, SshSecrets } from '../../src/protocol.ts';
import { scratch, start } from '../commands/run-command.ts';
import { type OpenOptions, openSftp } from '../sftp-subject.ts';

const call = { signal: new AbortController().signal };
/** Both ways to reach a host. */
const WAYS = [
  ['ssh', {}],
  ['ssh2', { program: 'none' }],
] as const satisfies readonly (readonly [string, Partial<SshSecrets>])[];

let sshd: RunningSshd;
beforeAll(async () => {
  sshd = await startServer('sshd');
});
afterAll(() => sshd?.stop());

/** What asking for the writable directory comes to; the endpoint is closed. */
async function attempt(options: OpenOptions): Promise<TransferError | 'let in'> {
  return over(openSftp(sshd, options), async (endpoint) => {
    try {
      await endpoint.stat(sshd.files, call);
      return 'let in';
    } catch (error) {
      expect(error).toBeInstanceOf(TransferError);
      return error as TransferError;
    }
  });
}

async function over<T>(endpoint: Endpoint, work: (endpoint: Endpoint) => Promise<T>): Promise<T> {
  try {
    return await work(endpoint);
  } finally {
    await endpoint.close?.();
  }
}

function file(name: string, content = ''): string {
  const path = join(scratch(), name);
  fs.writeFileSync(path, content, { mode: 0o600 });
  return path;
}

describe.each(WAYS)('host keys, by %s', (_, way) => {
  test('S10 a host that nobody knows is refused, for good, and the error says what to do', async () => {
    const ended = await attempt({ ssh: { ...way, knownHosts: file('known_hosts') } });
    expect(ended).toMatchObject({
      code: 'permission-denied',
      transient: false,
      message: expect.stringContaining('the key of the host is not known'),
      hint: expect.stringContaining('--ssh-host-key accept-new'),
    });
  });

  test('S10 a hashed known_hosts file is as good', async () => {
    expect(await attempt({ ssh: { ...way, knownHosts: sshd.hashedHosts } })).toBe('let in');
  });

  test.each(['verify', 'accept-new'] as const)('S10 a changed key is refused under %s', async (hostKey) => {
    const [other] = fs.readFileSync(`${sshd.keys.ed25519}.pub`, 'utf8').split(' test');
    const knownHosts = file('known_hosts', `[127.0.0.1]:${sshd.port} ${other}\n`);
    const ended = await attempt({ ssh: { ...way, hostKey, knownHosts } });
    expect(ended).toMatchObject({
      code: 'permission-denied',
      transient: false,
      message: expect.stringContaining('another key than the one that is known'),
      hint: expect.stringContaining('ssh-keygen -R'),
    });
    expect(fs.readFileSync(knownHosts, 'utf8').trim().split('\n')).toHaveLength(1);
  });

  test('S10 a revoked key is refused', async () => {
    const lines = fs.readFileSync(sshd.knownHosts, 'utf8').trim().split('\n');
    const knownHosts = file('known_hosts', lines.map((line) => `@revoked ${line}\n`).join(''));
    for (const hostKey of ['verify', 'accept-new'] as const) {
      const ended = await attempt({ ssh: { ...way, hostKey, knownHosts } });
      expect(ended).toMatchObject({ code: 'permission-denied', message: expect.stringContaining('revoked') });
    }
  });

  test('S10 accept-new takes a new key down, with one warning, and holds the host to it', async () => {
    const knownHosts = file('known_hosts');
    const warnings: string[] = [];
    const warn = (key: string) => void warnings.push(key);
    const ssh = { ...way, hostKey: 'accept-new', knownHosts } as const;
    expect(await attempt({ ssh, warn })).toBe('let in');
    expect(await attempt({ ssh, warn })).toBe('let in');
    expect(warnings).toEqual([`new host key 127.0.0.1:${sshd.port}`]);
    expect(fs.readFileSync(knownHosts, 'utf8')).toContain(`[127.0.0.1]:${sshd.port} `);
    expect(await attempt({ ssh: { ...ssh, hostKey: 'verify' } })).toBe('let in');
  });

  test('S10 P9 where no new key can be taken down, one that changes within the run is refused', async () => {
    const other = await startServer('sshd');
    const proxy = await startFaultProxy({ port: sshd.port });
    const moved = await startFaultProxy({ port: other.port });
    try {
      const TMPDIR = scratch();
      const environment = { PATH: process.env.PATH, TMPDIR };
      const ssh = { ...way, hostKey: 'accept-new', knownHosts: '/proc/known_hosts', environment } as const;
      const endpoint = openSftp(sshd, { ssh, port: proxy.port });
      await endpoint.stat(sshd.files, call);
      const [kept = ''] = fs.readdirSync(TMPDIR);
      const path = join(TMPDIR, kept, 'known_hosts');
      const lines = fs.readFileSync(path, 'utf8').trim().split('\n');
      expect(lines).toHaveLength(1);
      // Another host behind the address that the first one had.
      fs.writeFileSync(path, lines.map((line) => line.replace(/\]:\d+/, `]:${moved.port}`)).join('\n'));
      const second = await attempt({
        port: moved.port,
        ssh: { ...way, hostKey: 'accept-new', knownHosts: path },
      });
      expect(second).toMatchObject({ message: expect.stringContaining('another key') });
      await endpoint.close?.();
      expect(fs.readdirSync(TMPDIR)).toEqual([]);
    } finally {
      await Promise.all([proxy.close(), moved.close(), other.stop()]);
    }
  });

  test('S10 off lets any host in, and says so loudly', async () => {
    const warnings: string[] = [];
    const warn = (_: string, message: string) => void warnings.push(message);
    expect(await attempt({ ssh: { ...way, hostKey: 'off', knownHosts: file('known_hosts') }, warn })).toBe(
      'let in',
    );
    expect(warnings).toEqual([expect.stringContaining('THE HOST KEY IS NOT VERIFIED')]);
  });
});

describe.each(WAYS)('keys, by %s', (_, way) => {
  test.each(['ed25519', 'rsa', 'ecdsa'] as const)('an %s key is let in', async (type) => {
    expect(await attempt({ ssh: { ...way, privateKey: sshd.keys[type] } })).toBe('let in');
  });

  test.each([
    ['that the host does not know', () => sshd.strangeKey],
    ['with a passphrase that nobody can be asked for', () => sshd.lockedKey],
    ['that is none', () => file('key', 'no key\n')],
  ])('a key %s ends in `unauthenticated`, for good, with a hint', async (_, key) => {
    const ended = await attempt({ ssh: { ...way, privateKey: key() } });
    expect(ended).toMatchObject({ code: 'unauthenticated', transient: false });
    expect((ended as TransferError).hint).toContain('key');
  });

  test('P6 a key that was refused is not shown again for every file', async () => {
    await over(openSftp(sshd, { ssh: { ...way, privateKey: sshd.strangeKey } }), async (endpoint) => {
      const before = (await sshd.log()).split('Connection from').length;
      for (let file = 0; file < 5; file += 1) {
        await expect(endpoint.stat('/x', call)).rejects.toMatchObject({ code: 'unauthenticated' });
      }
      expect((await sshd.log()).split('Connection from').length - before).toBe(1);
    });
  });

  test('an agent is asked where no key is named', async () => {
    const socket = join(scratch(), 'agent');
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    try {
      await expect.poll(() => fs.existsSync(socket), { timeout: 10_000 }).toBe(true);
      const environment = { PATH: process.env.PATH, SSH_AUTH_SOCK: socket };
      const added = spawnSync('ssh-add', ['-q', sshd.keys.rsa], { env: environment });
      expect(added.status).toBe(0);
      const endpoint = openSftp(sshd, { ssh: { ...way, environment }, withoutKey: true });
      await over(endpoint, (one) => one.stat(sshd.files, call));
    } finally {
      agent.kill();
      await once(agent, 'exit');
    }
  });
});

describe.each(WAYS)('hosts, by %s', (_, way) => {
  test('F25 a port where nobody listens is `unavailable`', async () => {
    const [port = 0] = await findFreePorts(1);
    const ended = await attempt({ port, ssh: way });
    expect(ended).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('connection refused'),
    });
  });

  test('F25 P7 a host that never answers is `timed-out`', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const ended = await attempt({ port, ssh: way, waits: { connect: 1 } });
    expect(ended).toMatchObject({ code: 'timed-out', transient: true });
    silent.close();
  });

  test('a host without the sftp subsystem is `unsupported`', async () => {
    const bare = await startServer('sshd', { subsystem: null });
    try {
      const ended = await over(openSftp(bare, { ssh: way }), (one) =>
        one.stat('/', call).catch((error) => error),
      );
      expect(ended).toMatchObject({ code: 'unsupported', message: expect.stringContaining('sftp') });
    } finally {
      await bare.stop();
    }
  });
});

describe('what ssh alone can', () => {
  test('an alias of ssh_config with its port, user, key and a jump over another host', async () => {
    const jump = await startServer('sshd', { sshdConfig: 'AllowTcpForwarding yes' });
    const config = file(
      'config',
      `Host far
  HostName 127.0.0.1
  Port ${sshd.port}
  User ${sshd.username}
  IdentityFile ${sshd.keys.ecdsa}
  UserKnownHostsFile ${sshd.knownHosts}
  ProxyJump near
Host near
  HostName 127.0.0.1
  Port ${jump.port}
  User ${jump.username}
  IdentityFile ${jump.keys.rsa}
  UserKnownHostsFile ${jump.knownHosts}
  StrictHostKeyChecking yes
`,
    );
    try {
      await over(openSftp(sshd, { host: 'far', ssh: { config }, withoutKey: true }), (one) =>
        one.stat(sshd.files, call),
      );
      expect(await jump.log()).toContain('Accepted publickey');
    } finally {
      await jump.stop();
    }
  });

  test('P8 P9 nothing runs on after close, nor after this program was killed', async () => {
    const endpoint = openSftp(sshd);
    await endpoint.stat(sshd.files, call);
    const own = sshBelow(process.pid);
    expect(own.length).toBeGreaterThan(0);
    await endpoint.close?.();
    expect(sshBelow(process.pid).filter((pid) => own.includes(pid))).toEqual([]);

    fs.writeFileSync(join(sshd.files, 'long'), Buffer.alloc(64 * 1024 * 1024));
    const child = startCopy(`sftp://127.0.0.1:${sshd.port}${sshd.files}/long`, join(scratch(), 'copy'));
    let orphans: readonly number[] = [];
    await expect
      .poll(
        () => {
          orphans = sshBelow(child.pid ?? 0);
          return orphans.length;
        },
        { timeout: 20_000 },
      )
      .toBeGreaterThan(0);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await expect.poll(() => orphans.filter(isRunning), { timeout: 20_000 }).toEqual([]);
  });
});

function startCopy(from: string, to: string): ChildProcess {
  return start(['cp', '--bwlimit', '1M', from, to], {
    cwd: dirname(to),
    env: {
      SSH_PRIVATE_KEY: sshd.keys.ed25519,
      SSH_KNOWN_HOSTS: sshd.knownHosts,
      BRIDLE_SSH_CONFIG: '/dev/null',
    },
  });
}

/** Processes called ssh that `parent` started. */
function sshBelow(parent: number): number[] {
  return fs.readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [, program, , above] =
        /^\d+ \((.*)\) (\S) (\d+)/.exec(fs.readFileSync(`/proc/${name}/stat`, 'latin1')) ?? [];
      return program === 'ssh' && Number(above) === parent ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

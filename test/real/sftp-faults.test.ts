import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../../fixtures/servers/fault-proxy.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import type { RunningSshd } from '../../fixtures/servers/sshd.ts';
import { bridle, type CallOptions, ended, entry, scratch, start } from '../commands/run-command.ts';
import { openSftp } from '../sftp-subject.ts';

const MIB = 1024 * 1024;
const SIZE = 24 * MIB;

let sshd: RunningSshd;
let proxy: FaultProxy;
/** Known by the port of the proxy as well. */
let knownHosts = '';
beforeAll(async () => {
  sshd = await startServer('sshd');
  proxy = await startFaultProxy({ port: sshd.port });
  const lines = fs.readFileSync(sshd.knownHosts, 'utf8');
  knownHosts = join(sshd.directory, 'all_hosts');
  fs.writeFileSync(knownHosts, lines + lines.replaceAll(`:${sshd.port} `, `:${proxy.port} `));
});
afterAll(async () => {
  await proxy?.close();
  await sshd?.stop();
});

let here = '';
let there = '';
beforeEach(() => {
  here = scratch();
  there = fs.mkdtempSync(join(sshd.files, 'test-'));
});
afterEach(() => proxy.setRules([]));

function options(env: Readonly<Record<string, string>> = {}): CallOptions {
  return {
    cwd: here,
    env: {
      SSH_PRIVATE_KEY: sshd.keys.ed25519,
      SSH_KNOWN_HOSTS: knownHosts,
      BRIDLE_SSH_CONFIG: '/dev/null',
      ...env,
    },
  };
}

const far = (path: string, port = sshd.port) => `sftp://127.0.0.1:${port}${path}`;
const digest = (path: string) => createHash('sha256').update(fs.readFileSync(path)).digest('hex');
const partials = (directory: string) =>
  fs.readdirSync(directory).filter((name) => name.startsWith('.bridle'));

function content(path: string, size = SIZE): string {
  fs.writeFileSync(path, randomBytes(size));
  return digest(path);
}

describe.each(['ssh', 'ssh2'])('a line that fails, by %s', (way) => {
  const by = way === 'ssh2' ? { BRIDLE_SSH: 'none' } : {};

  test.each([
    ['F2 is reset', 'reset'],
    ['F1 ends', 'close'],
    ['F4 falls silent', 'stall'],
    ['F26 flips a bit', 'corrupt'],
  ] as const)('P1 P4 a download whose connection %s goes on behind what it has', async (_, how) => {
    const expected = content(join(there, 'file'));
    proxy.setRules([{ break: { direction: 'down', at: 9 * MIB, how } }]);
    const copy = ['cp', '--checksum', 'sha256', '--stall-timeout', '2', '--report', 'report.json'];
    const run = await bridle(
      [...copy, far(join(there, 'file'), proxy.port), join(here, 'copy')],
      options(by),
    );
    expect(run).toMatchObject({ status: 0 });
    expect(digest(join(here, 'copy'))).toBe(expected);
    expect(proxy.counts().connections).toBeGreaterThan(1);
    // Not the whole once more.
    const { outcomes } = JSON.parse(fs.readFileSync(join(here, 'report.json'), 'utf8')) as {
      outcomes: { attempts: unknown[] }[];
    };
    expect(outcomes[0]?.attempts).toHaveLength(1);
  });

  test.each([
    ['F2 is reset', 'reset'],
    ['F4 falls silent', 'stall'],
  ] as const)('P1 P9 an upload whose connection %s is made again and leaves nothing else', async (_, how) => {
    const expected = content(join(here, 'file'));
    proxy.setRules([{ break: { direction: 'up', at: 9 * MIB, how } }]);
    const copy = ['cp', '--checksum', 'sha256', '--stall-timeout', '2', '--quiet'];
    const run = await bridle(
      [...copy, join(here, 'file'), far(join(there, 'copy'), proxy.port)],
      options(by),
    );
    expect(run).toMatchObject({ status: 0 });
    expect(digest(join(there, 'copy'))).toBe(expected);
    expect(partials(there)).toEqual([]);
  });
});

test('many files of every size, both ways at once, arrive as they were', async () => {
  const sizes = [0, 1, 32_767, 32_768, 261_120, 261_121, MIB - 1, MIB, MIB + 1, 5 * MIB + 3];
  const entries = sizes.flatMap((size, index) => {
    const [up, down] = [join(here, `up-${index}`), join(there, `down-${index}`)];
    content(up, size);
    content(down, size);
    return [
      entry(`file://${up}`, far(join(there, `up-${index}`))),
      entry(far(down), `file://${here}/down-${index}`),
    ];
  });
  const run = await bridle(['transfer', '--threads', '16', '--quiet'], {
    ...options(),
    input: JSON.stringify(entries),
  });
  expect(run).toMatchObject({ status: 0, stderr: '' });
  for (const [index] of sizes.entries()) {
    for (const name of [`up-${index}`, `down-${index}`])
      expect(digest(join(here, name))).toBe(digest(join(there, name)));
  }
  expect(partials(there)).toEqual([]);
});

test('within one host the server copies by itself; between two, the bytes pass through', async () => {
  const other = await startServer('sshd');
  try {
    const hosts = join(here, 'hosts');
    fs.writeFileSync(hosts, fs.readFileSync(knownHosts, 'utf8') + fs.readFileSync(other.knownHosts, 'utf8'));
    const keys = fs.readFileSync(join(sshd.directory, 'authorized_keys'));
    fs.appendFileSync(join(other.directory, 'authorized_keys'), keys);
    const expected = content(join(there, 'file'), 3 * MIB);
    const env = options({ SSH_KNOWN_HOSTS: hosts });
    const scp = far(join(there, 'file')).replace('sftp:', 'scp:');
    const plan = await bridle(['cp', '--dry-run', scp, far(join(there, 'twin'))], env);
    expect(plan.stdout).toContain('copy, both ends are on the same service');
    expect(await bridle(['cp', '-q', scp, far(join(there, 'twin'))], env)).toMatchObject({ status: 0 });
    expect(digest(join(there, 'twin'))).toBe(expected);
    const beyond = far(join(other.files, 'new/file'), other.port);
    expect(await bridle(['cp', '-q', scp, beyond], env)).toMatchObject({ status: 0 });
    expect(digest(join(other.files, 'new/file'))).toBe(expected);
  } finally {
    await other.stop();
  }
});

test.each(['ssh', 'ssh2'])('a host without SFTP is served by the old scp protocol, by %s', async (way) => {
  const old = await startServer('sshd', { subsystem: null });
  try {
    const url = (name: string) => `scp://127.0.0.1:${old.port}${old.files}/${name}`;
    const env = options({
      SSH_PRIVATE_KEY: old.keys.ed25519,
      SSH_KNOWN_HOSTS: old.knownHosts,
      ...(way === 'ssh2' ? { BRIDLE_SSH: 'none' } : {}),
    });
    const name = `new/it's "$(odd)" & more`;
    content(join(here, 'empty'), 0);
    expect(await bridle(['cp', '-q', join(here, 'empty'), url(name)], env)).toMatchObject({ status: 0 });
    expect(fs.readFileSync(join(old.files, name))).toHaveLength(0);
    const expected = content(join(here, 'file'), 3 * MIB + 1);
    fs.chmodSync(join(here, 'file'), 0o640);
    const up = await bridle(['cp', '-q', '--preserve', join(here, 'file'), url(name)], env);
    expect(up).toMatchObject({ status: 0, stderr: expect.stringContaining('the old scp protocol') });
    expect(digest(join(old.files, name))).toBe(expected);
    expect(fs.statSync(join(old.files, name)).mode & 0o777).toBe(0o640);
    expect(await bridle(['cp', '-q', url(name), url('twin')], env)).toMatchObject({ status: 0 });
    expect(await bridle(['cp', '-q', url('twin'), join(here, 'back')], env)).toMatchObject({ status: 0 });
    expect(digest(join(here, 'back'))).toBe(expected);
    expect(partials(join(old.files, 'new'))).toEqual([]);
    expect(await bridle(['rm', url(name)], env)).toMatchObject({ status: 0 });
    expect(fs.readdirSync(join(old.files, 'new'))).toEqual([]);
    const absent = await bridle(['cp', '-q', url('absent'), join(here, 'none')], env);
    expect(absent).toMatchObject({ status: 1, stderr: expect.stringContaining('no such file') });
    const plain = await bridle(['cp', '-q', url('twin').replace('scp:', 'sftp:'), join(here, 'none')], env);
    expect(plain.stderr).toContain('the host offers no sftp subsystem');
  } finally {
    await old.stop();
  }
});

test('each site has its own key, and two users of one host are two', async () => {
  const { jail } = sshd;
  if (!jail) throw new Error('a second account needs root');
  const fingerprints = (log: string) => [
    ...log.matchAll(/Accepted publickey for (\S+) .* (RSA|ECDSA|ED25519) /g),
  ];
  const before = fingerprints(await sshd.log()).length;
  content(join(there, 'file'), 1000);
  const list = [
    {
      type: 'transfer',
      src_urls: [
        { site_label: 'site-a', url: `sftp://${sshd.username}@127.0.0.1:${sshd.port}${there}/file` },
      ],
      dest_urls: [{ site_label: 'site-b', url: `scp://${jail.username}@127.0.0.1:${sshd.port}/data/file` }],
    },
  ];
  const env = {
    SSH_PRIVATE_KEY_site_a: sshd.keys.rsa,
    SSH_PRIVATE_KEY_site_b: sshd.keys.ecdsa,
    SSH_PRIVATE_KEY: sshd.strangeKey,
  };
  const run = await bridle(['transfer', '--quiet'], { ...options(env), input: JSON.stringify(list) });
  expect(run).toMatchObject({ status: 0, stderr: '' });
  const used = fingerprints(await sshd.log()).slice(before);
  expect(used.map(([, user, type]) => `${user} ${type}`)).toEqual([
    `${sshd.username} RSA`,
    `${jail.username} ECDSA`,
  ]);
  expect(digest(join(jail.root, 'data/file'))).toBe(digest(join(there, 'file')));
});

test('P4 S3 what a killed run left is claimed by its handle, read back and gone on with; nothing else is', async () => {
  const { signal } = new AbortController();
  const call = {
    signal,
    key: 'c0ffee00'.repeat(4),
    retry: <T>(unit: (signal: AbortSignal) => Promise<T>) => unit(signal),
  };
  const path = join(there, 'file');
  const whole = randomBytes(3 * MIB);
  async function* bytes(from: number, to: number) {
    for (let at = from; at < to; at += MIB) yield whole.subarray(at, at + MIB);
  }
  const killed = openSftp(sshd);
  let handle = '';
  const staged = await killed.write?.(path, bytes(0, 2 * MIB), {
    ...call,
    onPartial: (given) => {
      handle = given;
    },
  });
  await staged?.abort({ keep: true });
  await killed.close?.();

  const next = openSftp(sshd);
  try {
    expect(await next.partial?.(path, call)).toBeUndefined();
    for (const strange of [
      path,
      handle.replace(there, '/etc'),
      handle.replace('c0ffee', 'decade'),
      `${handle}x`,
    ]) {
      expect(await next.partial?.(path, { ...call, handle: strange })).toBeUndefined();
    }
    const claim = await next.partial?.(path, { ...call, handle });
    expect(claim?.ranges).toEqual([{ start: 0, end: 2 * MIB }]);
    expect(await next.partial?.(path, { ...call, handle })).toBeUndefined();
    const source = await claim?.read?.({ signal, range: { start: 0, end: 2 * MIB } });
    const stored: Uint8Array[] = [];
    for await (const chunk of source?.bytes ?? []) stored.push(Buffer.from(chunk));
    expect(Buffer.concat(stored).equals(whole.subarray(0, 2 * MIB))).toBe(true);
    const rest = await next.write?.(path, bytes(2 * MIB, 3 * MIB), { ...call, size: 3 * MIB, resume: claim });
    await rest?.commit(signal);
    expect(fs.readFileSync(path).equals(whole)).toBe(true);
    expect(fs.readdirSync(there)).toEqual(['file']);

    fs.symlinkSync('/etc/passwd', handle);
    expect(await next.partial?.(path, { ...call, handle })).toBeUndefined();
  } finally {
    await next.close?.();
  }
});

describe('the drop-in', () => {
  test('S10 S12 accepts a new host with one warning, closes a key that is open, and refuses a changed host', async () => {
    const hosts = join(here, 'hosts');
    const key = join(here, 'key');
    fs.copyFileSync(sshd.keys.ed25519, key);
    fs.chmodSync(key, 0o644);
    const urls = [1, 2, 3].map((number) => {
      content(join(there, `file-${number}`), 1000);
      return entry(
        far(join(there, `file-${number}`)).replace('sftp:', 'scp:'),
        `file://${here}/file-${number}`,
      );
    });
    const call: CallOptions = {
      ...options({ SSH_KNOWN_HOSTS: hosts, SSH_PRIVATE_KEY: key }),
      program: 'pegasus-transfer',
      input: JSON.stringify(urls),
    };
    const run = await bridle(['-m', '1'], call);
    expect(run).toMatchObject({ status: 0 });
    expect(run.stderr.match(/was not known and is accepted/g)).toHaveLength(1);
    expect(run.stderr.match(/its mode was 0644 and is 0600 now/g)).toHaveLength(1);
    expect(fs.statSync(key).mode & 0o777).toBe(0o600);

    const [other] = fs.readFileSync(`${sshd.keys.ed25519}.pub`, 'utf8').split(' test');
    fs.writeFileSync(hosts, `[127.0.0.1]:${sshd.port} ${other}\n`);
    const again = await bridle(['-m', '1'], call);
    expect(again).toMatchObject({ status: 1 });
    expect(again.stderr).toContain('another key than the one that is known');
  });
});

test('L5 a source that shrinks while it is sent ends the attempt, and nothing of it is visible', async () => {
  const source = join(here, 'file');
  content(source, 8 * MIB);
  const child = start(
    ['cp', '-m', '1', '--bwlimit', '1M', '-q', source, far(join(there, 'copy'))],
    options(),
  );
  const end = ended(child);
  await expect.poll(() => partials(there).length, { timeout: 20_000 }).toBe(1);
  fs.truncateSync(source, MIB);
  const run = await end;
  expect(run).toMatchObject({ status: 1, stderr: expect.stringContaining('changed while it was read') });
  expect(fs.readdirSync(there)).toEqual([]);
});

test('P4 P8 P9 SIGTERM ends a transfer with its ssh, and the next run goes on and leaves nothing', async () => {
  const source = join(here, 'file');
  const whole = content(source, 12 * MIB);
  const state = scratch();
  const args = ['-q', source, far(join(there, 'copy'))];
  const child = start(['cp', '--bwlimit', '2M', ...args], options({ BRIDLE_STATE: state }));
  const end = ended(child);
  await expect.poll(() => partials(there).length, { timeout: 20_000 }).toBe(1);
  child.kill('SIGTERM');
  expect(await end).toMatchObject({ status: 143 });
  expect(fs.existsSync(join(there, 'copy'))).toBe(false);
  const again = await bridle(['cp', ...args], options({ BRIDLE_STATE: state }));
  expect(again).toMatchObject({ status: 0 });
  expect(digest(join(there, 'copy'))).toBe(whole);
  expect(fs.readdirSync(there)).toEqual(['copy']);
  expect(fs.readdirSync(join(state, 'partials'))).toEqual([]);
});

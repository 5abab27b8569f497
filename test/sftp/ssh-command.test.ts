import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { SshSecrets } from '../../src/protocol.ts';
import { chooseTransport } from '../../src/sftp/choice.ts';
import {
  hostName,
  judgeHostKey,
  knownHostLine,
  knownTypes,
  parseKnownHosts,
} from '../../src/sftp/known-hosts.ts';
import { sshArguments, sshTarget } from '../../src/sftp/ssh-arguments.ts';
import { newlyKnown, sshError } from '../../src/sftp/ssh-errors.ts';

const SSH: SshSecrets = { hostKey: 'verify', environment: {}, home: '/home/joe' };
const scratch = mkdtempSync(join(tmpdir(), 'bridle-ssh-test-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function argumentsFor(ssh: Partial<SshSecrets>, newHosts?: string): readonly string[] {
  const target = sshTarget('host.example:2222', 'joe');
  return sshArguments({
    target,
    ssh: { ...SSH, ...ssh },
    connectSeconds: 1.5,
    newHosts,
    remote: { subsystem: 'sftp' },
  });
}

describe('the arguments for ssh', () => {
  test('S4 the host stands behind `--`, and nothing asks anybody', () => {
    const given = argumentsFor({});
    expect(given.slice(-4)).toEqual(['-s', '--', 'host.example', 'sftp']);
    for (const option of [
      'BatchMode=yes',
      'StrictHostKeyChecking=yes',
      'ConnectTimeout=2',
      'ControlMaster=no',
    ]) {
      expect(given).toContain(option);
    }
    expect(given).toContain('-p');
  });

  test.each(['-oProxyCommand=x', ''])('S4 the host `%s` is refused', (host) => {
    expect(() => sshTarget(host, undefined)).toThrow(/host name/);
  });

  test.each(['-oProxyCommand=x', '$(id)', '`id`', 'a;b', "a'b", 'a b', 'a\nb', ''])(
    'S4 the user `%s` is refused, and not shown',
    (user) => {
      expect(() => sshTarget('host', user)).toThrow(/plain user name/);
    },
  );

  test('an IPv6 address loses its brackets', () => {
    expect(sshTarget('[::1]:22', undefined)).toEqual({ host: '::1', port: 22 });
  });

  test('a key is named, and is the only one that is shown', () => {
    const given = argumentsFor({ privateKey: '/keys/100% "mine"' });
    expect(given.join(' ')).toContain('-i /keys/100%% "mine"');
    expect(given).toContain('IdentitiesOnly=yes');
    expect(() => argumentsFor({ privateKey: ['/keys/$', '{HOME}'].join('') })).toThrow(/control characters/);
  });

  test('S10 files of host keys are quoted, and new keys go to the first', () => {
    expect(argumentsFor({ knownHosts: '/a "b" 50%' })).toContain('UserKnownHostsFile="/a \\"b\\" 50%%"');
    const given = argumentsFor({ hostKey: 'accept-new' }, '/tmp/new');
    expect(given).toContain('StrictHostKeyChecking=accept-new');
    expect(given).toContain('UserKnownHostsFile="/tmp/new" ~/.ssh/known_hosts ~/.ssh/known_hosts2');
    expect(argumentsFor({ hostKey: 'off' })).toContain('UserKnownHostsFile=/dev/null');
  });
});

describe('what ssh prints', () => {
  test.each([
    ['ssh: Could not resolve hostname nosuch: Name or service not known', 'not-found'],
    ['ssh: Could not resolve hostname nosuch: Temporary failure in name resolution', 'unavailable'],
    ['ssh: connect to host h port 22: Connection refused', 'unavailable'],
    ['ssh: connect to host h port 22: Connection timed out', 'timed-out'],
    ['Connection timed out during banner exchange', 'timed-out'],
    ['ssh: connect to host h port 22: No route to host', 'unavailable'],
    [
      'No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed.',
      'permission-denied',
    ],
    ['joe@h: Permission denied (publickey,password).', 'unauthenticated'],
    ['Received disconnect from 1.2.3.4 port 22:2: Too many authentication failures', 'unauthenticated'],
    [
      'Unable to negotiate with 1.2.3.4 port 22: no matching host key type found. Their offer: ssh-dss',
      'unsupported',
    ],
    ['/x/config: line 3: Bad configuration option: nonsense', 'invalid-request'],
    ['subsystem request failed on channel 0', 'unsupported'],
    ['Timeout, server h not responding.', 'stalled'],
    ['kex_exchange_identification: read: Connection reset by peer', 'unavailable'],
    ['client_loop: send disconnect: Broken pipe', 'unavailable'],
    ['something nobody has ever seen', 'unavailable'],
    ['', 'unavailable'],
  ])('`%s` is `%s`', (stderr, code) => {
    const banner = 'Welcome. Unauthorized use is prohibited.\n';
    expect(sshError({ name: 'joe@h', stderr: `${banner}${stderr}\n`, status: 255 })).toMatchObject({ code });
  });

  test('a text of its own is shown, without what a terminal would obey', () => {
    const error = sshError({ name: 'h', stderr: '\u001b[31mno such thing\u0007\n', status: 255 });
    expect(error.message).toBe('ssh to `h`: it ended with 255: [31mno such thing');
  });

  test('S10 hosts that are new are told', () => {
    const said = "Warning: Permanently added '[127.0.0.1]:2222' (ED25519) to the list of known hosts.\r\n";
    expect(newlyKnown(said)).toEqual(['[127.0.0.1]:2222 (ED25519)']);
  });
});

describe('known_hosts', () => {
  const key = (type: string, fill: number) => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(type.length);
    return Buffer.concat([head, Buffer.from(type), Buffer.alloc(32, fill)]);
  };
  const [ours, other, ecdsa] = [key('ssh-ed25519', 1), key('ssh-ed25519', 2), key('ecdsa', 3)];
  const text = (hosts: string, shown: Buffer) => knownHostLine(hosts, shown);
  const judge = (file: string, name: string, shown = ours) =>
    judgeHostKey(parseKnownHosts(file), name, shown);

  test.each([
    ['h', 'h', 'known'],
    ['a,h,b', 'h', 'known'],
    ['*.example', 'h.example', 'known'],
    ['h?', 'h1', 'known'],
    ['*,!h', 'h', 'unknown'],
    ['[h]:2222', '[h]:2222', 'known'],
    ['h', '[h]:2222', 'unknown'],
    ['H', 'h', 'known'],
    ['a', 'h', 'unknown'],
  ])('S10 a line for `%s` makes `%s` %s', (hosts, name, verdict) => {
    expect(judge(`# comment\n\n${text(hosts, ours)}nonsense\n`, name)).toBe(verdict);
  });

  test('S10 another key of the type, or none of it, is a changed one', () => {
    expect(judge(text('h', other), 'h')).toBe('changed');
    expect(judge(text('h', ecdsa), 'h')).toBe('changed');
    expect(judge(text('h', other) + text('h', ours), 'h')).toBe('known');
    expect(judge(`@revoked ${text('*', ours)}${text('h', ours)}`, 'h')).toBe('revoked');
    expect(judge(`@cert-authority ${text('h', ours)}`, 'h')).toBe('unknown');
    expect(knownTypes(parseKnownHosts(text('h', ecdsa)), 'h')).toEqual(['ecdsa']);
  });

  test('a host has its port in its name unless it is 22', () => {
    expect(hostName('H', 22)).toBe('h');
    expect(hostName('h', 2222)).toBe('[h]:2222');
  });
});

describe('the transport', () => {
  test('is the first ssh in PATH, the one that BRIDLE_SSH names, or ssh2, and says why', () => {
    const program = join(scratch, 'ssh');
    writeFileSync(program, '#!/bin/sh\n');
    chmodSync(program, 0o755);
    expect(chooseTransport({ environment: { PATH: `/nowhere:${scratch}` } })).toMatchObject({
      kind: 'ssh',
      program,
    });
    expect(chooseTransport({ environment: { PATH: '/nowhere' } })).toEqual({
      kind: 'ssh2',
      why: 'there is no `ssh` in PATH',
    });
    expect(chooseTransport({ environment: {}, program: '/opt/ssh' })).toMatchObject({ program: '/opt/ssh' });
    expect(chooseTransport({ environment: { PATH: scratch }, program: 'none' })).toMatchObject({
      kind: 'ssh2',
    });
  });
});

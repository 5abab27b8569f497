import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunningSshd } from '../../fixtures/servers/sshd.ts';
import type { Contender } from '../row.ts';
import type { Stage } from '../stage.ts';

/** How the programs are told where the server is and who asks. */
export interface SshHost {
  /** `sftp://user@host:port`. */
  readonly url: string;
  /** Words before `bridle`. */
  readonly env: readonly string[];
  /** Options of `sftp`, `scp` and `ssh`, but for the port. */
  readonly options: readonly string[];
  readonly rclone: readonly string[];
  readonly port: number;
  /** `user@host`. */
  readonly name: string;
}

export function sshHost(server: RunningSshd): SshHost {
  const { address, port, username, knownHosts, keys } = server;
  return {
    url: `sftp://${username}@${address}:${port}`,
    env: ['env', `SSH_PRIVATE_KEY=${keys.ed25519}`, `SSH_KNOWN_HOSTS=${knownHosts}`],
    options: ['-F', '/dev/null', '-o', `UserKnownHostsFile=${knownHosts}`, '-i', keys.ed25519],
    rclone: [
      ...['--sftp-host', address, '--sftp-port', String(port), '--sftp-user', username],
      ...['--sftp-key-file', keys.ed25519, '--sftp-known-hosts-file', knownHosts],
    ],
    port,
    name: `${username}@${address}`,
  };
}

/** One file to move between here and there. */
export interface Move {
  readonly from: string;
  readonly to: string;
  readonly way: 'up' | 'down';
}

/**
 * OpenSSH's own client, as quick as it goes: 256 requests under way, each as large as the server takes. With the next
 * power of two, 262144, version 9.2 says `Outbound message too long` when it writes.
 */
export async function sftpBatch(stage: Stage, host: SshHost, { from, to, way }: Move): Promise<Contender> {
  const batch = join(stage.directory, 'batch');
  await writeFile(batch, `${way === 'up' ? 'put' : 'get'} ${from} ${to}\n`);
  const quick = ['-q', '-R', '256', '-B', '261120'];
  return {
    name: 'sftp',
    words: ['sftp', ...quick, ...host.options, '-P', String(host.port), '-b', batch, host.name],
    needs: 'sftp',
  };
}

export function copyByScp(host: SshHost, { from, to, way }: Move): Contender {
  const ends = way === 'up' ? [from, `${host.name}:${to}`] : [`${host.name}:${from}`, to];
  return {
    name: 'scp',
    words: ['scp', '-q', ...host.options, '-P', String(host.port), ...ends],
    needs: 'scp',
  };
}

/** Usually it asks the server to hash what it has (md5sum by ssh) and compares. */
export function copyByRclone(host: SshHost, move: Move & { readonly isUnchecked?: boolean }): Contender {
  const { from, to, way, isUnchecked = false } = move;
  const ends = way === 'up' ? [from, `:sftp:${to}`] : [`:sftp:${from}`, to];
  const check = isUnchecked ? ['--ignore-checksum'] : [];
  return {
    name: isUnchecked ? 'rclone, unchecked' : 'rclone',
    words: ['rclone', 'copyto', '-q', '--config', '/dev/null', ...check, ...host.rclone, ...ends],
    needs: 'rclone',
  };
}

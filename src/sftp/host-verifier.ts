import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { TransferError } from '../errors.ts';
import {
  hostName,
  judgeHostKey,
  type KnownHost,
  knownHostLine,
  knownTypes,
  parseKnownHosts,
} from './known-hosts.ts';
import type { SshRun } from './ssh-arguments.ts';
import { hostKeyError } from './ssh-errors.ts';

/** Decides about host keys where no ssh does. */
export interface HostVerifier {
  /** Algorithms to ask the host for; undefined when any will do. */
  readonly algorithms: readonly string[] | undefined;
  /** Undefined when the key is to be believed. Takes down a new one where that is the policy. */
  refuse(key: Buffer): TransferError | undefined;
}

/** An RSA key signs in three ways (RFC 8332 §3). */
const RSA = ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'];

/** Verifies by the files that ssh itself would look into. */
export function createHostVerifier(
  run: SshRun & { readonly name: string; readonly onNewHost: (host: string) => void },
): HostVerifier {
  const { ssh, target, newHosts } = run;
  if (ssh.hostKey === 'off') return { algorithms: undefined, refuse: () => undefined };
  const name = hostName(target.host, target.port ?? 22);
  const own =
    ssh.knownHosts === undefined
      ? [join(ssh.home, '.ssh/known_hosts'), join(ssh.home, '.ssh/known_hosts2')]
      : [ssh.knownHosts];
  const files = [...(newHosts === undefined ? [] : [newHosts]), ...own];
  const lines = [...files, '/etc/ssh/ssh_known_hosts'].flatMap(readLines);
  const types = knownTypes(lines, name);
  return {
    algorithms: types.length === 0 ? undefined : types.flatMap((type) => (type === 'ssh-rsa' ? RSA : [type])),
    refuse(key) {
      const verdict = judgeHostKey(lines, name, key);
      if (verdict === 'known') return undefined;
      if (verdict !== 'unknown' || ssh.hostKey === 'verify') return hostKeyError(run.name, verdict);
      takeDown(files[0] ?? '', knownHostLine(name, key));
      run.onNewHost(name);
      return undefined;
    },
  };
}

function readLines(path: string): readonly KnownHost[] {
  try {
    return parseKnownHosts(fs.readFileSync(path, 'utf8'));
  } catch {
    return [];
  }
}

function takeDown(path: string, line: string): void {
  try {
    fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    fs.appendFileSync(path, line, { mode: 0o600 });
  } catch (error) {
    throw new TransferError('permission-denied', `ssh: cannot write the new host key to \`${path}\``, {
      cause: error,
    });
  }
}

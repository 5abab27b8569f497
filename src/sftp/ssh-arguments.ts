import { TransferError } from '../errors.ts';
import type { SshSecrets } from '../protocol.ts';

/** Where an ssh connection goes. What is left out, ssh_config or ssh's own defaults say. */
export interface SshTarget {
  /** Name, address, or an alias of ssh_config; IPv6 without brackets. */
  readonly host: string;
  readonly port?: number;
  readonly username?: string;
}

const AUTHORITY = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/;
/** What OpenSSH 9.6 refuses in a user name as well: ssh_config may hand it to a shell as `%r`. */
const UNSAFE_USER = /^-|[\x00-\x20\x7f'"`$\\;&<>|(){}]/;
/** Seconds between two signs of life, and how many may be missed. */
const ALIVE = { interval: 15, count: 3 };

/** The target of `host[:port]`. Throws `invalid-request` for what ssh could take for an option or a shell for a command. */
export function sshTarget(authority: string, username: string | undefined): SshTarget {
  const [, bracketed, plain, port] = AUTHORITY.exec(authority) ?? [];
  const host = bracketed ?? plain ?? '';
  if (host === '' || host.startsWith('-')) {
    throw new TransferError('invalid-request', `ssh: expected a host name, got \`${host}\``);
  }
  if (username !== undefined && (username === '' || UNSAFE_USER.test(username))) {
    throw new TransferError('invalid-request', 'ssh: expected a plain user name in the URL, got another');
  }
  return {
    host,
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(username === undefined ? {} : { username }),
  };
}

/** What runs on the other side: a subsystem by name, or a command line for its shell. */
export type Remote = { readonly subsystem: string } | { readonly command: string };

export interface SshRun {
  readonly target: SshTarget;
  readonly ssh: SshSecrets;
  readonly connectSeconds: number;
  /** A file of this run that new host keys are kept in, where the user's cannot be written. */
  readonly newHosts?: string | undefined;
  readonly remote: Remote;
}

/** The arguments for `ssh`. What is said here comes before what ssh_config says; the host stands behind `--`. */
export function sshArguments(run: SshRun): readonly string[] {
  const { target, ssh, remote } = run;
  const options = {
    BatchMode: 'yes',
    ConnectTimeout: String(Math.max(1, Math.ceil(run.connectSeconds))),
    ServerAliveInterval: String(ALIVE.interval),
    ServerAliveCountMax: String(ALIVE.count),
    ForwardAgent: 'no',
    ForwardX11: 'no',
    ClearAllForwardings: 'yes',
    PermitLocalCommand: 'no',
    RemoteCommand: 'none',
    // A master of ours would outlive us; one of the user's (after a second factor, say) may carry us.
    ControlMaster: 'no',
    UpdateHostKeys: 'no',
    // Its messages tell why it failed.
    LogLevel: 'INFO',
    ...hostKeyOptions(run),
    ...(ssh.privateKey === undefined ? {} : { IdentitiesOnly: 'yes' }),
  };
  return [
    ...(ssh.config === undefined ? [] : ['-F', ssh.config]),
    '-T',
    ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    ...(ssh.privateKey === undefined ? [] : ['-i', withoutTokens(ssh.privateKey)]),
    ...(target.port === undefined ? [] : ['-p', String(target.port)]),
    ...(target.username === undefined ? [] : ['-l', target.username]),
    ...('subsystem' in remote
      ? ['-s', '--', target.host, remote.subsystem]
      : ['--', target.host, remote.command]),
  ];
}

function hostKeyOptions({ ssh, newHosts }: SshRun): Readonly<Record<string, string>> {
  if (ssh.hostKey === 'off') {
    return {
      StrictHostKeyChecking: 'no',
      UserKnownHostsFile: '/dev/null',
      GlobalKnownHostsFile: '/dev/null',
    };
  }
  const files = ssh.knownHosts === undefined ? [] : [quoted(ssh.knownHosts)];
  // Naming one file replaces the usual ones.
  if (newHosts !== undefined && files.length === 0) files.push('~/.ssh/known_hosts', '~/.ssh/known_hosts2');
  // New keys go to the first.
  if (newHosts !== undefined) files.unshift(quoted(newHosts));
  return {
    StrictHostKeyChecking: ssh.hostKey === 'verify' ? 'yes' : 'accept-new',
    ...(files.length === 0 ? {} : { UserKnownHostsFile: files.join(' ') }),
  };
}

/** A path as one word of a value of ssh_config (ssh_config(5): double quotes, `\` before a quote). */
function quoted(path: string): string {
  return `"${withoutTokens(path).replace(/["\\]/g, '\\$&')}"`;
}

/** ssh replaces `%h` and `${NAME}` in paths. */
function withoutTokens(path: string): string {
  if (path.includes('${') || /[\x00-\x1f]/.test(path)) {
    throw new TransferError(
      'invalid-request',
      `ssh: expected a path without \`\${\` and control characters, got \`${JSON.stringify(path)}\``,
    );
  }
  return path.replaceAll('%', '%%');
}

import { TransferError } from '../errors.ts';
import type { Context, SshSecrets } from '../protocol.ts';
import { chooseTransport } from './choice.ts';
import { type NewHosts, placeForNewHosts } from './new-hosts.ts';
import { openSession, type Session } from './session.ts';
import { type Remote, type SshRun, sshTarget } from './ssh-arguments.ts';
import { runSsh, type SshStreams, startSsh } from './ssh-process.ts';
import type { Ssh2Connection } from './ssh2.ts';
import type { Transport } from './transport.ts';

/** Seconds where nobody says otherwise. */
const WAITS = { connect: 10, firstByte: 300, stall: 60 };
/** Seconds beyond the connection in which a host must have let us in: some look names up for half a minute first. */
const LOGIN = 60;

/** Opens sessions with one host, by what transport there is. */
export interface Connector {
  connect(): Promise<Session>;
  readonly stallSeconds: number;
  /** Runs a command line by the shell of the account. */
  run(command: string): Promise<SshStreams>;
  /** Removes what was kept for the run. */
  close(): Promise<void>;
}

/** `authority` is `host[:port]` of the URL. */
export function createConnector(authority: string, context: Context): Connector {
  const net = context.settings?.net;
  const given = net?.timeouts;
  const waits = {
    connect: given?.connect ?? WAITS.connect,
    firstByte: given?.firstByte ?? WAITS.firstByte,
    stall: given?.stall ?? WAITS.stall,
  };
  const warned = new Set<string>();
  let newHosts: NewHosts | undefined;

  /** Every session would say the same. */
  function warn(key: string, message: string): void {
    if (warned.has(key)) return;
    warned.add(key);
    net?.warn(key, message);
  }

  async function prepare(remote: Remote): Promise<Ssh2Connection & { readonly program: string | undefined }> {
    const secrets = await context.secrets();
    const username = secrets.username ?? context.username;
    const target = sshTarget(authority, username);
    const name = username === undefined ? authority : `${username}@${authority}`;
    if (secrets.password !== undefined) {
      throw new TransferError('unsupported', `ssh to \`${name}\`: a password in the URL is not used`, {
        hint: 'use a key: SSH_PRIVATE_KEY, ssh_config, or an agent',
      });
    }
    const ssh = secrets.ssh;
    if (!ssh) throw new TransferError('unexpected', `ssh to \`${name}\`: nothing says how to run ssh`);
    warnOff(ssh, authority);
    const choice = chooseTransport(ssh);
    newHosts ??= placeForNewHosts(ssh);
    const run: SshRun = {
      target,
      ssh,
      connectSeconds: waits.connect,
      newHosts: newHosts.path,
      remote,
    };
    const onNewHost = (host: string) => {
      // Whoever believes anybody was told so already.
      if (ssh.hostKey !== 'accept-new') return;
      warn(
        `new host key ${authority}`,
        `ssh to \`${authority}\`: the key of ${host} was not known and is accepted from now on`,
      );
    };
    return { ...run, name, onNewHost, program: choice.kind === 'ssh' ? choice.program : undefined };
  }

  function warnOff(ssh: SshSecrets, host: string): void {
    if (ssh.hostKey !== 'off') return;
    warn(
      `ssh host key off ${host}`,
      `ssh to \`${host}\`: THE HOST KEY IS NOT VERIFIED, anybody on the way can read and change the data (--ssh-host-key off)`,
    );
  }

  async function subsystem(): Promise<Transport> {
    const { program, ...run } = await prepare({ subsystem: 'sftp' });
    if (program !== undefined) return startSsh({ ...run, program });
    return (await import('./ssh2.ts')).connectSsh2(run);
  }

  return {
    stallSeconds: waits.stall,
    async run(command) {
      const { program, ...run } = await prepare({ command });
      if (program !== undefined) return runSsh({ ...run, program });
      return (await import('./ssh2.ts')).execSsh2(run, command);
    },
    connect: async () =>
      openSession(await subsystem(), {
        open: waits.connect + LOGIN,
        stall: waits.stall,
        slow: Math.max(waits.firstByte, waits.stall),
      }),
    async close() {
      newHosts?.remove();
      newHosts = undefined;
    },
  };
}

import fs from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { AnyAuthMethod, Client, ClientChannel, ConnectConfig } from 'ssh2';
import { TransferError, toTransferError } from '../errors.ts';
import type { SshSecrets } from '../protocol.ts';
import { createHostVerifier } from './host-verifier.ts';
import type { SshRun } from './ssh-arguments.ts';
import { noKeyError, sshError } from './ssh-errors.ts';
import type { SshOutcome, SshStreams } from './ssh-process.ts';
import type { Transport, TransportListener } from './transport.ts';

export interface Ssh2Connection extends SshRun {
  /** `user@host:port`, for messages. */
  readonly name: string;
  /** Called with the host whose new key was taken down. */
  readonly onNewHost: (host: string) => void;
}

/** Keys that ssh looks for by itself. */
const USUAL_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa'];
const ALIVE = { interval: 15_000, count: 3 };
/** Milliseconds for a proper end. */
const GRACE = 2000;
/** What is kept of what a command prints. */
const KEPT = 16 * 1024;

/**
 * The sftp subsystem over a connection that is made here, for machines without an ssh. It knows keys, agents and
 * known_hosts; of ssh_config it knows nothing, so there are no aliases and no jumps.
 */
export async function connectSsh2(run: Ssh2Connection): Promise<Transport> {
  const { default: ssh2 } = await import('ssh2');
  const client = new ssh2.Client();
  try {
    await connect(client, run);
    return transportOf(client, await subsystem(client, run.name), run.name);
  } catch (error) {
    client.on('error', () => undefined);
    client.destroy();
    throw error;
  }
}

/** A command of the host over a connection of its own. */
export async function execSsh2(run: Ssh2Connection, command: string): Promise<SshStreams> {
  const { default: ssh2 } = await import('ssh2');
  const client = new ssh2.Client();
  try {
    await connect(client, run);
    const channel = await exec(client, command, run.name);
    return streamsOf(client, channel, run.name);
  } catch (error) {
    client.on('error', () => undefined);
    client.destroy();
    throw error;
  }
}

function exec(client: Client, command: string, name: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.once('error', (error) => reject(toTransferError(error, `ssh to \`${name}\``)));
    client.exec(command, (error, channel) => {
      if (error)
        reject(new TransferError('unsupported', `ssh to \`${name}\`: ${error.message}`, { cause: error }));
      else resolve(channel);
    });
  });
}

function streamsOf(client: Client, channel: ClientChannel, name: string): SshStreams {
  let status: number | null = null;
  let stderr = '';
  channel.stderr.setEncoding('latin1').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT);
  });
  channel.on('error', () => undefined);
  channel.once('exit', (code: number | null) => {
    status = code;
  });
  const ended = new Promise<SshOutcome>((resolve) => {
    const end = () => {
      client.destroy();
      resolve({ status, stderr, why: sshError({ name, stderr, status }) });
    };
    client.on('error', end);
    client.once('close', end);
    channel.once('close', end);
  });
  return {
    input: channel,
    output: channel,
    ended,
    kill: () => client.destroy(),
    async close() {
      const late = setTimeout(() => client.destroy(), GRACE);
      channel.end();
      await ended;
      clearTimeout(late);
    },
  };
}

function connect(client: Client, run: Ssh2Connection): Promise<void> {
  const { target, ssh } = run;
  const verifier = createHostVerifier(run);
  let refused: TransferError | undefined;
  const username = target.username ?? userInfo().username;
  const config: ConnectConfig = {
    host: target.host,
    port: target.port ?? 22,
    username,
    readyTimeout: run.connectSeconds * 1000,
    keepaliveInterval: ALIVE.interval,
    keepaliveCountMax: ALIVE.count,
    authHandler: authMethods(ssh, username, run.name),
    hostVerifier(key: Buffer) {
      try {
        refused = verifier.refuse(key);
      } catch (error) {
        refused = toTransferError(error, `ssh to \`${run.name}\``);
      }
      return refused === undefined;
    },
    ...(verifier.algorithms === undefined
      ? {}
      : { algorithms: { serverHostKey: verifier.algorithms as never } }),
  };
  return new Promise((resolve, reject) => {
    client.once('ready', resolve);
    client.once('error', (error) => reject(refused ?? connectError(error, run)));
    client.once('close', () => reject(refused ?? closed(run.name)));
    client.connect(config);
  });
}

function authMethods(ssh: SshSecrets, username: string, name: string): AnyAuthMethod[] {
  const paths =
    ssh.privateKey === undefined ? USUAL_KEYS.map((key) => join(ssh.home, '.ssh', key)) : [ssh.privateKey];
  const keys = paths.flatMap((path): AnyAuthMethod[] => {
    const key = readKey(path, ssh.privateKey !== undefined, name);
    return key === undefined ? [] : [{ type: 'publickey', username, key }];
  });
  const agent = ssh.environment.SSH_AUTH_SOCK;
  // A key that was named is the one that is meant: another identity must not be taken for it.
  const fromAgent: AnyAuthMethod[] =
    agent && ssh.privateKey === undefined ? [{ type: 'agent', username, agent }] : [];
  return [...fromAgent, ...keys];
}

function readKey(path: string, isNamed: boolean, name: string): Buffer | undefined {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    if (isNamed) throw toTransferError(error, `ssh to \`${name}\`: read \`${path}\``);
    return undefined;
  }
}

function connectError(error: Error & { readonly level?: string }, run: Ssh2Connection): TransferError {
  const doing = `ssh to \`${run.name}\``;
  if (error.level === 'client-authentication') return noKeyError(run.name, error);
  if (error.level === 'client-timeout' || /timed? ?out/i.test(error.message)) {
    return new TransferError('timed-out', `${doing}: connection timed out`, { cause: error });
  }
  if (/Cannot parse privateKey|Encrypted .* detected/i.test(error.message)) {
    return new TransferError('unauthenticated', `${doing}: the private key cannot be read`, { cause: error });
  }
  if (/no matching/i.test(error.message)) {
    return new TransferError('unsupported', `${doing}: both sides have no algorithm in common`, {
      cause: error,
    });
  }
  if (error.level === 'protocol' || error.level === 'handshake') {
    return new TransferError('unavailable', `${doing}: connection closed by the other side`, {
      cause: error,
    });
  }
  const known = toTransferError(error, doing);
  if (known.code !== 'unexpected') return known;
  return new TransferError('unavailable', known.message, { cause: error });
}

function closed(name: string): TransferError {
  return new TransferError('unavailable', `ssh to \`${name}\`: connection closed by the other side`);
}

function subsystem(client: Client, name: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.once('error', (error) => reject(toTransferError(error, `ssh to \`${name}\``)));
    client.subsys('sftp', (error, channel) => {
      if (!error) resolve(channel);
      else
        reject(
          new TransferError('unsupported', `ssh to \`${name}\`: the host offers no sftp subsystem`, {
            cause: error,
          }),
        );
    });
  });
}

function transportOf(client: Client, channel: ClientChannel, name: string): Transport {
  let listener: TransportListener | undefined;
  let why = closed(name);
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      client.destroy();
      resolve();
      listener?.ended(why);
      listener = undefined;
    };
    client.on('error', (error) => {
      why = new TransferError('unavailable', `ssh to \`${name}\`: ${error.message}`, { cause: error });
      end();
    });
    client.once('close', end);
    channel.once('close', end);
  });
  channel.on('error', () => undefined);
  channel.stderr.resume();
  channel.on('data', (chunk: Buffer) => listener?.bytes(chunk));
  return {
    listen(given) {
      listener = given;
    },
    write(pieces, flushed) {
      if (!channel.writable) return;
      pieces.forEach((piece, index) => {
        const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
        channel.write(bytes, index === pieces.length - 1 ? flushed : undefined);
      });
    },
    kill: () => client.destroy(),
    async close() {
      const late = setTimeout(() => client.destroy(), GRACE);
      channel.end();
      client.end();
      await ended;
      clearTimeout(late);
    },
  };
}

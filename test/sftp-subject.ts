import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { type ServerOptions, startServer } from '../fixtures/servers/servers.ts';
import type { RunningSshd } from '../fixtures/servers/sshd.ts';
import { open } from '../protocols/sftp.ts';
import { TransferError } from '../src/errors.ts';
import { parseUrl } from '../src/location.ts';
import type { Endpoint, NetSettings, SshSecrets } from '../src/protocol.ts';
import type { Subject } from './conformance.ts';

/** What the tests' sshd needs to be shown, and nothing of this machine's own configuration. */
export function sshSecrets(sshd: RunningSshd, more: Partial<SshSecrets> = {}): SshSecrets {
  return {
    hostKey: 'verify',
    privateKey: sshd.keys.ed25519,
    knownHosts: sshd.knownHosts,
    config: '/dev/null',
    environment: { PATH: process.env.PATH },
    home: sshd.directory,
    ...more,
  };
}

export interface OpenOptions {
  readonly ssh?: Partial<SshSecrets>;
  readonly username?: string;
  readonly port?: number;
  readonly warn?: (key: string, message: string) => void;
  readonly waits?: NetSettings['timeouts'];
  readonly scheme?: 'sftp' | 'scp';
  /** A name of ssh_config, without a port. */
  readonly host?: string;
  /** ssh finds keys, users and known hosts by itself. */
  readonly withoutKey?: boolean;
}

/** An endpoint of the tests' sshd. */
export function openSftp(sshd: RunningSshd, options: OpenOptions = {}): Endpoint {
  const authority = options.host ?? `127.0.0.1:${options.port ?? sshd.port}`;
  const { location } = parseUrl(`${options.scheme ?? 'sftp'}://${authority}/`);
  const { privateKey: _, ...keyless } = sshSecrets(sshd, options.ssh);
  const { knownHosts: __, ...plain } = keyless;
  const withoutKey = options.host === undefined ? keyless : plain;
  const ssh = options.withoutKey ? withoutKey : sshSecrets(sshd, options.ssh);
  return open(location, {
    http: {
      send: () => Promise.reject(new TransferError('unexpected', 'there is no http here')),
      close: async () => undefined,
    },
    secrets: async () => ({ ssh }),
    username: options.host === undefined ? (options.username ?? sshd.username) : options.username,
    settings: {
      net: {
        connections: 1,
        authorities: async () => [],
        verifyTls: true,
        warn: options.warn ?? (() => undefined),
        timeouts: options.waits,
      },
    },
  });
}

/** A directory of a fresh sshd; `jailed`: the writable one of its jail. */
export async function sftpSubject(
  options: OpenOptions & { readonly server?: ServerOptions; readonly jailed?: boolean } = {},
): Promise<Subject> {
  const sshd = await startServer('sshd', options.server ?? {});
  const { jail } = sshd;
  if (options.jailed && !jail)
    throw new TransferError('unsupported', 'a jail needs root and a directory /srv');
  const root = options.jailed && jail ? join(jail.root, 'data') : sshd.files;
  const base = options.jailed ? '/data' : root;
  const endpoint = openSftp(sshd, options.jailed && jail ? { username: jail.username, ...options } : options);
  const disk = (name: string) => join(root, name);
  return {
    endpoint,
    path: (name) => (name === '' ? base : `${base}/${name}`),
    async look(name) {
      const at = disk(name);
      const isLink = fs.lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() === true;
      // What a link in a jail leads to is seen from inside.
      const real = isLink && options.jailed && jail ? join(jail.root, fs.readlinkSync(at)) : at;
      return fs.existsSync(real) ? fs.readFileSync(real) : undefined;
    },
    async put(name, content) {
      fs.mkdirSync(dirname(disk(name)), { recursive: true });
      fs.writeFileSync(disk(name), content);
      if (!options.jailed) return;
      for (let at = disk(name); at !== root; at = dirname(at)) fs.chownSync(at, 65534, 65534);
    },
    async close() {
      await endpoint.close?.();
      await sshd.stop();
    },
  };
}

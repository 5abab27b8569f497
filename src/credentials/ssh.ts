import { chmod, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import { type Location, siteKey } from '../location.ts';
import type { SshSecrets } from '../protocol.ts';
import { type NamedFile, readingFile } from './credential-file.ts';

export type SshHostKeyPolicy = SshSecrets['hostKey'];

const POLICIES: readonly SshHostKeyPolicy[] = ['verify', 'accept-new', 'off'];

const SSH_SCHEMES: ReadonlySet<string> = new Set(['sftp', 'scp']);

export interface SshLookupOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly warn: (key: string, message: string) => void;
  /** `BRIDLE_SSH_HOST_KEY` of `env` where absent, and `verify` without that. */
  readonly hostKey?: SshHostKeyPolicy | undefined;
}

export interface FoundSsh {
  readonly secrets: SshSecrets;
  /** Where the key comes from. */
  readonly source: string;
}

/**
 * What ssh is to show the host at `location`: the key that `SSH_PRIVATE_KEY_<site>` or `SSH_PRIVATE_KEY` names, and the
 * hosts that `SSH_KNOWN_HOSTS_<site>` or `SSH_KNOWN_HOSTS` knows. Undefined for other schemes. Rejects with
 * `invalid-request` when a file that is named is missing, `permission-denied` when a key is open to others and cannot
 * be closed.
 */
export function createSshLookup(
  options: SshLookupOptions,
): (location: Location) => Promise<FoundSsh | undefined> {
  const { env, home, warn } = options;

  /** The path in the site's own variable, else in the general one. */
  function named(name: string, site: string): (NamedFile & { readonly variable: string }) | undefined {
    const own = `${name}_${siteKey(site)}`;
    const variable = site !== '' && env[own] ? own : name;
    const path = env[variable];
    if (!path) return undefined;
    return { variable, path: path.startsWith('~/') ? join(home, path.slice(2)) : resolve(path) };
  }

  return async (location) => {
    if (!SSH_SCHEMES.has(location.scheme)) return undefined;
    const hostKey = options.hostKey ?? policyOf(env.BRIDLE_SSH_HOST_KEY);
    const key = named('SSH_PRIVATE_KEY', location.site);
    const hosts = named('SSH_KNOWN_HOSTS', location.site);
    if (key) await closeToOthers(key, warn);
    // Where new keys are taken down, the file may still be to come.
    if (hosts && hostKey === 'verify') await requireFile(hosts);
    return {
      source: key === undefined ? 'ssh_config, agent or ~/.ssh' : `key of ${key.variable}`,
      secrets: {
        hostKey,
        home,
        environment: env,
        ...(key === undefined ? {} : { privateKey: key.path }),
        ...(hosts === undefined ? {} : { knownHosts: hosts.path }),
        ...(env.BRIDLE_SSH ? { program: env.BRIDLE_SSH } : {}),
        ...(env.BRIDLE_SSH_CONFIG ? { config: env.BRIDLE_SSH_CONFIG } : {}),
      },
    };
  };
}

/** `verify` for nothing. A word that is none of the policies must not turn verification off. */
function policyOf(word: string | undefined): SshHostKeyPolicy {
  if (word === undefined || word === '') return 'verify';
  const policy = POLICIES.find((one) => one === word);
  if (policy) return policy;
  throw new TransferError(
    'invalid-request',
    `BRIDLE_SSH_HOST_KEY: expected \`verify\`, \`accept-new\` or \`off\`, got \`${word}\``,
  );
}

async function requireFile(file: NamedFile): Promise<number> {
  try {
    const facts = await stat(file.path);
    if (facts.isFile()) return facts.mode & 0o777;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR')
      throw toTransferError(error, readingFile(file));
    throw new TransferError('invalid-request', `${readingFile(file)}: no such file`, {
      hint: `correct or unset ${file.variable}`,
    });
  }
  throw new TransferError('invalid-request', `${readingFile(file)}: expected a regular file`);
}

/** ssh refuses a key that others can read; jobs get theirs with whatever mode the transfer of it left. */
async function closeToOthers(file: NamedFile, warn: (key: string, message: string) => void): Promise<void> {
  const mode = await requireFile(file);
  if ((mode & 0o077) === 0 && (mode & 0o400) !== 0) return;
  const shown = mode.toString(8).padStart(4, '0');
  try {
    await chmod(file.path, 0o600);
  } catch (error) {
    throw new TransferError(
      'permission-denied',
      `${readingFile(file)}: expected mode 0600, got ${shown}, and it is not ours to change`,
      { cause: error, hint: 'use a copy of the key that belongs to you, with mode 0600' },
    );
  }
  warn(`ssh key mode ${file.path}`, `${readingFile(file)}: its mode was ${shown} and is 0600 now`);
}

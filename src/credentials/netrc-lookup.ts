import { posix } from 'node:path';
import { TransferError } from '../errors.ts';
import { checkLogin, type Login } from './basic.ts';
import { type CredentialFile, type NamedFile, readingFile, refuseExposed } from './credential-file.ts';
import { createFileCache } from './file-cache.ts';
import { findMachine, type Netrc, type NetrcEntry, parseNetrc } from './netrc.ts';
import type { Origin } from './origin.ts';

export interface NetrcOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly uid: number;
  readonly now: () => number;
  readonly warn: (key: string, message: string) => void;
}

export interface NetrcLookup {
  /** The login of the `machine` entry for this host; with `login`, of the one with this login. */
  machine(origin: Origin, again: boolean, login?: string): Promise<Login | undefined>;
  /** The login of the `default` entry. */
  fallback(again: boolean): Promise<Login | undefined>;
}

interface Parsed {
  readonly netrc: Netrc;
  readonly found: CredentialFile;
}

/**
 * Looks into the file that `NETRC` names, which must then be there and well-formed, else into `~/.netrc`, which is
 * passed over with a warning when it cannot be used: it was written for other programs. Rejects with
 * `permission-denied` when the entry that applies stands in a file that others can read.
 */
export function createNetrcLookup(options: NetrcOptions): NetrcLookup {
  const { env, home, uid, now, warn } = options;
  const files = createFileCache<Parsed>(
    (found, file) => ({ found, netrc: parseNetrc(found.text, readingFile(file)) }),
    now,
  );

  const file = netrcFile(env, home);

  async function load(again: boolean): Promise<Parsed | undefined> {
    if (!file) return undefined;
    try {
      const parsed = await files(file, again);
      if (parsed || file.variable === undefined) return parsed;
    } catch (error) {
      if (file.variable !== undefined || !(error instanceof TransferError)) throw error;
      warn('netrc-unusable', `${error.message}, going on without it`);
      return undefined;
    }
    throw new TransferError('invalid-request', `${readingFile(file)}: no such file`);
  }

  async function find(
    again: boolean,
    choose: (netrc: Netrc) => NetrcEntry | undefined,
  ): Promise<Login | undefined> {
    const parsed = await load(again);
    const entry = parsed && choose(parsed.netrc);
    if (!file || !entry || (entry.login === undefined && entry.password === undefined)) return undefined;
    refuseExposed(parsed.found, file, uid);
    const { login = '', password } = entry;
    return checkLogin(
      { username: login, ...(password === undefined ? {} : { password }) },
      readingFile(file),
    );
  }

  return {
    machine: (origin, again, login) =>
      find(again, (netrc) =>
        findMachine(netrc, {
          host: origin.host,
          port: origin.port,
          scheme: origin.scheme,
          ...(login === undefined ? {} : { login }),
        }),
      ),
    fallback: (again) => find(again, (netrc) => netrc.fallback),
  };
}

function netrcFile(env: NetrcOptions['env'], home: string): NamedFile | undefined {
  if (env.NETRC) return { path: env.NETRC, variable: 'NETRC' };
  return home === '' ? undefined : { path: posix.join(home, '.netrc') };
}

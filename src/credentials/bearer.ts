import { posix } from 'node:path';
import { TransferError } from '../errors.ts';
import { type CredentialFile, type NamedFile, readingFile, refuseExposed } from './credential-file.ts';
import { createFileCache } from './file-cache.ts';

export interface BearerToken {
  readonly token: string;
  /** Variable or path that it came from. */
  readonly source: string;
}

export interface BearerOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** Directory that everybody may write to. */
  readonly shared: string;
  readonly now: () => number;
  readonly warn: (key: string, message: string) => void;
}

/** RFC 6750 §2.1, `b68token`. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/**
 * Finds the token that WLCG Bearer Token Discovery leads to (DOI 10.5281/zenodo.3937438): `BEARER_TOKEN`, the file
 * `BEARER_TOKEN_FILE`, `bt_u<uid>` in `XDG_RUNTIME_DIR`, then in `/tmp`. What is missing or empty is passed over.
 * Rejects with `invalid-request` for a token that no header can carry, `permission-denied` when others can read it.
 *
 * In the last two places another user can be the cause of what is there (a planted file, a directory kept from before
 * `su`): what cannot be read or is not ours is passed over with a warning, so that nobody can stop our transfers.
 */
export function createBearerDiscovery(
  options: BearerOptions,
): (again: boolean) => Promise<BearerToken | undefined> {
  const { env, uid, shared, now, warn } = options;
  const files = createFileCache<CredentialFile>((found) => found, now);

  function tokenIn(text: string, source: string, where: string): BearerToken | undefined {
    // No regular expression: `\s+$` takes quadratic time on a long run of spaces.
    const token = text.trim();
    if (token === '') return undefined;
    if (TOKEN.test(token)) return { token, source };
    throw new TransferError(
      'invalid-request',
      `${where}: expected a bearer token (RFC 6750), got other text`,
    );
  }

  async function fromVariable(path: string, again: boolean): Promise<BearerToken | undefined> {
    const isShared = posix.dirname(posix.resolve(path)) === posix.resolve(shared);
    const file: NamedFile = { path, variable: 'BEARER_TOKEN_FILE', refuseLink: isShared };
    const found = await files(file, again);
    if (!found) {
      warn('bearer-missing', `${readingFile(file)}: no such file, going on without it`);
      return undefined;
    }
    if (isShared) refuseExposed(found, file, uid);
    return tokenIn(found.text, 'BEARER_TOKEN_FILE', readingFile(file));
  }

  async function fromPlace(directory: string, again: boolean): Promise<BearerToken | undefined> {
    const isShared = directory === shared;
    const file: NamedFile = { path: posix.join(directory, `bt_u${uid}`), refuseLink: isShared };
    let found: CredentialFile | undefined;
    try {
      found = await files(file, again);
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      warn(`bearer-unreadable ${file.path}`, `${error.message}, going on without it`);
    }
    if (!found) return undefined;
    if (isShared && found.owner !== uid) {
      warn(
        `bearer-owner ${file.path}`,
        `${readingFile(file)}: expected a file of user ${uid}, got one of user ${found.owner}, going on without it`,
      );
      return undefined;
    }
    if (isShared) refuseExposed(found, file, uid);
    return tokenIn(found.text, file.path, readingFile(file));
  }

  return async (again) =>
    tokenIn(env.BEARER_TOKEN ?? '', 'BEARER_TOKEN', 'BEARER_TOKEN') ??
    (env.BEARER_TOKEN_FILE ? await fromVariable(env.BEARER_TOKEN_FILE, again) : undefined) ??
    (env.XDG_RUNTIME_DIR ? await fromPlace(env.XDG_RUNTIME_DIR, again) : undefined) ??
    (await fromPlace(shared, again));
}

import { posix } from 'node:path';
import { TransferError } from '../errors.ts';
import { HUB, type Reference } from '../image/reference.ts';
import { siteKey } from '../location.ts';
import type { Secrets } from '../protocol.ts';
import { checkLogin } from './basic.ts';
import { type CredentialFile, type NamedFile, readingFile } from './credential-file.ts';

/** A login file of Docker or podman, as far as it matters here (`config.json(5)`, `containers-auth.json(5)`). */
export interface LoginFile {
  readonly found: CredentialFile;
  /** Program behind `docker-credential-` by registry. */
  readonly helpers: Readonly<Record<string, unknown>>;
  readonly store: string | undefined;
  readonly logins: Readonly<Record<string, unknown>>;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Docker's name for Docker Hub in its file; podman's is {@link HUB}. */
export const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';

/**
 * The files that are looked into, in this order: what variables name, first those of the site (`REGISTRY_AUTH_FILE_SITE`,
 * `DOCKER_CONFIG_SITE`), then podman's own places and Docker's.
 */
export function loginFiles(env: Env, home: string, site: string): readonly NamedFile[] {
  const named = (variable: string, below = ''): NamedFile[] => {
    const path = env[variable];
    return path ? [{ path: below === '' ? path : posix.join(path, below), variable }] : [];
  };
  const key = site === '' ? '' : `_${siteKey(site)}`;
  const ofSite =
    key === '' ? [] : [...named(`REGISTRY_AUTH_FILE${key}`), ...named(`DOCKER_CONFIG${key}`, 'config.json')];
  const run = env.XDG_RUNTIME_DIR ? [{ path: posix.join(env.XDG_RUNTIME_DIR, 'containers/auth.json') }] : [];
  const own = named('DOCKER_CONFIG', 'config.json');
  const atHome =
    home === ''
      ? []
      : [{ path: posix.join(env.XDG_CONFIG_HOME || posix.join(home, '.config'), 'containers/auth.json') }];
  const docker = home === '' || own.length > 0 ? [] : [{ path: posix.join(home, '.docker/config.json') }];
  return [...ofSite, ...named('REGISTRY_AUTH_FILE'), ...own, ...run, ...atHome, ...docker];
}

/** Throws `invalid-request` for anything but a JSON object. */
export function parseLoginFile(found: CredentialFile, file: NamedFile): LoginFile {
  let json: unknown;
  try {
    json = JSON.parse(found.text);
  } catch {
    // The parser's words would show a part of the file.
    throw new TransferError('invalid-request', `${readingFile(file)}: expected JSON, got something else`);
  }
  if (!isObject(json))
    throw new TransferError('invalid-request', `${readingFile(file)}: expected a JSON object`);
  return {
    found,
    helpers: isObject(json.credHelpers) ? json.credHelpers : {},
    store: typeof json.credsStore === 'string' && json.credsStore !== '' ? json.credsStore : undefined,
    logins: isObject(json.auths) ? json.auths : {},
  };
}

/** The keys under which a login for the repository may stand, the most specific first. */
export function keysOf({
  registry,
  repository,
}: Pick<Reference, 'registry' | 'repository'>): readonly string[] {
  const parts = repository.split('/');
  const below = parts.map((_, index) => `${registry}/${parts.slice(0, parts.length - index).join('/')}`);
  const hosts = registry === HUB ? [HUB, 'index.docker.io', 'registry-1.docker.io'] : [registry];
  const urls = hosts.flatMap((host) => [
    `https://${host}`,
    `https://${host}/`,
    `https://${host}/v1/`,
    `https://${host}/v2/`,
    `http://${host}`,
  ]);
  return [...below, ...(registry === HUB ? [DOCKER_HUB_KEY] : []), ...hosts, ...urls];
}

/** What one entry of `auths` says; undefined where it says nothing. Throws `invalid-request` for what cannot be a login. */
export function loginIn(entry: unknown, where: string): Secrets | undefined {
  if (!isObject(entry)) return undefined;
  const { auth, username, password, identitytoken, registrytoken } = entry;
  if (isText(identitytoken)) return { registry: { identityToken: identitytoken } };
  if (isText(registrytoken)) return { bearer: token(registrytoken, where) };
  if (isText(username)) {
    return checkLogin({ username, ...(typeof password === 'string' ? { password } : {}) }, where);
  }
  if (!isText(auth)) return undefined;
  // Some wrote it with NULs behind.
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (colon < 1)
    throw new TransferError(
      'invalid-request',
      `${where}: expected \`auth\` to be a user and a password in base64`,
    );
  return checkLogin({ username: text.slice(0, colon), password: text.slice(colon + 1) }, where);
}

function token(text: string, where: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new TransferError('invalid-request', `${where}: expected \`registrytoken\` to be a token`);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

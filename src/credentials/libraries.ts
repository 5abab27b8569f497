import { posix } from 'node:path';
import { TransferError } from '../errors.ts';
import {
  baseUrl,
  libraryAuthority,
  parseLibraryReference,
  SYLABS_LIBRARY,
} from '../image/sif-service/reference.ts';
import type { Location } from '../location.ts';
import { combine, type Found, fromSection, isAuthorized } from './compose.ts';
import { type CredentialFile, type NamedFile, readingFile, refuseExposed } from './credential-file.ts';
import { createFileCache } from './file-cache.ts';
import type { Origin } from './origin.ts';
import { isObject } from './registry-files.ts';
import type { FoundSection, SectionOptions } from './section-lookup.ts';

export interface LibraryOptions extends SectionOptions {
  /** Where `.apptainer` and `.singularity` lie. */
  readonly home: string;
  readonly findSection: (site: string, origin: Origin, again: boolean) => Promise<FoundSection | undefined>;
}

/** The remote whose library is at another host than itself, as apptainer knows it without asking. */
const SYLABS_REMOTE = 'cloud.sylabs.io';

/**
 * What to show the library of an image: the section about it of the site's credentials file, else the token that
 * `apptainer remote login` (or Singularity's) has kept for that very host. Rejects with `invalid-request` for what is
 * malformed, `permission-denied` when a token stands in a file that others can read.
 */
export function createLibraryLookup(
  options: LibraryOptions,
): (location: Location, again: boolean) => Promise<Found> {
  const { env, home, uid, now } = options;
  const files = createFileCache<CredentialFile>((found) => found, now);

  async function inFile(file: NamedFile, origin: Origin, again: boolean): Promise<Found | undefined> {
    const found = await files(file, again);
    if (!found) return undefined;
    const token = await tokenFor(origin.authority, found.text, file);
    if (token === undefined) return undefined;
    refuseExposed(found, file, uid);
    return { secrets: { bearer: token }, sources: [`the token in ${file.path}`] };
  }

  return async (location, again) => {
    const origin = originOf(location, env);
    const section = await options.findSection(location.site, origin, again);
    const secrets = section ? fromSection(section.section, {}) : {};
    const isSaid = section && Object.keys(secrets).length > 0;
    const said: Found = isSaid ? { secrets, sources: [section.source] } : { secrets: {}, sources: [] };
    if (isAuthorized(secrets) || (!origin.encrypted && !origin.loopback)) return said;
    for (const file of remoteFiles(env, home)) {
      const found = await inFile(file, origin, again);
      if (found) return combine(said, found);
    }
    return said;
  };
}

/** apptainer's own directory of settings, and that of Singularity, from which it takes over. */
function remoteFiles(env: LibraryOptions['env'], home: string): readonly NamedFile[] {
  const own = env.APPTAINER_CONFIGDIR;
  if (own) return [{ path: posix.join(own, 'remote.yaml'), variable: 'APPTAINER_CONFIGDIR' }];
  if (home === '') return [];
  return ['.apptainer', '.singularity'].map((name) => ({ path: posix.join(home, name, 'remote.yaml') }));
}

/** The token of the remote that is this library, the active one before others. */
async function tokenFor(authority: string, text: string, file: NamedFile): Promise<string | undefined> {
  const { parse } = await import('yaml');
  let content: unknown;
  try {
    content = parse(text, { logLevel: 'error', maxAliasCount: 0 });
  } catch {
    // The parser's words would show a part of the file.
    throw new TransferError('invalid-request', `${readingFile(file)}: expected YAML, got something else`);
  }
  if (!isObject(content) || !isObject(content.Remotes)) return undefined;
  const { Active: active, Remotes: remotes } = content;
  const named = Object.entries(remotes).sort(
    ([one], [other]) => Number(other === active) - Number(one === active),
  );
  for (const [, remote] of named) {
    if (!isObject(remote) || typeof remote.URI !== 'string') continue;
    const { Token: token } = remote;
    if (typeof token !== 'string' || token === '' || !isOf(remote.URI, authority)) continue;
    if (/^[\x21-\x7e]+$/.test(token)) return token;
    throw new TransferError('invalid-request', `${readingFile(file)}: expected \`Token\` to be a token`);
  }
  return undefined;
}

function isOf(uri: string, authority: string): boolean {
  const host = uri
    .replace(/^https:\/\//i, '')
    .replace(/\/+$/, '')
    .toLowerCase();
  return host === authority || (host === SYLABS_REMOTE && authority === new URL(SYLABS_LIBRARY).host);
}

function originOf({ authority: first, path }: Location, env: LibraryOptions['env']): Origin {
  const base = baseUrl('BRIDLE_LIBRARY_URL', env.BRIDLE_LIBRARY_URL, SYLABS_LIBRARY);
  const reference = parseLibraryReference(first + path);
  const authority = libraryAuthority(reference, base);
  const isPlain = reference.host === undefined && base.startsWith('http:');
  const [, bracketed = authority, port] = /^(.*?)(?::(\d+))?$/.exec(authority) ?? [];
  const host = bracketed.replace(/^\[(.*)\]$/, '$1');
  return {
    scheme: isPlain ? 'http' : 'https',
    authority,
    host,
    port: port === undefined ? (isPlain ? 80 : 443) : Number(port),
    encrypted: !isPlain,
    loopback: /^(?:(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|::1)$/.test(host),
  };
}

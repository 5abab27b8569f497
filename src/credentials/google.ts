import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TransferError } from '../errors.ts';
import { siteKey } from '../location.ts';
import type { Found } from './compose.ts';
import { identityOf, type NamedFile, readingFile } from './credential-file.ts';
import { type GoogleAccount, readAccount, readBotoAccount } from './google-account.ts';
import { accountTokens, type Fetch, machineTokens, type TokenSource } from './google-token.ts';

export interface GoogleOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly uid: number;
  /** Asks for tokens; the library's own without it. */
  readonly fetch?: Fetch | undefined;
}

/** Where an account was found, and how to get at it. */
interface Place {
  readonly source: string;
  /** What it is read from: when these change, it is read again. */
  readonly files: readonly NamedFile[];
  load(): Promise<Loaded>;
}

interface Loaded {
  /** Undefined: requests go without credentials. */
  readonly tokens: TokenSource | undefined;
  readonly project: string | undefined;
}

/** Files say that a machine is one of Google's (`gcp-metadata` looks there, too). */
const PRODUCT_NAME = '/sys/class/dmi/id/product_name';
/** Variables that only Google's platforms, or somebody who stands in for the metadata server, set. */
const PLATFORM = ['GCE_METADATA_HOST', 'GCE_METADATA_IP', 'K_SERVICE', 'CLOUD_RUN_JOB', 'FUNCTION_NAME'];

/**
 * Credentials for Cloud Storage at a site: that site's variables before the general ones, `GOOGLE_PKCS12` with
 * `BOTO_CONFIG` before `GOOGLE_APPLICATION_CREDENTIALS` before `BOTO_CONFIG` alone, then the login of gcloud, then the
 * machine's own account; nothing of these: anonymous. With `STORAGE_EMULATOR_HOST` nothing is shown to anybody.
 * Rejects with `invalid-request` for files that are missing or malformed, `permission-denied` for those open to others.
 */
export function createGoogleLookup(options: GoogleOptions): (site: string, again: boolean) => Promise<Found> {
  const { env } = options;
  const known = new Map<string, { readonly identity: string; readonly loaded: Promise<Loaded> }>();

  /** Kept until the files change, or somebody says that what it gave is refused. */
  async function load(place: Place, again: boolean): Promise<Loaded> {
    const identity = (await Promise.all(place.files.map(identityOf))).join(' ');
    const had = known.get(place.source);
    if (had && !again && had.identity === identity) return had.loaded;
    const loaded = place.load();
    known.set(place.source, { identity, loaded });
    loaded.catch(() => known.delete(place.source));
    return loaded;
  }

  return async (site, again) => {
    const endpoint = emulatorOf(env.STORAGE_EMULATOR_HOST);
    const project = env.GOOGLE_CLOUD_PROJECT || env.CLOUDSDK_CORE_PROJECT;
    if (endpoint !== undefined) {
      const google = { endpoint, project: project ?? 'emulator' };
      return { secrets: { google }, sources: ['STORAGE_EMULATOR_HOST, without credentials'] };
    }
    const place = placeFor(site, options);
    if (!place) return { secrets: project ? { google: { project } } : {}, sources: [] };
    const { tokens, project: own } = await load(place, again);
    const bearer = await tokens?.();
    const owner = project ?? own;
    const quota = env.GOOGLE_CLOUD_QUOTA_PROJECT;
    return {
      secrets: {
        ...(bearer === undefined ? {} : { bearer }),
        ...(owner === undefined ? {} : { google: { project: owner } }),
        ...(quota && bearer !== undefined ? { headers: { 'x-goog-user-project': quota } } : {}),
      },
      sources: [place.source],
    };
  };
}

/** `host:port` or a URL, as Google's clients take it; undefined when there is none. */
function emulatorOf(text: string | undefined): string | undefined {
  if (!text) return undefined;
  const shape = /^(?:(https?):\/\/)?([\w.-]+|\[[0-9a-f:]+\])(:\d{1,5})?(?:\/storage\/v1)?\/?$/i.exec(text);
  if (shape) return `${(shape[1] ?? 'http').toLowerCase()}://${shape[2]?.toLowerCase()}${shape[3] ?? ''}`;
  throw new TransferError(
    'invalid-request',
    'STORAGE_EMULATOR_HOST: expected `host:port` or `http://host:port`',
  );
}

function placeFor(site: string, options: GoogleOptions): Place | undefined {
  const { env, home } = options;
  if (/^(1|true)$/i.test(env.CLOUDSDK_AUTH_DISABLE_CREDENTIALS ?? '')) return undefined;
  const suffixes = site === '' ? [''] : [`_${siteKey(site)}`, ''];
  const named = (name: string, among: readonly string[]): NamedFile | undefined => {
    const variable = among.map((suffix) => name + suffix).find((one) => env[one]);
    const path = variable === undefined ? undefined : env[variable];
    return path ? { path, variable: variable ?? name } : undefined;
  };
  for (const suffix of suffixes) {
    const key = named('GOOGLE_PKCS12', [suffix]);
    // The two belong together, and may be named apart: one for the site, one for all.
    if (key) return botoPlace(named('BOTO_CONFIG', suffixes), key, options);
    const account = named('GOOGLE_APPLICATION_CREDENTIALS', [suffix]);
    if (account) return accountPlace(account, options);
    const boto = named('BOTO_CONFIG', [suffix]);
    if (boto) return botoPlace(boto, named('GOOGLE_PKCS12', suffixes), options);
  }
  const folder = env.CLOUDSDK_CONFIG || join(home, '.config/gcloud');
  const login = join(folder, 'application_default_credentials.json');
  if (existsSync(login)) return accountPlace({ path: login }, options);
  return isOfGoogle(env) ? machinePlace(options) : undefined;
}

function accountPlace(file: NamedFile, { uid, fetch }: GoogleOptions): Place {
  return {
    source: file.variable ?? 'the login of gcloud',
    files: [file],
    load: async () => {
      const account = await readAccount(file, uid);
      const tokens = await accountTokens(account, readingFile(file), fetch);
      return { tokens, project: projectOf(account) };
    },
  };
}

function botoPlace(boto: NamedFile | undefined, key: NamedFile | undefined, options: GoogleOptions): Place {
  const { uid, fetch } = options;
  if (!boto) {
    throw new TransferError('invalid-request', `${key?.variable}: expected \`BOTO_CONFIG\` beside it`, {
      hint: 'the boto file names the account of the key as gs_service_client_id',
    });
  }
  return {
    source: key ? `${key.variable} and ${boto.variable}` : (boto.variable ?? 'BOTO_CONFIG'),
    files: key ? [boto, key] : [boto],
    load: async () => {
      const { account, project } = await readBotoAccount(boto, key, uid);
      if (!account) return { tokens: undefined, project };
      const tokens = await accountTokens(account, readingFile(key ?? boto), fetch);
      return { tokens, project: project ?? projectOf(account) };
    },
  };
}

function machinePlace({ fetch }: GoogleOptions): Place {
  return {
    source: "the machine's own account",
    files: [],
    load: async () => ({ tokens: await machineTokens(fetch), project: undefined }),
  };
}

/** Asking a metadata server that is not there takes seconds: elsewhere it is not asked. */
function isOfGoogle(env: GoogleOptions['env']): boolean {
  if (/^none$/i.test(env.METADATA_SERVER_DETECTION ?? '')) return false;
  if (PLATFORM.some((name) => env[name])) return true;
  try {
    return /\bGoogle\b/.test(readFileSync(PRODUCT_NAME, 'utf8'));
  } catch {
    return false;
  }
}

function projectOf(account: GoogleAccount): string | undefined {
  const project = account.project_id ?? account.quota_project_id;
  return typeof project === 'string' ? project : undefined;
}

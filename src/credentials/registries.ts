import { TransferError } from '../errors.ts';
import { HUB, parseReference, type Reference } from '../image/reference.ts';
import type { Location, UrlSecret } from '../location.ts';
import type { Secrets } from '../protocol.ts';
import { type Found, fromUrlSecret } from './compose.ts';
import { type NamedFile, readingFile, refuseExposed } from './credential-file.ts';
import { askHelper } from './credential-helper.ts';
import { createFileCache } from './file-cache.ts';
import type { Origin } from './origin.ts';
import {
  DOCKER_HUB_KEY,
  keysOf,
  type LoginFile,
  loginFiles,
  loginIn,
  parseLoginFile,
} from './registry-files.ts';
import type { FoundSection, SectionOptions } from './section-lookup.ts';

/** Schemes of images in registries. */
export const REGISTRY_SCHEMES: ReadonlySet<string> = new Set(['docker', 'oci', 'oras']);

/** Milliseconds that the answer of a helper is good for: each question starts a program. */
const HELPER_MS = 5 * 60_000;

export interface RegistryOptions extends SectionOptions {
  /** Where `.docker` and `.config` lie. */
  readonly home: string;
  readonly findSection: (site: string, origin: Origin, again: boolean) => Promise<FoundSection | undefined>;
}

/**
 * The login for an image's registry, the most specific first: the URL's own, the section of the site's credentials file,
 * then the login files of podman and Docker, in each `credHelpers`, `credsStore`, `auths`; for Docker Hub at last the
 * variables of apptainer. Rejects with `invalid-request` for what is malformed, `permission-denied` when a login stands
 * in a file that others can read.
 */
export function createRegistryLookup(
  options: RegistryOptions,
): (location: Location, fromUrl: UrlSecret | undefined, again: boolean) => Promise<Found> {
  const { env, home, uid, now } = options;
  const files = createFileCache<LoginFile>(parseLoginFile, now);
  const answers = new Map<
    string,
    { readonly until: number; readonly answer: Promise<Secrets | undefined> }
  >();

  function ask(helper: string, server: string, again: boolean): Promise<Secrets | undefined> {
    const key = `${helper} ${server}`;
    const known = answers.get(key);
    if (known && !again && now() < known.until) return known.answer;
    const answer = askHelper(helper, server, env);
    answers.set(key, { until: now() + HELPER_MS, answer });
    answer.catch(() => answers.delete(key));
    return answer;
  }

  async function inFile(file: NamedFile, reference: Reference, again: boolean): Promise<Found | undefined> {
    const parsed = await files(file, again);
    if (!parsed) {
      if (file.variable === undefined || !/^REGISTRY_AUTH_FILE/.test(file.variable)) return undefined;
      throw new TransferError('invalid-request', `${readingFile(file)}: no such file`);
    }
    const keys = keysOf(reference);
    const server = reference.registry === HUB ? DOCKER_HUB_KEY : reference.registry;
    const own = keys.map((key) => property(parsed.helpers, key)).find((name) => typeof name === 'string');
    for (const helper of typeof own === 'string' ? [own] : parsed.store === undefined ? [] : [parsed.store]) {
      const secrets = await ask(helper, server, again);
      if (secrets) return { secrets, sources: [`docker-credential-${helper}`] };
    }
    for (const key of keys) {
      const where = `${readingFile(file)}: auths \`${key}\``;
      const secrets = loginIn(property(parsed.logins, key), where);
      if (!secrets) continue;
      refuseExposed(parsed.found, file, uid);
      return { secrets, sources: [`\`${key}\` in ${file.path}`] };
    }
    return undefined;
  }

  return async (location, fromUrl, again) => {
    const url = fromUrlSecret(fromUrl);
    if (url.secrets.username !== undefined && url.secrets.password !== undefined) return url;
    const reference = referenceOf(location);
    const section = await options.findSection(location.site, originOf(reference), again);
    const login = section?.section;
    if (section && login?.username !== undefined) {
      const { username, password } = login;
      return {
        secrets: { username, ...(password === undefined ? {} : { password }) },
        sources: [section.source],
      };
    }
    for (const file of loginFiles(env, home, location.site)) {
      const found = await inFile(file, reference, again);
      if (found) return found;
    }
    return ofApptainer(reference, env) ?? url;
  };
}

/** These variables name no registry. Shown to any, they would go to whatever host a list names. */
function ofApptainer({ registry }: Reference, env: RegistryOptions['env']): Found | undefined {
  if (registry !== HUB) return undefined;
  for (const prefix of ['APPTAINER', 'SINGULARITY']) {
    const [username, password] = [env[`${prefix}_DOCKER_USERNAME`], env[`${prefix}_DOCKER_PASSWORD`]];
    if (username && password)
      return { secrets: { username, password }, sources: [`${prefix}_DOCKER_USERNAME`] };
  }
  return undefined;
}

/** A `__proto__` in the file is a name like any other. */
function property(of: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(of, name) ? of[name] : undefined;
}

function referenceOf({ authority, path }: Location): Reference {
  return parseReference(`${authority}${path}`);
}

function originOf({ registry }: Reference): Origin {
  const [, host = registry, port] = /^(.*?)(?::(\d+))?$/.exec(registry) ?? [];
  return {
    scheme: 'https',
    authority: registry,
    host,
    port: port === undefined ? 443 : Number(port),
    encrypted: true,
    loopback: false,
  };
}

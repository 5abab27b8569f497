import type { Location, UrlSecret } from '../location.ts';
import type { Secrets } from '../protocol.ts';
import { checkLogin } from './basic.ts';
import { createBearerDiscovery } from './bearer.ts';
import { combine, type Found, fromSection, fromUrlSecret, hasCredential, isAuthorized } from './compose.ts';
import { createGoogleLookup } from './google.ts';
import { createLibraryLookup } from './libraries.ts';
import { createNetrcLookup } from './netrc-lookup.ts';
import { isFtp, type Origin, originOf } from './origin.ts';
import { createRegistryLookup, REGISTRY_SCHEMES } from './registries.ts';
import { createS3Lookup, S3_SCHEMES } from './s3.ts';
import { createSectionLookup, type FoundSection } from './section-lookup.ts';
import { createSshLookup, type SshHostKeyPolicy } from './ssh.ts';
import { createCertificateLookup } from './x509.ts';

export interface CredentialsOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where `.netrc` lies. */
  readonly home: string;
  /** Effective user id: whose files secrets are read from. */
  readonly uid: number;
  /** Called once per `key`. */
  readonly warn: (key: string, message: string) => void;
  /** Milliseconds of any clock; `performance.now` by default. */
  readonly now?: () => number;
  /** Directory that everybody may write to, where a token and a proxy may lie; `/tmp` by default. */
  readonly shared?: string;
  /** Asks Google for tokens; its library's own way by default. */
  readonly fetch?: typeof fetch;
  /** Which host keys ssh believes; by default what `BRIDLE_SSH_HOST_KEY` says, else `verify`. */
  readonly sshHostKey?: SshHostKeyPolicy | undefined;
}

export interface Credentials {
  /**
   * What to show the service at `location`, and no other. Files are read once, and again when they change; `again`,
   * after a 401, reads them whatever is known. Rejects with `invalid-request` when a file that a variable names is
   * missing or malformed, `permission-denied` when it cannot be read or others can read it.
   */
  secretsFor(location: Location, fromUrl?: UrlSecret, again?: boolean): Promise<Secrets>;
  /** The names of what `secretsFor` would use, such as `section [host] of PEGASUS_CREDENTIALS`, or `none`. */
  describeSource(location: Location, fromUrl?: UrlSecret): Promise<string>;
}

/** Looks secrets up in the URL, the site's credentials file, netrc and bearer tokens, the most specific first. */
export function createCredentials(options: CredentialsOptions): Credentials {
  const { env, home, uid, shared = '/tmp', now = () => performance.now() } = options;
  const warned = new Set<string>();
  const warn = (key: string, message: string): void => {
    if (warned.has(key)) return;
    warned.add(key);
    options.warn(key, message);
  };
  const findSection = createSectionLookup({ env, uid, now });
  const findS3 = createS3Lookup({ env, home, uid, now });
  const netrc = createNetrcLookup({ env, home, uid, now, warn });
  const findCertificate = createCertificateLookup({ env, uid, shared, now, warn });
  const findSsh = createSshLookup({ env, home, warn, hostKey: options.sshHostKey });
  const discoverBearer = createBearerDiscovery({ env, uid, shared, now, warn });
  const findGoogle = createGoogleLookup({ env, home, uid, fetch: options.fetch });
  const findRegistry = createRegistryLookup({ env, home, uid, now, findSection });
  const findLibrary = createLibraryLookup({ env, home, uid, now, findSection });

  /** Credentials that no URL and no section asked for. The entry for every host is a last resort. */
  async function findAmbient(origin: Origin, again: boolean): Promise<Found | undefined> {
    const machine = await netrc.machine(origin, again);
    if (machine) return { secrets: machine, sources: ['netrc'] };
    const takesToken = (origin.encrypted || origin.loopback) && !isFtp(origin);
    const bearer = takesToken ? await discoverBearer(again) : undefined;
    if (bearer) return { secrets: { bearer: bearer.token }, sources: [`bearer token from ${bearer.source}`] };
    const fallback = await netrc.fallback(again);
    return fallback && { secrets: fallback, sources: ['default entry of netrc'] };
  }

  async function findPassword(username: string, origin: Origin, again: boolean): Promise<Found | undefined> {
    const password = (await netrc.machine(origin, again, username))?.password;
    return password === undefined ? undefined : { secrets: { password }, sources: ['netrc'] };
  }

  async function find(location: Location, fromUrl: UrlSecret | undefined, again: boolean): Promise<Found> {
    if (S3_SCHEMES.has(location.scheme)) return findS3(location, fromUrl, again);
    if (REGISTRY_SCHEMES.has(location.scheme)) return findRegistry(location, fromUrl, again);
    if (location.scheme === 'library') return findLibrary(location, again);
    const url = fromUrlSecret(fromUrl);
    if (location.scheme === 'gs') return findGoogle(location.site, again);
    const ssh = await findSsh(location);
    if (ssh) return { secrets: { ...url.secrets, ssh: ssh.secrets }, sources: [...url.sources, ssh.source] };
    const origin = originOf(location);
    if (!origin) return url;
    if (url.secrets.username !== undefined) {
      checkLogin(
        { ...url.secrets, username: url.secrets.username },
        `credentials for \`${origin.authority}\``,
      );
    }
    const section = await findSection(location.site, origin, again);
    let found = withSection(url, section);
    const { username, password } = found.secrets;
    if (!isAuthorized(found.secrets)) found = combine(found, await findAmbient(origin, again));
    else if (username !== undefined && password === undefined) {
      found = combine(found, await findPassword(username, origin, again));
    }
    warnAbout(origin, found, section);
    const showsOne = origin.encrypted && !isFtp(origin);
    const x509 = showsOne ? await findCertificate(location.site, again) : undefined;
    return combine(found, x509 && { secrets: { certificate: x509.certificate }, sources: [x509.source] });
  }

  function warnAbout(origin: Origin, { secrets, sources }: Found, found: FoundSection | undefined): void {
    const host = `\`${origin.scheme}://${origin.authority}\``;
    if (secrets.verifyTls === false && origin.encrypted) {
      warn(`unverified ${host}`, `${host}: the certificate is not verified, as ${found?.source} says`);
    }
    // `ftp` may turn to TLS before it shows them, and warns itself when it does not.
    if (!origin.encrypted && !origin.loopback && !isFtp(origin) && hasCredential(secrets)) {
      warn(`cleartext ${host}`, `${host}: credentials travel unencrypted (${sources.join(' and ')})`);
    }
    if (found?.section.password !== undefined && found.section.username === undefined && !secrets.username) {
      warn(`no username ${host}`, `${found.source}: a password without a user name is not used`);
    }
  }

  return {
    secretsFor: async (location, fromUrl, again = false) => (await find(location, fromUrl, again)).secrets,
    describeSource: async (location, fromUrl) =>
      (await find(location, fromUrl, false)).sources.join(' and ') || 'none',
  };
}

function withSection(url: Found, found: FoundSection | undefined): Found {
  if (!found) return url;
  const secrets = fromSection(found.section, url.secrets);
  if (Object.keys(secrets).length === 0) return url;
  // The URL's own go last: its password, even for the section's user name, is the more specific one.
  return { secrets: { ...secrets, ...url.secrets }, sources: [...url.sources, found.source] };
}

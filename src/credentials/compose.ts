import type { UrlSecret } from '../location.ts';
import type { Secrets } from '../protocol.ts';
import type { SectionSecrets } from './sections.ts';

/** Secrets and the names of where they were found. */
export interface Found {
  readonly secrets: Secrets;
  readonly sources: readonly string[];
}

/** Parameters that are the whole authorization of a request: S3 answers 400 when a header brings a second one. */
const SIGNED_QUERY =
  /(?:^|&)(?:x-amz-[^=&]*|x-goog-[^=&]*|signature|sig|access_token|authz|token|xrdhttptk)=/i;

/** Both; what `more` says goes before what `found` says. */
export function combine(found: Found, more: Found | undefined): Found {
  if (!more) return found;
  return { secrets: { ...found.secrets, ...more.secrets }, sources: [...found.sources, ...more.sources] };
}

/** What the URL itself carried. */
export function fromUrlSecret(secret: UrlSecret | undefined): Found {
  if (!secret) return { secrets: {}, sources: [] };
  const sources: string[] = [];
  if (secret.username) sources.push('user name in the URL');
  else if (secret.password) sources.push('password in the URL');
  if (secret.query !== undefined) sources.push('query of the URL');
  const hasLogin = Boolean(secret.username || secret.password);
  return {
    secrets: {
      ...(hasLogin ? { username: secret.username ?? '' } : {}),
      ...(secret.password ? { password: secret.password } : {}),
      ...(secret.query === undefined ? {} : { query: secret.query }),
    },
    sources,
  };
}

/**
 * What a section adds to the secrets of the URL. A request is authorized in one way only: a login of the URL goes
 * before an `authorization` header of the section, that before a login of the section. A user name alone in the URL
 * takes the section's password for it.
 */
export function fromSection(section: SectionSecrets, url: Secrets): Secrets {
  const { authorization, ...others } = section.headers;
  const headers = url.username === undefined ? section.headers : others;
  return {
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(section.verifyTls ? {} : { verifyTls: false }),
    ...(url.username === undefined && authorization !== undefined ? {} : loginFor(section, url)),
  };
}

/** True when the secrets say who we are, so that nothing is to be guessed from netrc or the environment. */
export function isAuthorized(secrets: Secrets): boolean {
  return (
    secrets.username !== undefined ||
    secrets.headers?.authorization !== undefined ||
    (secrets.query !== undefined && SIGNED_QUERY.test(secrets.query))
  );
}

/** True when a request with these would show a secret beyond its own URL. */
export function hasCredential(secrets: Secrets): boolean {
  return secrets.username !== undefined || secrets.headers !== undefined || secrets.bearer !== undefined;
}

function loginFor({ username, password }: SectionSecrets, url: Secrets): Secrets {
  const withPassword = password === undefined ? {} : { password };
  if (url.username === undefined) return username === undefined ? {} : { username, ...withPassword };
  const isForIt = url.password === undefined && (username === undefined || username === url.username);
  return isForIt ? withPassword : {};
}

import { formatLocation, type Location } from '../location.ts';
import type { UrlRest } from '../outcome.ts';

/** Schemes whose user name chooses an account and is no secret: without it another one would be asked. */
const ACCOUNTS: ReadonlySet<string> = new Set(['s3', 's3s', 'scp', 'sftp']);

/** Stands for a query that grants access. */
const WITHHELD = '?***';

/** The URL as far as it may be written down: with the account where that is no secret, and a mark for a secret query. */
export function urlText(location: Location, { username, hasSecretQuery }: UrlRest = {}): string {
  const isAccount = username !== undefined && ACCOUNTS.has(location.scheme);
  const authority = `${isAccount ? `${encodeURIComponent(username)}@` : ''}${location.authority}`;
  return `${formatLocation({ ...location, authority })}${hasSecretQuery ? WITHHELD : ''}`;
}

/** The URL without its mark; undefined when {@link urlText} wrote all of it. */
export function withoutMark(text: string): string | undefined {
  return text.endsWith(WITHHELD) ? text.slice(0, -WITHHELD.length) : undefined;
}

import type { Secrets } from '../protocol.ts';

/** Fields of `secrets` for a request to the origin they belong to, lower-case names. Userinfo comes before a bearer token. */
export function credentialFields(secrets: Secrets): Record<string, string> {
  const fields: Record<string, string> = {};
  if (secrets.username !== undefined) {
    const text = `${secrets.username}:${secrets.password ?? ''}`;
    fields.authorization = `Basic ${Buffer.from(text).toString('base64')}`;
  } else if (secrets.bearer !== undefined) fields.authorization = `Bearer ${secrets.bearer}`;
  for (const [name, value] of Object.entries(secrets.headers ?? {})) fields[name.toLowerCase()] = value;
  return fields;
}

/** True when both would be shown to a server alike: asking again with them gets the same answer. */
export function areSameSecrets(one: Secrets, other: Secrets): boolean {
  return (
    one.query === other.query &&
    one.certificate?.id === other.certificate?.id &&
    JSON.stringify(credentialFields(one)) === JSON.stringify(credentialFields(other))
  );
}

/** Fields of the caller's own that smell of access: tokens of grid transfers, signatures, keys. */
const SECRET_FIELD = /auth|token|secret|cookie|signature|credential|passw|api-?key|^transferheader/;

/** `headers` as another origin may see them. */
export function withoutSecrets(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !SECRET_FIELD.test(name)));
}

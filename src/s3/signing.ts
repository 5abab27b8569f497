import { createHmac, hash } from 'node:crypto';
import type { S3Access } from '../protocol.ts';
import { encodeName } from './address.ts';

/** Payload of a request whose body is not hashed before it is sent. */
export const UNSIGNED = 'UNSIGNED-PAYLOAD';

const ALGORITHM = 'AWS4-HMAC-SHA256';

export interface Signable {
  readonly method: string;
  readonly host: string;
  /** Encoded, without query. */
  readonly path: string;
  /** Plain. */
  readonly query: Readonly<Record<string, string>>;
  /** Lower-case names; all of them are signed. */
  readonly headers: Readonly<Record<string, string>>;
  /** sha256 of the body in hexadecimal, or {@link UNSIGNED}. */
  readonly payload: string;
  readonly region: string;
  readonly date: Date;
}

/** Signs requests, one after the other with the same keys as a rule. */
export type Signer = (access: S3Access, request: Signable) => Readonly<Record<string, string>>;

/**
 * A signer that gives the header fields of a request, signed where `access` has a key (Signature Version 4, Create a
 * signed AWS API request). It keeps the key that it derived last: that one is good for a day, a region and a secret key.
 */
export function createSigner(): Signer {
  let kept: { readonly secret: string; readonly scope: string; readonly key: Buffer } | undefined;

  function keyFor(secret: string, scope: string): Buffer {
    if (kept?.secret !== secret || kept.scope !== scope) {
      kept = { secret, scope, key: derivedKey(secret, scope) };
    }
    return kept.key;
  }

  return (access, request) => {
    const { accessKeyId, secretAccessKey, sessionToken } = access;
    if (accessKeyId === undefined || secretAccessKey === undefined) return request.headers;
    const moment = request.date.toISOString().replace(/[-:]|\.\d+/g, '');
    const fields: Record<string, string> = {
      ...request.headers,
      host: request.host,
      'x-amz-content-sha256': request.payload,
      'x-amz-date': moment,
    };
    if (sessionToken !== undefined) fields['x-amz-security-token'] = sessionToken;
    const names = Object.keys(fields).sort();
    const signed = names.join(';');
    let canonical = `${request.method}\n${request.path}\n${canonicalQuery(request.query)}\n`;
    for (const name of names) canonical += `${name}:${fields[name]?.trim().replace(/\s+/g, ' ')}\n`;
    canonical += `\n${signed}\n${request.payload}`;
    const scope = `${moment.slice(0, 8)}/${request.region}/s3/aws4_request`;
    const text = `${ALGORITHM}\n${moment}\n${scope}\n${hash('sha256', canonical)}`;
    const signature = createHmac('sha256', keyFor(secretAccessKey, scope)).update(text).digest('hex');
    fields.authorization = `${ALGORITHM} Credential=${accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`;
    return fields;
  };
}

function derivedKey(secret: string, scope: string): Buffer {
  return scope
    .split('/')
    .reduce(
      (key: string | Buffer, part) => createHmac('sha256', key).update(part).digest(),
      `AWS4${secret}`,
    ) as Buffer;
}

/** In the order of the encoded names, of which each is there once. */
function canonicalQuery(query: Readonly<Record<string, string>>): string {
  const values = new Map(Object.entries(query).map(([name, value]) => [encodeName(name), encodeName(value)]));
  const names = [...values.keys()].sort();
  return names.map((name) => `${name}=${values.get(name)}`).join('&');
}

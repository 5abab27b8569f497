import { Hash } from '@smithy/hash-node';
import { SignatureV4 } from '@smithy/signature-v4';
import type { S3Access } from '../protocol.ts';

/** Payload of a request whose body is not hashed before it is sent. */
export const UNSIGNED = 'UNSIGNED-PAYLOAD';

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

/** The header fields of the request, signed (SigV4) where `access` has a key. */
export async function signedHeaders(
  access: S3Access,
  request: Signable,
): Promise<Readonly<Record<string, string>>> {
  const { accessKeyId, secretAccessKey, sessionToken } = access;
  if (accessKeyId === undefined || secretAccessKey === undefined) return request.headers;
  const signer = new SignatureV4({
    service: 's3',
    region: request.region,
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
    sha256: Hash.bind(null, 'sha256'),
    uriEscapePath: false,
    applyChecksum: false,
  });
  const signed = await signer.sign(
    {
      method: request.method,
      protocol: 'https:',
      hostname: request.host,
      path: request.path,
      query: { ...request.query },
      headers: { ...request.headers, host: request.host, 'x-amz-content-sha256': request.payload },
    },
    { signingDate: request.date },
  );
  return signed.headers;
}

import { type ErrorCode, TransferError } from '../errors.ts';
import { retryAfterSeconds, statusError } from '../http/status.ts';
import type { HttpResponse, S3Access } from '../protocol.ts';
import { parseXml, textOf, type Xml } from './xml.ts';

/** What an answer that is no success says. */
export interface Failure {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** S3's own word for it; undefined where the answer has no body or is not S3's. */
  readonly code?: string;
  readonly message?: string;
  readonly region?: string;
  /** The body was neither empty nor an error of S3's. */
  readonly isForeign: boolean;
}

/** Who asked for what, for the text and the hint. */
export interface Asked {
  readonly doing: string;
  readonly bucket: string;
  readonly access: S3Access;
  /** Of the endpoint, for hints. */
  readonly origin: string;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly text: string;
  readonly hint?: (asked: Asked) => string;
}

const NEW_KEYS = ({ access }: Asked) => `renew the credentials: they come from ${access.source}`;
const LATER: Meaning = { code: 'rate-limited', text: 'the service asks for fewer requests' };
const WRONG_REGION: Meaning = {
  code: 'invalid-request',
  text: 'the bucket is in another region',
  hint: ({ access }) => `set the region of ${access.source}, or AWS_REGION, to that of the bucket`,
};
const DAMAGED: Meaning = { code: 'digest-mismatch', text: 'the service got other bytes than were sent' };

/** Error codes of S3 (API reference, Error responses) and of Ceph's gateway. What is not listed goes by the HTTP status. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  AccessDenied: { code: 'permission-denied', text: 'access denied', hint: deniedHint },
  AllAccessDisabled: { code: 'permission-denied', text: 'access to the bucket is disabled' },
  AuthorizationHeaderMalformed: WRONG_REGION,
  BadDigest: DAMAGED,
  BucketAlreadyExists: {
    code: 'permission-denied',
    text: 'the bucket belongs to somebody else',
    hint: () => 'bucket names are shared by everybody: choose another one',
  },
  ConditionalRequestConflict: { code: 'unavailable', text: 'another write to the same name is going on' },
  EntityTooLarge: { code: 'no-space', text: 'too large for the service' },
  ExpiredToken: { code: 'unauthenticated', text: 'the session token has expired', hint: NEW_KEYS },
  IllegalLocationConstraintException: WRONG_REGION,
  InvalidAccessKeyId: {
    code: 'unauthenticated',
    text: 'the service does not know the access key',
    hint: ({ access, origin }) => `the key comes from ${access.source}; is it one for \`${origin}\`?`,
  },
  InvalidBucketName: { code: 'invalid-request', text: 'the service does not take the name of the bucket' },
  InvalidDigest: DAMAGED,
  InvalidObjectName: { code: 'invalid-request', text: 'the service does not take the name' },
  InvalidObjectState: {
    code: 'permission-denied',
    text: 'the object is archived',
    hint: () => 'restore it first; that takes hours',
  },
  InvalidPart: { code: 'changed', text: 'a part of the upload is not there any more' },
  InvalidToken: { code: 'unauthenticated', text: 'the session token is not valid', hint: NEW_KEYS },
  KeyTooLong: { code: 'invalid-request', text: 'the name is too long' },
  KeyTooLongError: { code: 'invalid-request', text: 'the name is too long' },
  NoSuchBucket: {
    code: 'not-found',
    text: 'no such bucket',
    hint: ({ bucket, origin }) =>
      `there is no bucket \`${bucket}\` at \`${origin}\`: check its name and the endpoint, or make it with \`bridle mkdir\``,
  },
  NoSuchKey: { code: 'not-found', text: 'not found' },
  NoSuchUpload: { code: 'changed', text: 'the upload is not there any more' },
  OperationAborted: { code: 'unavailable', text: 'another operation on the same name is going on' },
  PermanentRedirect: WRONG_REGION,
  PreconditionFailed: { code: 'changed', text: 'it is no longer the version that was asked for' },
  QuotaExceeded: { code: 'no-space', text: 'the quota is used up' },
  RequestLimitExceeded: LATER,
  RequestTimeout: { code: 'timed-out', text: 'the service gave up waiting for the request' },
  RequestTimeTooSkewed: {
    code: 'unauthenticated',
    text: 'the clock of this machine differs too much from that of the service',
    hint: () => 'set the clock: signatures hold for 15 minutes',
  },
  SignatureDoesNotMatch: {
    code: 'unauthenticated',
    text: 'the signature is wrong',
    hint: ({ access }) => `the secret key is probably not the one of the access key: see ${access.source}`,
  },
  SlowDown: LATER,
  Throttling: LATER,
  ThrottlingException: LATER,
  TokenRefreshRequired: { code: 'unauthenticated', text: 'the session token has expired', hint: NEW_KEYS },
  XAmzContentSHA256Mismatch: DAMAGED,
};

function deniedHint({ access, bucket }: Asked): string {
  return access.accessKeyId === undefined
    ? `the request was not signed: ${access.source}`
    : `the key from ${access.source} may not do this in the bucket \`${bucket}\`; where listing is forbidden, so it is said of names that do not exist`;
}

/** Codes after which other credentials, if there are any by now, are worth one more try. */
const STALE: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'InvalidToken',
  'TokenRefreshRequired',
  'InvalidAccessKeyId',
]);

/** True when the failure says that the keys are too old. */
export function saysStale(failure: Failure): boolean {
  return failure.status === 401 || STALE.has(failure.code ?? '');
}

/** Most of an error's text that is read. */
const MAX_ERROR = 64 * 1024;

/** Reads what a refused request's answer says. */
export async function readFailure(response: HttpResponse): Promise<Failure> {
  const { status, headers } = response;
  const text = await readText(response, MAX_ERROR).catch(() => '');
  const error = text.trimStart().startsWith('<') ? errorElement(text) : undefined;
  const given = error === undefined ? undefined : failureOf(error);
  const region = headers['x-amz-bucket-region'] ?? given?.region;
  return {
    ...given,
    status,
    headers,
    ...(region ? { region } : {}),
    isForeign: error === undefined && text !== '',
  };
}

function errorElement(text: string): Xml | undefined {
  try {
    const { name, root } = parseXml(text, '');
    return name === 'Error' ? root : undefined;
  } catch {
    return undefined;
  }
}

/** What an `<Error>` element says. */
export function failureOf(error: Xml): Pick<Failure, 'code' | 'message' | 'region'> {
  const [code, message, region] = ['Code', 'Message', 'Region'].map((name) => textOf(error, name));
  return {
    ...(code ? { code } : {}),
    ...(message ? { message } : {}),
    ...(region ? { region } : {}),
  };
}

/** The body as text. Rejects with `unexpected` beyond `most` bytes. */
export async function readText(response: HttpResponse, most: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.length;
    if (length > most) throw new TransferError('unexpected', `the answer is longer than ${most} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const codes = new WeakMap<TransferError, string>();

/** S3's own word for an error that {@link s3Error} made; undefined for others. */
export function s3CodeOf(error: unknown): string | undefined {
  return error instanceof TransferError ? codes.get(error) : undefined;
}

/** The error that a failure stands for. */
export function s3Error(failure: Failure, asked: Asked): TransferError {
  const error = errorOf(failure, asked);
  if (failure.code !== undefined) codes.set(error, failure.code);
  return error;
}

function errorOf(failure: Failure, asked: Asked): TransferError {
  const known = Object.hasOwn(MEANINGS, failure.code ?? '') ? MEANINGS[failure.code ?? ''] : undefined;
  const retryAfter = retryAfterSeconds(failure.headers);
  const waits = retryAfter === undefined ? {} : { retryAfter };
  const said =
    failure.code === undefined ? `HTTP ${failure.status}` : `${shown(failure.code)}, HTTP ${failure.status}`;
  if (known) {
    const hint = known.hint?.(asked);
    return new TransferError(known.code, `${asked.doing}: ${known.text} (${said})`, {
      ...waits,
      ...(hint === undefined ? {} : { hint }),
    });
  }
  if (failure.status === 503 || failure.status === 429) {
    return new TransferError('rate-limited', `${asked.doing}: ${LATER.text} (${said})`, waits);
  }
  const general = statusError(failure, asked.doing);
  const details = failure.code === undefined ? '' : `: ${shown(failure.message ?? failure.code)}`;
  const hint = hintOf(failure, asked);
  return new TransferError(general.code, `${general.message}${details}`, {
    ...waits,
    ...(hint === undefined ? {} : { hint }),
  });
}

function hintOf(failure: Failure, asked: Asked): string | undefined {
  if (failure.isForeign && failure.status < 500) {
    return `the answer is not that of an S3 service: is the endpoint \`${asked.origin}\` right?`;
  }
  // A HEAD has no body to say more.
  return failure.status === 403 ? deniedHint(asked) : undefined;
}

function shown(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}

import { hash } from 'node:crypto';
import { errnoOf, TransferError } from '../errors.ts';
import { isNoTls } from '../http/tls.ts';
import type { Bytes, Context, HttpResponse, S3Access } from '../protocol.ts';
import { addressOf, encodeName } from './address.ts';
import { type Failure, failureOf, readFailure, readText, s3Error, saysStale } from './failures.ts';
import { createSigner, UNSIGNED } from './signing.ts';
import { parseXml, type Xml } from './xml.ts';

const DEFAULT_REGION = 'us-east-1';

/** A listing of 1,000 keys of 1,024 bytes, each byte encoded in three. */
const MAX_XML = 16 * 1024 * 1024;

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Empty for the service itself. */
  readonly bucket: string;
  /** Plain. Absent: the bucket itself. */
  readonly key?: string | undefined;
  /** Plain. */
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** In memory it is hashed, signed and may be sent again; a stream is sent once, its content unsigned. */
  readonly body?: Uint8Array | { readonly bytes: Bytes; readonly size: number };
  /** Of a body in memory, in hexadecimal, where it is known already. */
  readonly sha256?: string;
  readonly fresh?: boolean | undefined;
  /** Statuses that are an answer to the caller, not a failure. */
  readonly accepts?: readonly number[];
  readonly signal: AbortSignal;
  /** For messages: `read \`s3://…\``. */
  readonly doing: string;
}

/** Requests to one S3 service under one identity. */
export interface S3Client {
  /** The answer to a signed request: 2xx, or a status that the request accepts. Rejects with what the service says otherwise. */
  send(request: S3Request): Promise<HttpResponse>;
  /** The root of an XML answer. A success whose body is an error rejects like any other error (S3 does so for what takes long). */
  sendForXml(request: S3Request): Promise<Xml>;
  access(): Promise<S3Access>;
}

/** What was learnt by being refused. */
interface Learnt {
  readonly regions: Map<string, string>;
  /** Milliseconds that the service's clock is ahead of ours. */
  clock: number;
}

/** The client behind one endpoint. `isSecure` forces TLS. */
export function createS3Client(context: Context, isSecure: boolean): S3Client {
  const learnt: Learnt = { regions: new Map(), clock: 0 };
  const sign = createSigner();

  async function sendOnce(request: S3Request, access: S3Access): Promise<HttpResponse & { origin: string }> {
    const region = learnt.regions.get(request.bucket) ?? access.region ?? DEFAULT_REGION;
    const address = addressOf(access, { region, bucket: request.bucket, key: request.key, isSecure });
    const { body, query = {} } = request;
    const headers = sign(access, {
      method: request.method,
      host: address.host,
      path: address.path,
      query,
      headers: {
        ...request.headers,
        ...(access.requestPayer ? { 'x-amz-request-payer': 'requester' } : {}),
      },
      payload: request.sha256 ?? payloadOf(body),
      region,
      date: new Date(Date.now() + learnt.clock),
    });
    const isStream = body !== undefined && !(body instanceof Uint8Array);
    const { verifyTls } = await context.secrets();
    const response = await context.http
      .send({
        method: request.method,
        url: address.origin + address.path + queryText(query),
        headers,
        ...(isStream ? { body: body.bytes, size: body.size } : {}),
        ...(body instanceof Uint8Array ? { body: piecesOf(body), size: body.length } : {}),
        fresh: request.fresh,
        redirect: 'manual',
        ...(verifyTls === false ? { secrets: async () => ({ verifyTls: false }) } : {}),
        signal: request.signal,
      })
      .catch((error) => {
        throw explained(error, access, { origin: address.origin, isSecure });
      });
    return { ...response, origin: address.origin };
  }

  /** What the answer says. A refused HEAD has no body to say why: the bucket is asked, which is refused for the same. */
  async function failureIn(response: HttpResponse, request: S3Request, access: S3Access): Promise<Failure> {
    const failure = await readFailure(response);
    const isMute = request.method === 'HEAD' && failure.code === undefined;
    const { status, region } = failure;
    if (!isMute || ![301, 400, 403].includes(status) || (status === 301 && region !== undefined)) {
      return failure;
    }
    const { bucket, signal, doing } = request;
    const query = { 'list-type': '2', 'max-keys': '0' };
    const asked = await sendOnce({ method: 'GET', bucket, query, signal, doing }, access);
    const said = await readFailure(asked);
    return said.code === undefined
      ? failure
      : { ...(region === undefined ? {} : { region }), ...said, status };
  }

  /** True when the region of the bucket was learnt from the failure. */
  function learnRegion({ region }: Failure, request: S3Request, access: S3Access): boolean {
    const used = learnt.regions.get(request.bucket) ?? access.region ?? DEFAULT_REGION;
    if (region === undefined || region === used || !/^[a-z0-9-]{1,64}$/.test(region)) return false;
    learnt.regions.set(request.bucket, region);
    return true;
  }

  function learnClock({ code, headers }: Failure): boolean {
    const theirs = code === 'RequestTimeTooSkewed' ? Date.parse(headers.date ?? '') : Number.NaN;
    if (Number.isNaN(theirs)) return false;
    learnt.clock = theirs - Date.now();
    return true;
  }

  async function send(request: S3Request): Promise<HttpResponse> {
    let access = await accessOf(context);
    const tried = { region: false, clock: false, keys: false };
    const mayRepeat = request.body === undefined || request.body instanceof Uint8Array;
    for (;;) {
      const response = await sendOnce(request, access);
      const { status } = response;
      if ((status >= 200 && status < 300) || request.accepts?.includes(status)) return response;
      const failure = await failureIn(response, request, access);
      const error = s3Error(failure, {
        doing: request.doing,
        bucket: request.bucket,
        access,
        origin: response.origin,
      });
      if (!tried.region && learnRegion(failure, request, access)) tried.region = true;
      else if (!tried.clock && learnClock(failure)) tried.clock = true;
      else if (!tried.keys && saysStale(failure)) {
        tried.keys = true;
        const again = await accessOf(context, true);
        if (areSameKeys(access, again)) throw error;
        access = again;
      } else throw error;
      if (!mayRepeat) throw new TransferError('unavailable', `${error.message}; known now, for the next try`);
    }
  }

  return {
    send,
    async sendForXml(request) {
      const response = await send(request);
      const text = await readText(response, MAX_XML);
      const { name, root } = parseXml(text, request.doing);
      if (name !== 'Error') return root;
      const access = await accessOf(context);
      const failure = {
        status: response.status,
        headers: response.headers,
        isForeign: false,
        ...failureOf(root),
      };
      throw errorIn(
        failure,
        s3Error(failure, { doing: request.doing, bucket: request.bucket, access, origin: '' }),
      );
    },
    access: () => accessOf(context),
  };
}

/** An error in a success has no status to go by: what is not known better is the service's own trouble. */
function errorIn(failure: Failure, error: TransferError): TransferError {
  return error.code === 'unexpected' || failure.code === 'InternalError'
    ? new TransferError('unavailable', error.message, { cause: error })
    : error;
}

async function accessOf(context: Context, again = false): Promise<S3Access> {
  const { s3 } = await context.secrets(again);
  return s3 ?? { isSite: false, source: 'no credentials were looked for' };
}

function areSameKeys(one: S3Access, other: S3Access): boolean {
  return (
    one.accessKeyId === other.accessKeyId &&
    one.secretAccessKey === other.secretAccessKey &&
    one.sessionToken === other.sessionToken
  );
}

const EMPTY = hash('sha256', '');

function payloadOf(body: S3Request['body']): string {
  if (body === undefined) return EMPTY;
  return body instanceof Uint8Array ? hash('sha256', body) : UNSIGNED;
}

function queryText(query: Readonly<Record<string, string>>): string {
  const parts = Object.entries(query).map(([name, value]) => `${encodeName(name)}=${encodeName(value)}`);
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

/** Sent in pieces, between which progress is seen and a canceled upload ends. */
const PIECE = 1024 * 1024;

async function* piecesOf(body: Uint8Array): Bytes {
  for (let at = 0; at < body.length; at += PIECE) yield body.subarray(at, at + PIECE);
}

/** There is no service at the place that was asked. */
const NOBODY: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND']);

/** With a hint at where the address came from, for what a wrong one is likely to cause. */
function explained(
  error: unknown,
  access: S3Access,
  { origin, isSecure }: { readonly origin: string; readonly isSecure: boolean },
): unknown {
  if (!(error instanceof TransferError)) return error;
  const { code, message } = error;
  const errno = errnoOf(error.cause) ?? '';
  if (isSecure && access.endpoint?.startsWith('http:') && isNoTls(error.cause)) {
    // As the endpoint says itself: it will not be otherwise the next time.
    const hint = `\`s3s\` asks by TLS, though the endpoint of ${access.source} has \`http:\`; \`s3\` asks as it says`;
    return new TransferError('invalid-request', message, { cause: error, hint });
  }
  // Of a place where nobody answers, it helps most to know who said that it is there.
  if (!NOBODY.has(errno) && (error.hint !== undefined || code !== 'not-found')) return error;
  const hint =
    access.endpoint === undefined
      ? `is the region right? set AWS_REGION, or AWS_ENDPOINT_URL for a service that is not Amazon's`
      : `the endpoint \`${origin}\` comes from ${access.source}`;
  return new TransferError(code, message, { cause: error, hint });
}

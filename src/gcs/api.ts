import { TransferError } from '../errors.ts';
import type { Bytes, Context, HttpResponse, Secrets } from '../protocol.ts';
import { LOGIN_HINT, refused } from './refused.ts';
import { jsonOf } from './resource.ts';

const SERVICE = 'https://storage.googleapis.com';

export interface Ask {
  readonly method: string;
  /** Behind the origin, encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: { readonly type: string; readonly parts: readonly Uint8Array[] };
  readonly fresh?: boolean | undefined;
  readonly takesGzip?: boolean;
  readonly signal: AbortSignal;
  /** For messages. */
  readonly doing: string;
}

/** The JSON API of Cloud Storage, for one bucket. */
export interface Api {
  readonly bucket: string;
  readonly context: Context;
  /** Scheme, host and port. */
  origin(): Promise<string>;
  /** Any answer but one of refused credentials. */
  send(ask: Ask): Promise<HttpResponse>;
  /** The JSON of a success; anything else rejects. */
  json(ask: Ask): Promise<Record<string, unknown>>;
}

export function createApi(bucket: string, context: Context): Api {
  const { http } = context;
  const secrets = (again?: boolean) => context.secrets(again);
  const origin = async () => (await secrets()).google?.endpoint ?? SERVICE;

  async function send(ask: Ask): Promise<HttpResponse> {
    const { body, headers, signal, fresh } = ask;
    const base = await origin();
    let unfound: unknown;
    const shown = (again?: boolean): Promise<Secrets> =>
      secrets(again).catch((error: unknown) => {
        unfound = error;
        throw error;
      });
    try {
      return await http.send({
        method: ask.method,
        url: base + ask.path + queryOf(ask.query),
        headers: body ? { ...headers, 'content-type': body.type } : headers,
        ...(body ? { body: partsOf(body.parts), size: sizeOf(body.parts) } : {}),
        secrets: shown,
        fresh,
        takesGzip: ask.takesGzip,
        signal,
      });
    } catch (error) {
      // Who finds no credentials says better why.
      if (error === unfound || !(error instanceof TransferError) || error.code !== 'unauthenticated')
        throw error;
      const text = `${ask.doing}: the service wants other credentials`;
      throw new TransferError('unauthenticated', text, { cause: error, hint: LOGIN_HINT });
    }
  }

  return {
    bucket,
    context,
    origin,
    send,
    async json(ask) {
      const response = await send(ask);
      if (response.status < 200 || response.status > 299) throw await refused(response, ask.doing);
      return jsonOf(response, ask.doing);
    },
  };
}

/** Names go into one part of the path, their slashes encoded. */
export function objectPath(bucket: string, name: string): string {
  return `/storage/v1/b/${encodeURIComponent(bucket)}/o/${encodeURIComponent(name)}`;
}

export function bucketPath(bucket: string): string {
  return `/storage/v1/b/${encodeURIComponent(bucket)}`;
}

export function queryOf(query: Ask['query']): string {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}

export async function* partsOf(parts: readonly Uint8Array[]): Bytes {
  for (const part of parts) if (part.length > 0) yield part;
}

export function sizeOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/** JSON as a body. */
export function jsonBody(value: object): NonNullable<Ask['body']> {
  return { type: 'application/json; charset=UTF-8', parts: [Buffer.from(JSON.stringify(value))] };
}

/**
 * The object's name for a path of a URL; empty for the bucket itself. Throws `invalid-request` for what the service
 * refuses (Cloud Storage documentation, Object name requirements).
 */
export function nameOf(path: string): string {
  const name = path.startsWith('/') ? path.slice(1) : path;
  const isName = Buffer.byteLength(name) <= 1024 && !/[\r\n]/.test(name) && !/^\.\.?$/.test(name);
  if (isName) return name;
  throw new TransferError(
    'invalid-request',
    `expected a name of up to 1024 bytes without line breaks that is not \`.\` or \`..\`, got ${JSON.stringify(name.slice(0, 80))}`,
  );
}

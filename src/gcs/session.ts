import { TransferError } from '../errors.ts';
import type { HttpClient } from '../protocol.ts';
import { type Api, jsonBody, partsOf } from './api.ts';
import { refused } from './refused.ts';
import { jsonOf, type ObjectResource, objectOf } from './resource.ts';

/** What a service has of a resumable upload. */
export type Progress =
  | { readonly kind: 'more' /** Bytes that it will keep. */; readonly committed: number }
  | { readonly kind: 'done'; readonly object: ObjectResource }
  /** It ended, or never was. */
  | { readonly kind: 'gone' };

/** A resumable upload (Cloud Storage documentation, Resumable uploads). Its URL is all that is needed to write to it: a secret. */
export interface Session {
  readonly handle: string;
  /** Sends bytes from `start` on; `total` where the whole is known to end. Resolves with what the service has then. */
  put(chunk: Chunk, signal: AbortSignal): Promise<Progress>;
  /** Asks how far it has come. */
  ask(signal: AbortSignal): Promise<Progress>;
  /** Drops it; one that is not there any more is success. */
  cancel(signal: AbortSignal): Promise<void>;
}

export interface Chunk {
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly total: number | undefined;
  /** Value of X-Goog-Hash: the service compares it before the object is there. */
  readonly hash?: string;
}

/** Begins one; the service gives it a week. */
export async function startSession(
  api: Api,
  name: string,
  about: { readonly size: number | undefined; readonly metadata: object; readonly signal: AbortSignal },
): Promise<Session> {
  const doing = `write \`gs://${api.bucket}/${name}\``;
  const response = await api.send({
    method: 'POST',
    path: `/upload/storage/v1/b/${encodeURIComponent(api.bucket)}/o`,
    query: { uploadType: 'resumable', name },
    headers: about.size === undefined ? {} : { 'x-upload-content-length': String(about.size) },
    body: jsonBody(about.metadata),
    signal: about.signal,
    doing,
  });
  if (response.status !== 200 && response.status !== 201) throw await refused(response, doing);
  await response.discard();
  const session = openSession(api.context.http, response.headers.location ?? '', await api.origin(), doing);
  if (session) return session;
  throw new TransferError('unexpected', `${doing}: the service begins an upload at another host`, {
    hint: 'an emulator must be told the address that it is reached at',
  });
}

/** The session that `handle` names; undefined for what is no URL of this service: bytes must not go elsewhere. */
export function openSession(
  http: HttpClient,
  handle: string,
  origin: string,
  doing: string,
): Session | undefined {
  const [base = '', ...rest] = handle.split('?');
  const query = rest.join('?');
  if (!base.startsWith(`${origin}/`) || query === '' || /[\s#\\@]/.test(handle)) return undefined;
  // No other credentials: whoever has the URL may write.
  const secrets = async () => ({ query });

  async function send(
    method: string,
    headers: Record<string, string>,
    body: Uint8Array,
    signal: AbortSignal,
  ) {
    const sized = body.length > 0 ? { body: partsOf([body]), size: body.length } : {};
    return http.send({ method, url: base, headers, ...sized, secrets, signal });
  }

  async function put(range: string, headers: Record<string, string>, bytes: Uint8Array, signal: AbortSignal) {
    const response = await send('PUT', { ...headers, 'content-range': range }, bytes, signal);
    const { status } = response;
    if (status === 200 || status === 201) {
      return { kind: 'done', object: objectOf(await jsonOf(response, doing), doing) } as const;
    }
    if (status !== 308 && status !== 404 && status !== 410) throw await refused(response, doing);
    await response.discard();
    if (status !== 308) return { kind: 'gone' } as const;
    return { kind: 'more', committed: committedOf(response.headers.range, doing) } as const;
  }

  return {
    handle,
    put: ({ start, bytes, total, hash }, signal) => {
      const whole = total ?? '*';
      const range =
        bytes.length === 0 ? `bytes */${whole}` : `bytes ${start}-${start + bytes.length - 1}/${whole}`;
      return put(range, hash === undefined ? {} : { 'x-goog-hash': hash }, bytes, signal);
    },
    ask: (signal) => put('bytes */*', {}, new Uint8Array(0), signal),
    async cancel(signal) {
      const response = await send('DELETE', {}, new Uint8Array(0), signal);
      // 499 says that it is done, 404 and 410 that there is none.
      if (response.status === 429 || response.status >= 500) throw await refused(response, doing);
      await response.discard();
    },
  };
}

/** `bytes=0-N`; without it nothing is kept yet. */
function committedOf(range: string | undefined, doing: string): number {
  if (range === undefined) return 0;
  const last = /^bytes=0-(\d{1,15})$/.exec(range)?.[1];
  if (last !== undefined) return Number(last) + 1;
  throw new TransferError(
    'unexpected',
    `${doing}: expected how much is stored, got \`${range.slice(0, 40)}\``,
  );
}

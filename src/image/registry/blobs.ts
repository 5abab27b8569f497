import { TransferError } from '../../errors.ts';
import { contentRange, lengthOf } from '../../http/validators.ts';
import type { Bytes, HttpClient, HttpResponse } from '../../protocol.ts';
import { skipping } from '../../skipping.ts';
import type { Pointer } from '../documents.ts';
import { isForeignLayer } from '../media-types.ts';
import { requireBlob, type Seen, startSeen, verified } from '../verified.ts';
import type { Registry } from './client.ts';
import { isLoopback } from './hosts.ts';

/** Where the blobs of one image are. */
export interface BlobSource {
  readonly registry: Registry;
  readonly repository: string;
  readonly http: HttpClient;
}

/** What is told while a blob is put into a cache. */
export interface StoreBlobCall {
  readonly signal: AbortSignal;
  /** The bytes that came since the last call; fewer than none where some are asked for again. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** Opens the bytes of blobs, from any place in them. */
export interface BlobReader {
  /** The whole, in memory. Rejects with `unexpected` for one larger than `limit`. */
  whole(pointer: Pointer, limit: number, signal: AbortSignal): Promise<Uint8Array>;
  /**
   * The bytes from `start` on; those of the whole blob are compared with its descriptor whatever `start` is. Where the
   * digest of what comes before is not known from an earlier read or `seen`, that is fetched again and left out.
   */
  from(pointer: Pointer, start: number, signal: AbortSignal, seen?: Seen): Promise<Bytes>;
  /** Fetches it into the cache, where there is one; it is there afterwards, and proven. */
  store?(pointer: Pointer, call: StoreBlobCall): Promise<void>;
}

/** Reads blobs of one image and remembers how far each was seen, so that a read that broke off goes on where it was. */
export function createBlobReader(source: BlobSource): BlobReader {
  const seenOf = new Map<string, Seen>();

  return {
    async whole(pointer, limit, signal) {
      const doing = `pull \`${pointer.digest}\``;
      if (pointer.size > limit) {
        throw new TransferError(
          'unexpected',
          `${doing}: it has ${pointer.size} bytes, expected at most ${limit}`,
        );
      }
      const bytes =
        pointer.data ?? (await collect(await fetchBlob(source, pointer, 0, signal), pointer.size));
      requireBlob(bytes, pointer, doing);
      return bytes;
    },

    async from(pointer, start, signal, own) {
      const doing = `pull \`${pointer.digest}\``;
      if (pointer.data) {
        requireBlob(pointer.data, pointer, doing);
        return one(pointer.data.subarray(start));
      }
      const known = seenOf.get(pointer.digest);
      const seen = own ?? (known?.at === start ? { hash: known.hash.copy(), at: start } : startSeen());
      const { at } = seen;
      if (!own) seenOf.set(pointer.digest, seen);
      if (at === pointer.size && at > 0) return one(new Uint8Array(0));
      const bytes = verified(await fetchBlob(source, pointer, at, signal), pointer, doing, seen);
      return at === start ? bytes : skipping(bytes, start);
    },
  };
}

/** The bytes from `start` on, compared with nothing yet. Rejects with what the registry says. */
export async function fetchBlob(
  source: BlobSource,
  pointer: Pointer,
  start: number,
  signal: AbortSignal,
): Promise<Bytes> {
  const { registry, repository } = source;
  const doing = `pull \`${pointer.digest}\``;
  const headers: Record<string, string> = start === 0 ? {} : { range: `bytes=${start}-` };
  const asking = {
    method: 'GET',
    repository,
    at: `blobs/${pointer.digest}`,
    headers,
    actions: 'pull',
    doing,
    signal,
  } as const;
  const response = await registry.send(asking);
  if (response.status === 200 || response.status === 206) return bodyFrom(response, pointer, start, doing);
  const urls = isForeignLayer(pointer.mediaType) ? (pointer.urls ?? []) : [];
  if (response.status !== 404 || urls.length === 0) {
    throw await registry.refusal(response, asking, 'the registry does not have it');
  }
  await response.discard();
  return fetchForeign(source.http, pointer, urls, start, signal);
}

/** From where the manifest says; nobody is shown a login there. */
async function fetchForeign(
  http: HttpClient,
  pointer: Pointer,
  urls: readonly string[],
  start: number,
  signal: AbortSignal,
): Promise<Bytes> {
  const doing = `pull \`${pointer.digest}\` from where its manifest says`;
  let last: unknown = new TransferError('unsupported', `${doing}: it names no https URL`);
  for (const url of urls) {
    if (!isSafeUrl(url)) continue;
    try {
      const headers: Record<string, string> = start === 0 ? {} : { range: `bytes=${start}-` };
      const response = await http.send({ method: 'GET', url, headers, signal });
      if (response.status === 200 || response.status === 206)
        return bodyFrom(response, pointer, start, doing);
      await response.discard();
      last = new TransferError('not-found', `${doing}: HTTP ${response.status}`);
    } catch (error) {
      if (signal.aborted) throw error;
      last = error;
    }
  }
  throw last;
}

function isSafeUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.username !== '' || url.password !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.host));
}

/** The body from `start` on, whether the server gave the range or, as it may, the whole. */
async function bodyFrom(
  response: HttpResponse,
  pointer: Pointer,
  start: number,
  doing: string,
): Promise<Bytes> {
  const { status, headers, body } = response;
  const length = lengthOf(headers['content-length']);
  const range = status === 206 ? contentRange(headers['content-range']) : undefined;
  const begin = status === 206 ? range?.start : 0;
  const isOdd = status === 206 && (begin !== start || (range?.total ?? pointer.size) !== pointer.size);
  if (begin === undefined || isOdd || (length !== undefined && length !== pointer.size - begin)) {
    await response.discard();
    const what =
      status === 206
        ? `the range \`${(headers['content-range'] ?? 'none').slice(0, 60)}\``
        : `${length} bytes`;
    throw new TransferError(
      'size-mismatch',
      `${doing}: expected ${pointer.size - start} bytes from ${start} on, the server offers ${what}`,
    );
  }
  return begin === start ? body : skipping(body, start);
}

async function collect(bytes: Bytes, size: number): Promise<Uint8Array> {
  const whole = Buffer.alloc(size);
  let at = 0;
  for await (const chunk of bytes) {
    if (at + chunk.length > size)
      throw new TransferError('size-mismatch', `pull: expected ${size} bytes, got more`);
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole.subarray(0, at);
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

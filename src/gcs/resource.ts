import { TransferError } from '../errors.ts';
import type { Digest, HttpResponse, Stat, Stored, WriteCall } from '../protocol.ts';

/** What we read of an object's resource (Cloud Storage JSON API, Objects). */
export interface ObjectResource {
  readonly name: string;
  readonly generation: string;
  readonly size: number;
  readonly updated: Date | undefined;
  readonly digests: readonly Digest[];
}

/** An answer of the JSON API is short; a page of a listing has 1,000 entries of about 1 KiB. */
const MOST_BYTES = 16 * 1024 * 1024;

/** The body of an answer, up to 16 MiB. */
export async function textOf(response: HttpResponse): Promise<string> {
  const chunks: Buffer[] = [];
  let count = 0;
  for await (const chunk of response.body) {
    count += chunk.length;
    if (count > MOST_BYTES) throw new TransferError('unexpected', `${response.url}: the answer does not end`);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks).toString();
}

/** The JSON object of an answer. Rejects with `unavailable` for anything else: something on the way answered. */
export async function jsonOf(response: HttpResponse, doing: string): Promise<Record<string, unknown>> {
  const value = parse(await textOf(response));
  if (value) return value;
  throw new TransferError('unavailable', `${doing}: the answer is not what the service sends (no JSON)`);
}

/** Undefined for what is no JSON object. */
export function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Seconds since the epoch as `gcloud storage cp --preserve-posix` keeps them. */
export const MTIME_KEY = 'goog-reserved-file-mtime';

/** What an object that is written is given besides its bytes. */
export function metadataOf({ modified }: Pick<WriteCall, 'modified'>): object {
  return {
    contentType: 'application/octet-stream',
    ...(modified ? { metadata: { [MTIME_KEY]: String(Math.floor(modified.getTime() / 1000)) } } : {}),
  };
}

/** Reads a resource. Throws `unavailable` when it lacks what every object has. */
export function objectOf(value: Record<string, unknown>, doing: string): ObjectResource {
  const { name, generation, size, updated, metadata } = value;
  if (typeof name !== 'string' || typeof generation !== 'string' || !/^\d{1,15}$/.test(String(size))) {
    throw new TransferError('unavailable', `${doing}: the answer does not describe an object`);
  }
  const kept =
    typeof metadata === 'object' && metadata ? Number(Reflect.get(metadata, MTIME_KEY)) : Number.NaN;
  const time = Number.isFinite(kept) ? kept * 1000 : Date.parse(String(updated));
  return {
    name,
    generation,
    size: Number(size),
    updated: Number.isNaN(time) ? undefined : new Date(time),
    digests: [...digestOf('crc32c', value.crc32c, 4), ...digestOf('md5', value.md5Hash, 16)],
  };
}

function digestOf(algorithm: 'crc32c' | 'md5', value: unknown, bytes: number): Digest[] {
  const raw = typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.alloc(0);
  return raw.length === bytes ? [{ algorithm, value: raw.toString('hex') }] : [];
}

/** A generation is another one whenever the content is. */
export function versionOf(generation: string): string {
  return `generation ${generation}`;
}

export function statOf(object: ObjectResource): Stat {
  const { size, updated, generation, digests } = object;
  return { type: 'file', size, modified: updated, version: versionOf(generation), digests };
}

export function storedOf({ size, generation, digests }: ObjectResource): Stored {
  return { size, version: versionOf(generation), digests };
}

import { TransferError } from '../errors.ts';
import type { CopyCall, Staged, Stat, Stored } from '../protocol.ts';
import { encodeKey } from './address.ts';
import { withBucket } from './bucket.ts';
import { bareTag } from './checksums.ts';
import type { S3Client } from './client.ts';
import {
  abortUpload,
  completeUpload,
  compositeTag,
  createUpload,
  type Part,
  type Upload,
} from './multipart.ts';
import type { S3Object } from './place.ts';
import { headObject } from './stat.ts';
import { storedAs } from './stored.ts';
import { textOf } from './xml.ts';

const MIB = 1024 * 1024;

/** How much one request may copy (API reference, CopyObject), and what larger files are copied in. Tests have smaller ones. */
export interface CopyLimits {
  readonly whole: number;
  readonly part: number;
}

export const COPY_LIMITS: CopyLimits = { whole: 5_000_000_000, part: 512 * MIB };

/** Ranges that the service copies at a time. */
const AT_ONCE = 4;

/** Milliseconds that clearing up may take when the run itself was ended. */
const CLEAR_UP = 3000;

export interface Copying {
  readonly client: S3Client;
  readonly from: S3Object;
  readonly to: S3Object;
  readonly call: CopyCall;
}

/** The service copies by itself, the very version that was found at the start. Nothing is visible before commit. */
export async function copyObject(copying: Copying, limits: CopyLimits = COPY_LIMITS): Promise<Staged> {
  const { client, from, call } = copying;
  const source = await headObject(client, from, call.signal);
  if (!source) throw new TransferError('not-found', `copy \`${from.name}\`: not found`);
  const size = source.size ?? 0;
  if (size > limits.whole) return copyParts(copying, source, limits);
  return {
    async commit() {
      const result = await intoBucket(copying, (signal) =>
        client.sendForXml({
          method: 'PUT',
          bucket: copying.to.bucket,
          key: copying.to.key,
          headers: sourceHeaders(from, source),
          signal,
          doing: doing(copying),
        }),
      );
      call.progress?.(size);
      return confirm(copying, source, textOf(result, 'ETag'));
    },
    async abort() {},
  };
}

/** The bucket is made where a write would make it. The engine tries a copy again as a whole. */
function intoBucket<T>({ client, to, call }: Copying, unit: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const once = {
    signal: call.signal,
    retry: <R>(work: (signal: AbortSignal) => Promise<R>) => work(call.signal),
  };
  return withBucket(client, to, once, unit);
}

function doing({ from, to }: Copying): string {
  return `copy \`${from.name}\` to \`${to.name}\``;
}

function sourceHeaders(from: S3Object, source: Stat): Readonly<Record<string, string>> {
  const tag = source.version?.startsWith('etag ') ? source.version.slice('etag '.length) : undefined;
  return {
    'x-amz-copy-source': `/${encodeKey(`${from.bucket}/${from.key}`)}`,
    ...(tag === undefined ? {} : { 'x-amz-copy-source-if-match': tag }),
  };
}

/** Old gateways ignore the condition: a tag that is another MD5 than the source's shows that they copied something else. */
async function confirm(copying: Copying, source: Stat, given: string | undefined): Promise<Stored> {
  const { client, to, call } = copying;
  const stored = await storedAs(client, to, call.signal);
  const [before, after] = [bareTag(source.version?.slice('etag '.length)), bareTag(given)];
  const isOther = stored.size !== undefined && stored.size !== source.size;
  if (isOther || (isMd5(before) && isMd5(after) && before !== after)) {
    throw new TransferError('changed', `${doing(copying)}: the source changed while it was copied`);
  }
  return stored;
}

function isMd5(tag: string): boolean {
  return /^[0-9a-f]{32}$/.test(tag);
}

/** Ranges of the source become parts of an upload. */
async function copyParts(copying: Copying, source: Stat, limits: CopyLimits): Promise<Staged> {
  const { client, to, call } = copying;
  const upload = await intoBucket(copying, (signal) => createUpload(client, to, signal));
  const size = source.size ?? 0;
  const part = Math.max(limits.part, Math.ceil(size / 10_000 / MIB) * MIB);
  const count = Math.ceil(size / part);
  const parts: Part[] = [];
  let next = 1;
  let copied = 0;
  const worker = async () => {
    for (let number = next++; number <= count; number = next++) {
      const range = { start: (number - 1) * part, end: Math.min(number * part, size) };
      const tag = await copyPart(copying, source, { upload, number, range });
      parts[number - 1] = { number, size: range.end - range.start, tag };
      copied += range.end - range.start;
      call.progress?.(copied);
      if (call.signal.aborted) throw new TransferError('canceled', `${doing(copying)}: canceled`);
    }
  };
  const drop = () => abortUpload(upload, AbortSignal.timeout(CLEAR_UP)).catch(() => undefined);
  const ended = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, count) }, worker));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed) {
    await drop();
    throw failed.reason;
  }
  return {
    async commit() {
      try {
        const tag = await completeUpload(upload, parts, { onlyNew: false, signal: call.signal });
        const stored = await storedAs(client, to, call.signal);
        const isOurs = stored.size === size && stored.version === `etag "${compositeTag(parts)}"`;
        if (tag !== undefined || isOurs) return stored;
        throw new TransferError('changed', `${doing(copying)}: the upload is not there any more`);
      } catch (error) {
        await drop();
        throw error;
      }
    },
    abort: async () => void (await drop()),
  };
}

async function copyPart(
  copying: Copying,
  source: Stat,
  part: {
    readonly upload: Upload;
    readonly number: number;
    readonly range: { readonly start: number; readonly end: number };
  },
): Promise<string> {
  const { client, from, to, call } = copying;
  const result = await client.sendForXml({
    method: 'PUT',
    bucket: to.bucket,
    key: to.key,
    query: { partNumber: String(part.number), uploadId: part.upload.id },
    headers: {
      ...sourceHeaders(from, source),
      'x-amz-copy-source-range': `bytes=${part.range.start}-${part.range.end - 1}`,
    },
    signal: call.signal,
    doing: doing(copying),
  });
  const tag = bareTag(textOf(result, 'ETag'));
  if (tag === '') throw new TransferError('unexpected', `${doing(copying)}: the service gave no entity tag`);
  return tag;
}

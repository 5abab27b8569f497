import { createHash } from 'node:crypto';
import { TransferError } from '../errors.ts';
import { isAmazon } from './address.ts';
import { BY_CRC64NVME, bareTag, crc64nvmeField } from './checksums.ts';
import type { S3Client } from './client.ts';
import { s3CodeOf } from './failures.ts';
import type { S3Object } from './place.ts';
import { notNew } from './stored.ts';
import { childrenOf, escapeXml, textOf } from './xml.ts';

/** One part as the service has it. */
export interface Part {
  readonly number: number;
  readonly size: number;
  /** Without quotes. */
  readonly tag: string;
}

/** A multipart upload that was begun. */
export interface Upload {
  readonly client: S3Client;
  readonly object: S3Object;
  readonly id: string;
  /** The service is told the CRC64NVME of each part, and of the whole. */
  readonly isSummed?: boolean;
}

/** Begins an upload. Nothing is visible before it is completed. */
export async function createUpload(
  client: S3Client,
  object: S3Object,
  signal: AbortSignal,
  isSummed = false,
): Promise<Upload> {
  const doing = `write \`${object.name}\``;
  const answer = await client.sendForXml({
    method: 'POST',
    bucket: object.bucket,
    key: object.key,
    query: { uploads: '' },
    headers: isSummed ? BY_CRC64NVME : {},
    signal,
    doing,
  });
  const id = textOf(answer, 'UploadId');
  if (!id) throw new TransferError('unexpected', `${doing}: the service began no upload`);
  return { client, object, id, isSummed };
}

/** A part in memory. */
export interface HeldPart {
  readonly number: number;
  readonly body: Uint8Array;
  readonly md5: Buffer;
  /** In hexadecimal. */
  readonly sha256: string;
  /** In hexadecimal, where the upload is summed. */
  readonly crc64nvme?: string;
}

/** Stores a part that is in memory; resolves with its entity tag. May be repeated. The service refuses a body that is not the one sent. */
export async function putPart(upload: Upload, part: HeldPart, signal: AbortSignal): Promise<string> {
  const { md5, crc64nvme, ...rest } = part;
  const sums = crc64nvme === undefined ? {} : crc64nvmeField(crc64nvme);
  const headers = { 'content-md5': md5.toString('base64'), ...sums };
  return sendPart(upload, { ...rest, headers, signal });
}

/** Stores a part as it comes. Whoever calls compares the entity tag with what went through. */
export function passPart(
  upload: Upload,
  part: {
    readonly number: number;
    readonly body: { readonly bytes: AsyncIterable<Uint8Array>; readonly size: number };
  },
  signal: AbortSignal,
): Promise<string> {
  return sendPart(upload, { ...part, headers: {}, signal });
}

async function sendPart(
  { client, object, id }: Upload,
  part: {
    readonly number: number;
    readonly body: Uint8Array | { readonly bytes: AsyncIterable<Uint8Array>; readonly size: number };
    readonly sha256?: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
): Promise<string> {
  const doing = `write \`${object.name}\`: part ${part.number}`;
  const response = await client.send({
    method: 'PUT',
    bucket: object.bucket,
    key: object.key,
    query: { partNumber: String(part.number), uploadId: id },
    headers: part.headers,
    body: part.body,
    ...(part.sha256 === undefined ? {} : { sha256: part.sha256 }),
    signal: part.signal,
    doing,
  });
  await response.discard();
  const tag = bareTag(response.headers.etag);
  if (tag === '') throw new TransferError('unexpected', `${doing}: the service gave no entity tag`);
  return tag;
}

/** Makes the object of its parts, where their CRC64NVME together is `crc64nvme`, if that is given. Resolves with its entity tag, which may be empty; undefined when there is no such upload any more. */
export async function completeUpload(
  { client, object, id, isSummed }: Upload,
  parts: readonly Part[],
  call: { readonly onlyNew: boolean; readonly crc64nvme?: string | undefined; readonly signal: AbortSignal },
): Promise<string | undefined> {
  const list = parts.map(
    ({ number, tag }) =>
      `<Part><PartNumber>${number}</PartNumber><ETag>&quot;${escapeXml(tag)}&quot;</ETag></Part>`,
  );
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const access = await client.access();
  try {
    const answer = await client.sendForXml({
      method: 'POST',
      bucket: object.bucket,
      key: object.key,
      query: { uploadId: id },
      headers: {
        'content-type': 'application/xml',
        ...(call.onlyNew ? { 'if-none-match': '*' } : {}),
        ...(isSummed && call.crc64nvme !== undefined
          ? { ...crc64nvmeField(call.crc64nvme), 'x-amz-checksum-type': 'FULL_OBJECT' }
          : {}),
        ...(isAmazon(access) ? { 'x-amz-mp-object-size': String(size) } : {}),
      },
      body: Buffer.from(
        `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list.join('')}</CompleteMultipartUpload>`,
      ),
      signal: call.signal,
      doing: `write \`${object.name}\`: complete`,
    });
    return bareTag(textOf(answer, 'ETag'));
  } catch (error) {
    if (isGone(error)) return undefined;
    throw call.onlyNew && s3CodeOf(error) === 'PreconditionFailed' ? notNew(object) : error;
  }
}

/** Drops the upload and its parts; one that is not there any more is success. */
export async function abortUpload({ client, object, id }: Upload, signal: AbortSignal): Promise<void> {
  const response = await client.send({
    method: 'DELETE',
    bucket: object.bucket,
    key: object.key,
    query: { uploadId: id },
    accepts: [404],
    signal,
    doing: `drop the unfinished \`${object.name}\``,
  });
  await response.discard();
}

/** Every part that the service has of the upload, in order; undefined when there is no such upload. */
export async function listParts(
  { client, object, id }: Upload,
  signal: AbortSignal,
): Promise<readonly Part[] | undefined> {
  const parts: Part[] = [];
  let marker: string | undefined;
  try {
    for (;;) {
      const page = await client.sendForXml({
        method: 'GET',
        bucket: object.bucket,
        key: object.key,
        query: { uploadId: id, ...(marker === undefined ? {} : { 'part-number-marker': marker }) },
        signal,
        doing: `look for what is left of \`${object.name}\``,
      });
      for (const part of childrenOf(page, 'Part')) {
        const number = Number(textOf(part, 'PartNumber'));
        parts.push({ number, size: Number(textOf(part, 'Size')), tag: bareTag(textOf(part, 'ETag')) });
      }
      const next = textOf(page, 'NextPartNumberMarker');
      if (textOf(page, 'IsTruncated') !== 'true' || next === undefined || next === marker) return parts;
      marker = next;
    }
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Ceph says NoSuchKey of the parts of an upload that was aborted, S3 NoSuchUpload. */
export function isGone(error: unknown): boolean {
  const code = s3CodeOf(error);
  return code === 'NoSuchUpload' || code === 'NoSuchKey';
}

/** The entity tag of an object made of parts with these, where they are MD5s: the MD5 of all of theirs, and how many. */
export function compositeTag(parts: readonly Part[]): string | undefined {
  if (!parts.every(({ tag }) => /^[0-9a-f]{32}$/.test(tag))) return undefined;
  const hash = createHash('md5');
  for (const { tag } of parts) hash.update(tag, 'hex');
  return `${hash.digest('hex')}-${parts.length}`;
}

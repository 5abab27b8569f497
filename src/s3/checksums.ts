import type { Algorithm, Digest, HttpResponse } from '../protocol.ts';

/** Checksums that S3 stores (API reference, Checking object integrity) and that we can compute. */
const CHECKSUMS = ['sha256', 'crc64nvme', 'crc32c', 'crc32', 'sha1'] as const satisfies readonly Algorithm[];

/** Asks for the stored checksums along with a whole object. Services that have none ignore it. */
export const WITH_CHECKSUMS = { 'x-amz-checksum-mode': 'ENABLED' } as const;

/** What an upload in parts begins with when the service is to compare the CRC64NVME of the whole. */
export const BY_CRC64NVME = {
  'x-amz-checksum-algorithm': 'CRC64NVME',
  'x-amz-checksum-type': 'FULL_OBJECT',
} as const;

/** A CRC64NVME as S3 takes it: base64 of its bytes, the highest first. */
export function crc64nvmeField(hex: string): Readonly<Record<string, string>> {
  return { 'x-amz-checksum-crc64nvme': Buffer.from(hex, 'hex').toString('base64') };
}

/**
 * The digests of a whole object that an answer declares: stored checksums that cover the object, and the entity tag
 * where it is the MD5 of the content (no multipart, no encryption with keys of its own).
 */
export function storedDigests(headers: HttpResponse['headers']): readonly Digest[] {
  const digests: Digest[] = [];
  const isWhole = headers['x-amz-checksum-type'] !== 'COMPOSITE';
  for (const algorithm of CHECKSUMS) {
    const value = isWhole ? fromBase64(headers[`x-amz-checksum-${algorithm}`]) : undefined;
    if (value !== undefined) digests.push({ algorithm, value });
  }
  const md5 = md5Of(headers);
  if (md5 !== undefined) digests.push({ algorithm: 'md5', value: md5 });
  return digests;
}

/** A composite value ends in `-N`, which is no base64. */
function fromBase64(text: string | undefined): string | undefined {
  if (text === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  return Buffer.from(text, 'base64').toString('hex');
}

function md5Of(headers: HttpResponse['headers']): string | undefined {
  const encryption = headers['x-amz-server-side-encryption'];
  if (headers['x-amz-server-side-encryption-customer-algorithm'] !== undefined) return undefined;
  if (encryption !== undefined && encryption !== 'AES256') return undefined;
  const tag = bareTag(headers.etag);
  return /^[0-9a-f]{32}$/.test(tag) ? tag : undefined;
}

/** An entity tag without its quotes, which some answers of Ceph's lack; empty when there is none. */
export function bareTag(tag: string | undefined): string {
  return tag?.replace(/^(?:W\/)?"|"$/g, '') ?? '';
}

/** Of an object: its entity tag, as `src/http/validators.ts` spells it. */
export function versionOf(tag: string): string | undefined {
  return tag === '' ? undefined : `etag "${tag}"`;
}

/** Only this version: anything else is refused before a byte is sent. */
export function conditionOf(version: string | undefined): Readonly<Record<string, string>> {
  return version?.startsWith('etag ') ? { 'if-match': version.slice('etag '.length) } : {};
}

import type { Algorithm, Digest } from '../protocol.ts';

/**
 * What to ask servers for: `want-repr-digest` (RFC 9530) alone, because XRootD answers the older field instead when
 * both are there; `want-digest` (RFC 3230) for servers known to be older.
 */
export const WANT_DIGEST = {
  'want-repr-digest': 'sha-256=10, sha-512=5, crc32c=4, adler=3, md5=2',
} as const;

const BYTES: Readonly<Record<Algorithm, number>> = {
  sha256: 32,
  sha512: 64,
  blake3: 32,
  sha1: 20,
  md5: 16,
  xxh3: 8,
  crc32: 4,
  crc32c: 4,
  crc64nvme: 8,
  adler32: 4,
};

/** Names of the IANA registry (RFC 9530 §7.2) and of grid storage. */
const NAMES: Readonly<Record<string, Algorithm | undefined>> = Object.assign(Object.create(null), {
  'sha-256': 'sha256',
  sha256: 'sha256',
  'sha-512': 'sha512',
  sha512: 'sha512',
  sha: 'sha1',
  'sha-1': 'sha1',
  sha1: 'sha1',
  md5: 'md5',
  crc32: 'crc32',
  crc32c: 'crc32c',
  crc64nvme: 'crc64nvme',
  adler: 'adler32',
  adler32: 'adler32',
} satisfies Record<string, Algorithm>);

/** Fields that declare digests. Most answers have none of them. */
const FIELDS = [
  'repr-digest',
  'content-digest',
  'digest',
  'content-md5',
  'oc-checksum',
  'x-goog-hash',
] as const;

/** Digests of an answer, by what they cover. */
export interface DeclaredDigests {
  /** Of the whole representation, on a partial answer too. */
  readonly whole: readonly Digest[];
  /** Of the bytes of this answer's body. */
  readonly content: readonly Digest[];
}

const NONE_DECLARED: DeclaredDigests = { whole: [], content: [] };

/**
 * Digests that the fields of an answer (or its trailers) declare. Unknown algorithms and malformed values are left out:
 * they prove nothing either way. All cover the bytes as received, before any content coding is undone (RFC 9530 §2);
 * Google's cover what is stored, so they are left out where the stored coding is not the one received.
 */
export function declaredDigests(headers: Readonly<Record<string, string>>): DeclaredDigests {
  if (!FIELDS.some((name) => headers[name] !== undefined)) return NONE_DECLARED;
  const whole = [
    ...structured(headers['repr-digest']),
    ...instanceDigests(headers.digest),
    ...ocChecksum(headers['oc-checksum']),
    ...googleHash(headers),
  ];
  const content = [...structured(headers['content-digest']), ...contentMd5(headers['content-md5'])];
  return { whole: distinct(whole), content: distinct(content) };
}

/** RFC 9530 §2, §3: `sha-256=:<base64>:, …`. Parameters behind a value are skipped. */
function structured(field: string | undefined): Digest[] {
  if (field === undefined) return [];
  return field.split(',').flatMap((member) => {
    const shape = /^\s*([a-z*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;.*)?$/.exec(member);
    return digest(shape?.[1], shape?.[2] === undefined ? undefined : fromBase64(shape[2]));
  });
}

/** RFC 3230 §4.3.2: `sha-256=<base64>,adler32=<hex>`, and what servers really send. */
function instanceDigests(field: string | undefined): Digest[] {
  if (field === undefined) return [];
  return field.split(',').flatMap((member) => {
    const shape = /^\s*([\w-]+)\s*=\s*([^\s;]+)\s*(?:;.*)?$/.exec(member);
    if (!shape?.[1] || !shape[2]) return [];
    const algorithm = NAMES[shape[1].toLowerCase()];
    return algorithm ? digest(algorithm, instanceValue(algorithm, shape[2])) : [];
  });
}

function instanceValue(algorithm: Algorithm, text: string): string | undefined {
  const digits = BYTES[algorithm] * 2;
  if (BYTES[algorithm] > 8) {
    // Some storage sends these in hexadecimal, whose length no base64 of the same digest has.
    return text.length === digits && /^[0-9a-f]+$/i.test(text) ? text.toLowerCase() : fromBase64(text);
  }
  // Checksums are hexadecimal, leading zeros optional; padding gives away the servers that send base64.
  if (/^[0-9a-f]+$/i.test(text) && text.length <= digits) return text.toLowerCase().padStart(digits, '0');
  return text.endsWith('=') ? fromBase64(text) : undefined;
}

/** RFC 1864; of the body of this very message. */
function contentMd5(field: string | undefined): Digest[] {
  return field === undefined ? [] : digest('md5', instanceValue('md5', field));
}

/** ownCloud: `SHA1:<hex> MD5:<hex> ADLER32:<hex>`. */
function ocChecksum(field: string | undefined): Digest[] {
  if (field === undefined) return [];
  return field.split(/[\s,]+/).flatMap((entry) => {
    const shape = /^([A-Za-z0-9-]+):([0-9A-Fa-f]+)$/.exec(entry);
    const algorithm = NAMES[shape?.[1]?.toLowerCase() ?? ''];
    if (!algorithm || !shape?.[2]) return [];
    const value = shape[2].toLowerCase();
    return digest(algorithm, BYTES[algorithm] <= 8 ? value.padStart(BYTES[algorithm] * 2, '0') : value);
  });
}

/** Google Cloud Storage: `crc32c=<base64>,md5=<base64>`, of the stored bytes. */
function googleHash(headers: Readonly<Record<string, string>>): Digest[] {
  const field = headers['x-goog-hash'];
  if (field === undefined) return [];
  const stored = headers['x-goog-stored-content-encoding'] ?? 'identity';
  if (stored !== (headers['content-encoding'] ?? 'identity')) return [];
  return field.split(',').flatMap((entry) => {
    const shape = /^\s*(crc32c|md5)=([A-Za-z0-9+/=]+)\s*$/.exec(entry);
    return digest(shape?.[1], shape?.[2] === undefined ? undefined : fromBase64(shape[2]));
  });
}

function fromBase64(text: string): string | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  return Buffer.from(text, 'base64').toString('hex');
}

function digest(name: string | undefined, value: string | undefined): Digest[] {
  const algorithm = NAMES[name ?? ''];
  if (!algorithm || value === undefined) return [];
  return value.length === BYTES[algorithm] * 2 && /^[0-9a-f]+$/.test(value) ? [{ algorithm, value }] : [];
}

/** Without repetitions. Different values of one algorithm both stay: comparing will tell. */
function distinct(digests: readonly Digest[]): Digest[] {
  const seen = new Map(digests.map((each) => [`${each.algorithm}:${each.value}`, each]));
  return [...seen.values()];
}

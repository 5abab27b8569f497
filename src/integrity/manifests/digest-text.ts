import { TransferError } from '../../errors.ts';
import type { Algorithm, Digest } from '../../protocol.ts';
import { safeText } from '../../safe-text.ts';
import { DIGEST_DIGITS, isAlgorithm, parseDigest } from '../expected.ts';
import type { ManifestEntry, ManifestHint } from './manifest.ts';
import { quoted } from './names.ts';

const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/**
 * The algorithm that goes by `name` in any of the spellings in use: `SHA-256` (RFC 5854), `SHA2-256` (OpenSSL),
 * `CRC32C`. Undefined for one we do not have.
 */
export function findAlgorithm(name: string): Algorithm | undefined {
  if (isAlgorithm(name)) return name;
  const plain = name
    .toLowerCase()
    .replace(/^sha2-/, 'sha')
    .replaceAll(/[-_]/g, '');
  return isAlgorithm(plain) ? plain : undefined;
}

/** The digest that is spelled, or what is wrong with it. Upper case is fine. */
export function readDigest(algorithm: string, value: string): Digest | string {
  const known = findAlgorithm(algorithm);
  try {
    if (known !== undefined && isBase64(value, DIGEST_DIGITS[known])) {
      return `expected ${DIGEST_DIGITS[known]} hexadecimal digits for ${known}, got base64: ${quoted(value)}`;
    }
    return parseDigest(known ?? algorithm, value);
  } catch (error) {
    if (error instanceof TransferError) return safeText(error.message);
    throw error;
  }
}

function isBase64(value: string, digits: number): boolean {
  const characters = Math.ceil(digits / 6) * 4;
  if (value.length > characters || value.length < characters - 2 || value.length === digits) return false;
  return BASE64.test(value) && Buffer.from(value, 'base64').length * 2 === digits;
}

/**
 * The digests that are spelled by one entry; what is wrong, as text, when one of them is malformed, two contradict each
 * other, or none is of an algorithm we have. Unknown algorithms beside a known one are passed over.
 */
export function readDigests(
  spelled: Iterable<readonly [algorithm: string, value: string]>,
): Digest[] | string {
  const digests = new Map<Algorithm, Digest>();
  let unknown: string | undefined;
  for (const [algorithm, value] of spelled) {
    const digest = readDigest(algorithm, value);
    if (typeof digest === 'string') {
      if (findAlgorithm(algorithm) !== undefined) return digest;
      unknown ??= digest;
      continue;
    }
    const other = digests.get(digest.algorithm);
    if (other && other.value !== digest.value) {
      return `contradicts itself: ${digest.algorithm} ${quoted(other.value)} and ${quoted(digest.value)}`;
    }
    digests.set(digest.algorithm, digest);
  }
  return digests.size === 0 ? (unknown ?? 'expected a digest') : [...digests.values()];
}

/** The digests of the whole content that are to be written: all, or the one that was asked for. */
export function digestsToWrite(entry: Omit<ManifestEntry, 'where'>, hint: ManifestHint): readonly Digest[] {
  const whole = entry.digests.filter(({ partSize }) => partSize === undefined);
  const asked = hint.algorithm ? whole.filter(({ algorithm }) => algorithm === hint.algorithm) : whole;
  if (asked.length > 0) return asked;
  throw unwritable(entry.name, `no ${hint.algorithm ? `${hint.algorithm} ` : ''}digest of it is known`);
}

/** For the formats that hold one digest a file, which their readers take for sha256 whatever is said beside it. */
export function sha256ToWrite(entry: Omit<ManifestEntry, 'where'>): string {
  return digestsToWrite(entry, { algorithm: 'sha256' })[0]?.value ?? '';
}

export function unwritable(name: string, why: string): TransferError {
  return new TransferError('invalid-request', `writing down the digest of ${quoted(name)}: ${why}`);
}

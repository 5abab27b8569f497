import { TransferError } from '../errors.ts';
import type { Algorithm, Digest } from '../protocol.ts';
import { safeText } from '../safe-text.ts';

/** Hexadecimal digits of a digest of each algorithm. */
export const DIGEST_DIGITS: Readonly<Record<Algorithm, number>> = {
  sha256: 64,
  sha512: 128,
  blake3: 64,
  sha1: 40,
  md5: 32,
  xxh3: 16,
  crc32: 8,
  crc32c: 8,
  crc64nvme: 16,
  adler32: 8,
};

const NOT_HEXADECIMAL = /[^0-9a-f]/;

/** True for the names that digests go by here: lower case, without a dash. */
export function isAlgorithm(name: string): name is Algorithm {
  return Object.hasOwn(DIGEST_DIGITS, name);
}

/**
 * The digest that `algorithm` and `value` spell, its value lower-cased. Throws `invalid-request` for an unknown
 * algorithm and for a value of another length or alphabet: a digest that nothing can match is a mistake in the list,
 * not in the data.
 */
export function parseDigest(algorithm: string, value: string): Digest {
  if (!isAlgorithm(algorithm)) {
    const known = Object.keys(DIGEST_DIGITS).join(', ');
    throw invalid(`expected an algorithm of ${known}, got \`${shorten(algorithm)}\``);
  }
  const lower = value.toLowerCase();
  const digits = DIGEST_DIGITS[algorithm];
  if (lower.length !== digits) {
    throw invalid(
      `expected ${digits} hexadecimal digits for ${algorithm}, got ${value.length}: \`${shorten(value)}\``,
    );
  }
  const wrong = NOT_HEXADECIMAL.exec(lower);
  if (wrong) {
    throw invalid(
      `expected ${digits} hexadecimal digits for ${algorithm}, got \`${safeText(wrong[0])}\` in \`${shorten(value)}\``,
    );
  }
  return { algorithm, value: lower };
}

function shorten(text: string): string {
  return safeText(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function invalid(message: string): TransferError {
  return new TransferError('invalid-request', message);
}

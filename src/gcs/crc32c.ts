/** Castagnoli's polynomial, reflected (RFC 3720 appendix B.4). */
const POLYNOMIAL = 0x82f63b78;

/** The product of two polynomials modulo Castagnoli's, the highest coefficient in the lowest bit. */
function multiply(one: number, other: number): number {
  let product = 0;
  let factor = other;
  for (let bit = 31; bit >= 0; bit -= 1) {
    if ((one >>> bit) & 1) product ^= factor;
    factor = factor & 1 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1;
  }
  return product >>> 0;
}

/** x to the power of 2ⁿ, for lengths of up to 2⁵⁰ bits. */
const POWERS: readonly number[] = (() => {
  const powers = [0x40000000];
  for (let at = 1; at <= 50; at += 1) powers.push(multiply(powers[at - 1] ?? 0, powers[at - 1] ?? 0));
  return powers;
})();

/** What a CRC becomes when `bytes` zero bytes follow. */
function shifted(value: number, bytes: number): number {
  let product = value;
  for (let left = bytes, at = 3; left > 0; left = Math.floor(left / 2), at += 1) {
    if (left % 2 === 1) product = multiply(POWERS[at] ?? 0, product);
  }
  return product;
}

/** CRC32C of `first` followed by `second` of `bytes` bytes, from the CRC32C of each. */
export function combineCrc32c(first: number, second: number, bytes: number): number {
  return (shifted(first, bytes) ^ second) >>> 0;
}

/** CRC32C as the lower-case hexadecimal of digests. */
export function hexOf(value: number): string {
  return value.toString(16).padStart(8, '0');
}

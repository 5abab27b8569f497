import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { declaredDigests } from '../../src/http/digest-fields.ts';
import type { Digest } from '../../src/protocol.ts';

const SHA256 = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
const SHA256_64 = Buffer.from(SHA256, 'hex').toString('base64');
const MD5 = '5d41402abc4b2a76b9719d911017c592';
const MD5_64 = Buffer.from(MD5, 'hex').toString('base64');

function all(headers: Record<string, string>): Digest[] {
  const { whole, content } = declaredDigests(headers);
  return [...whole, ...content];
}

function parsed(headers: Record<string, string>): string[] {
  return all(headers).map(({ algorithm, value }) => `${algorithm}:${value}`);
}

describe('F20 digest fields', () => {
  test('of RFC 9530 tell the whole and the content apart', () => {
    const headers = {
      'repr-digest': `sha-256=:${SHA256_64}:, unknown=:AAAA:`,
      'content-digest': `md5=:${MD5_64}:;p=1`,
    };
    expect(declaredDigests(headers)).toEqual({
      whole: [{ algorithm: 'sha256', value: SHA256 }],
      content: [{ algorithm: 'md5', value: MD5 }],
    });
  });

  test.each([
    [`SHA-256=${SHA256_64}`, [`sha256:${SHA256}`]],
    [`sha-256=${SHA256_64},adler32=91e01de`, [`sha256:${SHA256}`, 'adler32:091e01de']],
    [`md5=${MD5_64}`, [`md5:${MD5}`]],
    [`md5=${MD5.toUpperCase()}`, [`md5:${MD5}`]],
    ['adler32=1', ['adler32:00000001']],
    ['crc32c=e3069283', ['crc32c:e3069283']],
    ['crc32c=4waSgw==', ['crc32c:e3069283']],
    [`crc32c=${MD5}`, []],
    ['UNIXcksum=930766865', []],
    ['sha-256=', []],
    ['sha-256=AAAA', []],
    ['crc32=xyz', []],
    ['=,,;=', []],
    [`md5=${MD5_64};q=0.3`, [`md5:${MD5}`]],
  ])('of RFC 3230 are read as servers send them: %s', (digest, expected) => {
    expect(parsed({ digest })).toEqual(expected);
  });

  test.each([
    [{ 'content-md5': MD5_64 }, [`md5:${MD5}`]],
    [
      { 'oc-checksum': `SHA1:${'ab'.repeat(20)} MD5:${MD5} ADLER32:1e` },
      [`sha1:${'ab'.repeat(20)}`, `md5:${MD5}`, 'adler32:0000001e'],
    ],
    [{ 'oc-checksum': 'MD5:xyz' }, []],
    [{ 'x-goog-hash': `crc32c=4waSgw==, md5=${MD5_64}` }, ['crc32c:e3069283', `md5:${MD5}`]],
    [{ 'x-goog-hash': 'crc32c=4waSgw==', 'x-goog-stored-content-encoding': 'gzip' }, []],
    [
      {
        'x-goog-hash': 'crc32c=4waSgw==',
        'x-goog-stored-content-encoding': 'gzip',
        'content-encoding': 'gzip',
      },
      ['crc32c:e3069283'],
    ],
    [{ 'repr-digest': `md5=:${MD5_64}:`, digest: `md5=${MD5_64}` }, [`md5:${MD5}`]],
    [{ 'repr-digest': '__proto__=:AAAA:', digest: 'constructor=AAAA' }, []],
  ])('of others (%#)', (headers, expected) => {
    expect(parsed(headers as Record<string, string>)).toEqual(expected);
  });

  test('two values of one algorithm both stay, so that one of them fails the comparison', () => {
    expect(parsed({ 'content-md5': MD5_64, digest: 'md5=AAAAAAAAAAAAAAAAAAAAAA==' })).toHaveLength(2);
  });

  test('never throw and never yield a malformed digest, whatever is in them', () => {
    const fields = ['repr-digest', 'content-digest', 'digest', 'content-md5', 'oc-checksum', 'x-goog-hash'];
    const piece = fc.oneof(
      fc.constantFrom('md5', 'sha-256', 'adler32', 'crc32c', '=', ':', ',', ';', ' ', '==', SHA256_64, MD5),
      fc.string(),
    );
    const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
    const lengths: Record<string, number> = { sha256: 64, sha512: 128, sha1: 40, md5: 32, crc64nvme: 16 };
    fc.assert(
      fc.property(fc.constantFrom(...fields), text, (field, value) => {
        for (const digest of all({ [field]: value })) {
          expect(digest.value).toMatch(/^[0-9a-f]+$/);
          expect(digest.value).toHaveLength(lengths[digest.algorithm] ?? 8);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

import { Hash } from '@smithy/hash-node';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeKey } from '../../src/s3/address.ts';
import { createSigner, type Signable, UNSIGNED } from '../../src/s3/signing.ts';

const KEYS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const ACCESS = { ...KEYS, isSite: false, source: '' };
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const request: Signable = {
  method: 'GET',
  host: 'examplebucket.s3.amazonaws.com',
  path: '/test.txt',
  query: {},
  headers: { range: 'bytes=0-9' },
  payload: EMPTY,
  region: 'us-east-1',
  date: new Date('2013-05-24T00:00:00Z'),
};

/** What AWS's own client would send. */
async function reference(access: typeof ACCESS & { sessionToken?: string }, asked: Signable) {
  const { accessKeyId, secretAccessKey, sessionToken } = access;
  const signer = new SignatureV4({
    service: 's3',
    region: asked.region,
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
    sha256: Hash.bind(null, 'sha256'),
    uriEscapePath: false,
    applyChecksum: false,
  });
  const { method, path, query, host } = asked;
  const headers = { ...asked.headers, host, 'x-amz-content-sha256': asked.payload };
  const plain = { method, protocol: 'https:', hostname: host, path, query: { ...query }, headers };
  return (await signer.sign(plain, { signingDate: asked.date })).headers;
}

describe('a signature', () => {
  test('is the one of the reference of SigV4', () => {
    expect(createSigner()(ACCESS, request).authorization).toBe(
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ' +
        'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, ' +
        'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    );
  });

  test('is that of AWS’s own client, whatever is asked for', async () => {
    const sign = createSigner();
    const word = fc.string({ unit: fc.constantFrom(...'aZ09-_.~'), minLength: 1, maxLength: 12 });
    const text = fc.string({ unit: 'grapheme', maxLength: 20 });
    const line = fc.string({ unit: fc.constantFrom(...'aZ0 =/;:,-"'), maxLength: 30 });
    const requests = fc.record({
      method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD'),
      host: fc.constantFrom('host.example', '127.0.0.1:9000'),
      path: text.map((key) => `/bucket/${encodeKey(key)}`),
      query: fc.dictionary(word, text, { maxKeys: 4, noNullPrototype: true }),
      headers: fc.dictionary(
        word.map((name) => `x-amz-meta-${name.toLowerCase()}`),
        line,
        { maxKeys: 4, noNullPrototype: true },
      ),
      payload: fc.constantFrom(EMPTY, UNSIGNED),
      region: fc.constantFrom('us-east-1', 'eu-west-3'),
      date: fc.date({ min: new Date('2020-01-01'), max: new Date('2035-01-01'), noInvalidDate: true }),
    });
    const keys = fc.record({ secretAccessKey: word, sessionToken: fc.option(word, { nil: undefined }) });
    await fc.assert(
      fc.asyncProperty(requests, keys, async (asked, { secretAccessKey, sessionToken }) => {
        const access = {
          ...ACCESS,
          secretAccessKey,
          ...(sessionToken === undefined ? {} : { sessionToken }),
        };
        expect({ ...sign(access, asked) }).toEqual({ ...(await reference(access, asked)) });
      }),
      { numRuns: 300 },
    );
  });

  test('is not there without keys', () => {
    expect(createSigner()({ isSite: true, source: '' }, request)).toEqual({ range: 'bytes=0-9' });
  });
});

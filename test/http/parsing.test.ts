import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { createChunkDecoder, decodeChunks } from '../../src/http/chunked.ts';
import { framingOf, type Head, isReusable, parseHead } from '../../src/http/head.ts';
import { parseTarget } from '../../src/http/target.ts';

/** Decodes `bytes` cut into reads at `cuts`. */
function decode(bytes: Buffer, cuts: readonly number[]) {
  const decoder = createChunkDecoder();
  const parts: Buffer[] = [];
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  for (let index = 1; index < at.length; index++) {
    const read = Buffer.from(bytes.subarray(at[index - 1], at[index]));
    const { payloadEnd, consumed, problem } = decodeChunks(decoder, read, 0, read.length);
    if (problem !== undefined) return { problem };
    parts.push(read.subarray(0, payloadEnd));
    if (consumed < read.length) return { problem: 'extra' };
  }
  return { payload: Buffer.concat(parts), isDone: decoder.step === 'done', trailers: decoder.trailers };
}

describe('chunks', () => {
  test('decode to what was encoded, wherever the reads are cut', () => {
    const parts = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 });
    fc.assert(
      fc.property(parts, fc.array(fc.nat(), { maxLength: 20 }), fc.boolean(), (chunks, cuts, hasTrailer) => {
        const encoded = Buffer.concat([
          ...chunks.flatMap((chunk) => [
            Buffer.from(`${chunk.length.toString(16)};x=y\r\n`),
            chunk,
            Buffer.from('\r\n'),
          ]),
          Buffer.from(hasTrailer ? '0\r\nA: b\r\n\r\n' : '0\r\n\r\n'),
        ]);
        const decoded = decode(encoded, cuts);
        expect(decoded.isDone).toBe(true);
        expect(decoded.payload?.equals(Buffer.concat(chunks))).toBe(true);
        expect({ ...decoded.trailers }).toEqual(hasTrailer ? { a: 'b' } : {});
        const shorter = decode(encoded.subarray(0, -1), cuts);
        expect(shorter.isDone).not.toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('that are garbage never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(), { maxLength: 5 }), (bytes, cuts) => {
        decode(Buffer.from(bytes), cuts);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a head', () => {
  test('that is garbage never throws', () => {
    const line = fc.oneof(
      fc.constantFrom(
        'HTTP/1.1 200 OK',
        'content-length: 5',
        'transfer-encoding: chunked',
        'a:b',
        ' folded',
        '',
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
        const head = parseHead(lines.join('\r\n'));
        if (typeof head === 'string') return;
        const framing = framingOf(head, 'GET');
        if (typeof framing !== 'string' && framing.kind === 'length') {
          expect(Number.isSafeInteger(framing.length)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['HTTP/1.1 200 OK\r\ncontent-length: 5', true],
    ['HTTP/1.1 200 OK\r\ncontent-length: 5, 5', true],
    ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: Close', false],
    ['HTTP/1.0 200 OK\r\ncontent-length: 5', false],
    ['HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive', true],
    ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked', false],
    ['HTTP/1.1 200 OK', false],
    ['HTTP/1.1 200', false],
  ])('%j lets the connection be used again: %s', (text, expected) => {
    const head = parseHead(text) as Head;
    const framing = framingOf(head, 'GET');
    expect(typeof framing).toBe('object');
    if (typeof framing === 'object') expect(isReusable(head, framing)).toBe(expected);
  });

  test('a field named like a property of objects is a field', () => {
    const head = parseHead('HTTP/1.1 200 OK\r\n__proto__: a\r\nconstructor: b') as Head;
    expect(Object.entries(head.headers)).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });
});

describe('a URL', () => {
  test.each([
    ['HTTP://Example.ORG', 'http://example.org:80', 'example.org', '/'],
    ['https://example.org:443/a', 'https://example.org:443', 'example.org', '/a'],
    ['https://example.org:8443?q', 'https://example.org:8443', 'example.org:8443', '/?q'],
    ['http://[::1]:80/a', 'http://[::1]:80', '[::1]', '/a'],
    ['http://[fe80::1%25eth0]/', 'http://[fe80::1]:80', '[fe80::1]', '/'],
    ['http://b\u00fccher.example/', 'http://xn--bcher-kva.example:80', 'xn--bcher-kva.example', '/'],
  ])('%s is an origin and a path', (url, key, hostHeader, path) => {
    const target = parseTarget(url);
    expect(target.origin).toMatchObject({ key, hostHeader });
    expect(target.path).toBe(path);
  });

  test('that is garbage is refused or becomes a request line of one line', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (host, path) => {
        let target: ReturnType<typeof parseTarget>;
        try {
          target = parseTarget(`http://${host}/${path}`);
        } catch (error) {
          expect(error).toBeInstanceOf(TransferError);
          return;
        }
        expect(target.path).toMatch(/^\/[\x21-\x7e]*$/);
        expect(target.origin.hostHeader).toMatch(/^[\x21-\x7e]+$/);
      }),
      { numRuns: 2000 },
    );
  });
});

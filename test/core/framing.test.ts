import { expect, test } from 'vitest';
import { framingOf, parseHead } from '../../src/http/head.ts';

function framing(field: string): unknown {
  const head = parseHead(`HTTP/1.1 200 OK\r\n${field}`);
  return typeof head === 'string' ? head : framingOf(head, 'GET');
}

test.each([
  '5, 6',
  '5,5,6',
  '5\r\ncontent-length: 6',
  '-5',
  '+5',
  '5.0',
  '0x5',
  '5 5',
  '',
  '9007199254740993',
])('P2 a content-length of `%s` says nothing, and no body is read by it', (length) => {
  expect(framing(`content-length: ${length}`)).toBe(
    'the answer has a malformed or contradictory Content-Length',
  );
});

test('the same length twice is one length', () => {
  expect(framing('content-length: 5, 5')).toEqual({ kind: 'length', length: 5 });
});

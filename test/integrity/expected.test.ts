import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { parseDigest } from '../../src/integrity/expected.ts';

function refusal(algorithm: string, value: string): string {
  try {
    parseDigest(algorithm, value);
  } catch (error) {
    if (error instanceof TransferError) return error.message;
  }
  throw new Error('expected a TransferError');
}

test.each([
  ['the name of an algorithm', '\x1b[2Jsha256', '00', '\\x1b[2Jsha256'],
  ['a digest of the wrong length', 'crc32', '\x07\u202e', '\\x07\\u{202e}'],
  ['a digest in the wrong alphabet', 'crc32', '1234567\x1b', 'got `\\x1b` in `1234567\\x1b`'],
])('L14 %s that a terminal would act on is told escaped', (_, algorithm, value, shown) => {
  expect(refusal(algorithm, value)).toContain(shown);
});

test('L14 nothing that is no digest brings a control character into a message', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      for (const message of [refusal(`x${text}`, ''), refusal('crc32', `x${text}`)]) {
        expect(message).not.toMatch(/[\p{Cc}\p{Cs}]/u);
      }
    }),
  );
});

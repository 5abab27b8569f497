import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cutEnd,
  formatClock,
  formatDuration,
  formatRate,
  formatSize,
  safeText,
  shortenMiddle,
  textColumns,
} from '../../src/report/format.ts';
import { pythonFixed, pythonJson, pythonPrefixed } from '../../src/report/python-format.ts';

const seed = 20261122;

describe('sizes, rates and times for people', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1.3 * 1024 ** 3, '1.3 GiB'],
    [110 * 1024 ** 2, '110 MiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [1024 ** 6, '1024 PiB'],
  ])('%d bytes read %s', (bytes, text) => expect(formatSize(bytes)).toBe(text));

  test.each([
    [0.04, '0.0 s'],
    [12, '12.0 s'],
    [59.97, '1 min 00 s'],
    [185, '3 min 05 s'],
    [7500, '2 h 05 min'],
  ])('%d seconds read %s', (seconds, text) => expect(formatDuration(seconds)).toBe(text));

  test('a rate is a size a second, a clock has hours only when needed', () => {
    expect(formatRate(2048)).toBe('2.0 KiB/s');
    expect([formatClock(42), formatClock(3723)]).toEqual(['0:42', '1:02:03']);
  });
});

describe('sizes as the original writes them', () => {
  test.each([
    [14, '14.0 '],
    [1024, '1024.0 '],
    [1025, '1.0 K'],
    [1024 * 627.3, '627.3 K'],
    [1024 ** 2, '1024.0 K'],
    [1024 ** 2 + 1, '1.0 M'],
    [1.25 * 1024 ** 2, '1.2 M'],
    [1.75 * 1024 ** 2, '1.8 M'],
    [3 * 1024 ** 5, '3072.0 T'],
  ])('%d is `%s`', (value, text) => expect(pythonPrefixed(value)).toBe(text));

  test('ties go to the even digit', () => {
    expect([0.5, 1.5, 2.5, 2.51].map((value) => pythonFixed(value, 0))).toEqual(['0', '2', '2', '3']);
    expect([0.25, 0.75, 0.35].map((value) => pythonFixed(value, 1))).toEqual(['0.2', '0.8', '0.3']);
  });

  test('JSON is spaced and ASCII', () => {
    expect(pythonJson({ a: [1, 'é"\n'], b: {} })).toBe('{"a": [1, "\\u00e9\\"\\n"], "b": {}}');
  });
});

describe('names', () => {
  test('L14 control characters, overrides and line separators are shown, not obeyed', () => {
    expect(safeText('a\x1b[2J\nb\x9b\u202egpj\u2028\ud800')).toBe(
      'a\\x1b[2J\\x0ab\\x9b\\u{202e}gpj\\u{2028}\\u{d800}',
    );
    expect(safeText('Käse 文件 👩‍🚀.txt')).toBe('Käse 文件 👩‍🚀.txt');
  });

  test('L14 no text, however odd, leaves a character that a terminal acts on', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        (text) => !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(safeText(text)),
      ),
      { seed, numRuns: 2000 },
    );
  });

  test('a long name keeps its beginning and its end', () => {
    expect(shortenMiddle('/data/2026/run-17/frame-000123.h5', 21)).toBe('/data/2026…-000123.h5');
    expect(shortenMiddle('short', 5)).toBe('short');
    expect(shortenMiddle('文件文件文件', 7)).toBe('文…件');
    expect(shortenMiddle('abc', 0)).toBe('');
  });

  test('shortened text never takes more columns than there are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(60), (text, columns) => {
        expect(textColumns(shortenMiddle(text, columns))).toBeLessThanOrEqual(columns);
        expect(textColumns(cutEnd(text, columns))).toBeLessThanOrEqual(columns);
      }),
      { seed, numRuns: 1000 },
    );
  });
});

import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { capturedData } from '../../src/job/captured.ts';
import { MARKS, plain, quoted } from '../../src/job/yaml-scalar.ts';

const directory = mkdtempSync(join(tmpdir(), 'bridle-captured-'));
afterAll(() => rmSync(directory, { recursive: true }));

function capture(bytes: Buffer, most?: number): string {
  const path = join(directory, 'output');
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  try {
    return [...capturedData({ fd, size: bytes.length, most }, '      ')].join('');
  } finally {
    closeSync(fd);
  }
}

interface Shown {
  readonly data_truncated: boolean;
  readonly data: string;
}

function read(yaml: string): Shown {
  const text = `- files:\n    stdout:\n${yaml}    stderr:\n      size: 1\n`;
  for (const version of ['1.1', '1.2'] as const) {
    const [{ files }] = parse(text, { version, uniqueKeys: true });
    expect(Object.keys(files)).toEqual(['stdout', 'stderr']);
    expect(Object.keys(files.stdout)).toEqual(['data_truncated', 'data']);
  }
  return parse(text, { version: '1.1' })[0].files.stdout;
}

const shown = (text: string | Buffer, most?: number): Shown => read(capture(Buffer.from(text), most));

describe('captured output', () => {
  test.each([
    ['hello\n', 'hello\n'],
    ['no end', 'no end\n'],
    ['  \t indented\n  more\n', 'indented\n  more\n'],
    ['\n\n  text\n', '\n\ntext\n'],
    ['caf\u00e9 \u{1f600} ok\n', 'caf\u00e9 \u{1f600} ok\n'],
    ['a\x1b[31mred\0\x07\n', 'a[31mred\n'],
    ['a\rb\r\nc\n', 'a\nb\n\nc\n'],
    ['a\u0085b\u2028c\u2029d\n', 'a\nb\nc\nd\n'],
    ['\ufeffa\ufffe\uffffb\n', 'ab\n'],
    ['a: b\n- c\n# d\n', 'a: b\n- c\n# d\n'],
  ])('%j is read as %j', (text, data) => {
    expect(shown(text)).toEqual({ data_truncated: false, data });
  });

  test('bytes that are no UTF-8 are left out, halves of a pair of surrogates as well', () => {
    expect(shown(Buffer.from('61ff62eda0803f80c3', 'hex')).data).toBe('ab?\n');
  });

  test('S13 looks like no record to a search, and reads as it was', () => {
    const text =
      'raw: 7\n  raw:   -1\n- invocation: True\n\tx\n ra\x00w: 3\n---------------pegasus-multipart\n[seqexec-task]\n';
    const yaml = capture(Buffer.from(text));
    expect(yaml).not.toMatch(/raw: *-?\d|- invocation|-{15}pegasus|\[seqexec/);
    expect(read(yaml).data).toBe(text.replace('\x00', ''));
  });

  // Across the end of a read, and across the place up to which a read is written out.
  test.each([3, 66])('S13 a mark %d characters before the end of a read is seen', (before) => {
    const text = `${'x'.repeat(256 * 1024 - before)}raw: 7 ${'y'.repeat(300_000)}\n`;
    const yaml = capture(Buffer.from(text));
    expect(yaml.search(MARKS)).toBe(-1);
    expect(read(yaml).data).toBe(text);
  });

  test('any bytes at all are valid YAML that ends where it should', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '\n',
        ' ',
        '\t',
        '\r',
        '"',
        '\\',
        'raw: 1',
        '\u2028',
        '\u0085',
        '\ufeff',
        '- invocation:',
        ': ',
        '#',
        '\xff',
        '\0',
      ),
      fc.string({ unit: 'binary', maxLength: 8 }),
    );
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }).map((array) => Buffer.from(array)),
      fc.array(piece, { minLength: 1, maxLength: 30 }).map((parts) => Buffer.from(parts.join(''))),
    );
    fc.assert(
      fc.property(bytes, fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined }), (given, most) => {
        const yaml = capture(given, most);
        expect(typeof read(yaml).data).toBe('string');
        expect(yaml.search(MARKS)).toBe(-1);
        expect(
          yaml.split(/[\n\r\x85\u2028\u2029]/).filter((line) => line !== '' && !line.startsWith('      ')),
        ).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test('the last characters are shown, whatever their length in bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', '\u00e9', '\u20ac', '\u{1f600}'), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 60 }),
        (characters, most) => {
          const { data, data_truncated: isCut } = shown(characters.join(''), most);
          expect(data).toBe(`${characters.slice(-most).join('')}\n`);
          expect(isCut).toBe(characters.length > most);
        },
      ),
    );
  });
});

describe('a scalar', () => {
  test('of any bytes reads as one string, and a stray byte as its number', () => {
    const latin = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array).toString('latin1'));
    const text = fc.string({ unit: 'binary' }).map((word) => Buffer.from(word).toString('latin1'));
    fc.assert(
      fc.property(fc.oneof(latin, text), (bytes) => {
        for (const made of [quoted(bytes), plain(bytes)]) {
          expect(made).not.toMatch(/[\n\r\x00-\x08\x7f-\x9f\u2028\u2029]/);
          const keyed = parse(`${made}: ${made}`, { version: '1.1' });
          expect(Object.keys(keyed)).toHaveLength(1);
          expect(typeof Object.values(keyed)[0]).toBe('string');
        }
      }),
      { numRuns: 500 },
    );
    expect(quoted('caf\xe9')).toBe('"caf\\xe9"');
    expect(quoted('caf\xc3\xa9 "x" \\ \t')).toBe('"caf\u00e9 \\"x\\" \\\\ \\t"');
  });

  test.each([
    'true',
    'No',
    'y',
    '12',
    '1e3',
    '0x1',
    '2026-11-22',
    '~',
    '',
    'a: b',
    'a #b',
    'raw: 1',
    ' a',
    'a ',
    '-',
    '.5',
    '*a',
    '=',
    '<<',
  ])('`%s` is quoted', (word) => {
    expect(plain(word)).toMatch(/^"/);
    expect(parse(plain(word), { version: '1.1' })).toBe(word);
  });

  test.each(['/usr/bin/echo', 'in.dat', 'AMD EPYC', 'a:b', './x', 'x-1+2=3'])(
    '`%s` is left as it is',
    (word) => {
      expect(plain(word)).toBe(word);
      expect(parse(word, { version: '1.1' })).toBe(word);
    },
  );
});

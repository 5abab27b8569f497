import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Ini, parseIni } from '../../src/credentials/ini.ts';
import { readOption } from '../../src/credentials/interpolation.ts';
import { TransferError } from '../../src/errors.ts';
import { errorOf, everythingIn, MARK } from './scratch.ts';

const parse = (text: string): Ini => parseIni(text, 'reading `f`');
const read = (text: string, key = 'k', section = 's') => readOption(parse(text), section, key, 'reading `f`');

describe('the format', () => {
  test('keys end at the first = or : and are lower-cased, values keep the rest', () => {
    const text = '[s]\nHeader.X = a=b:c\nother: d = e\n';
    expect(read(text, 'header.x')).toBe('a=b:c');
    expect(read(text, 'other')).toBe('d = e');
  });

  test('whole-line comments are left out, other # and ; belong to the value', () => {
    expect(read('; x\n[s]\n # y\nk = a # b ; c\n')).toBe('a # b ; c');
  });

  test('an indented line continues the value above it, empty lines and comments between', () => {
    expect(read('[s]\nk = a\n  b\n\n# c\n  d\n\n')).toBe('a\nb\n\nd');
  });

  test('keys indented alike are keys of their own', () => {
    expect(read('[s]\n  j = 1\n  k = 2\n')).toBe('2');
  });

  test('carriage returns and a byte order mark do not become part of names or values', () => {
    expect(read('[s]\r\nk = a\r\n')).toBe('a');
    expect(read(new TextDecoder().decode(new TextEncoder().encode('\ufeff[s]\nk = a')))).toBe('a');
  });

  test('section names may hold brackets, colons and slashes', () => {
    const ini = parse('[https://[::1]:8443]\nk = a\n');
    expect([...ini.sections.keys()]).toEqual(['https://[::1]:8443']);
  });

  test('[DEFAULT] fills what a section leaves out, and is no section', () => {
    const text = '[DEFAULT]\nk = of all\nj = of all\n[s]\nj = own\n';
    expect(read(text)).toBe('of all');
    expect(read(text, 'j')).toBe('own');
    expect(parse(text).sections.has('DEFAULT')).toBe(false);
  });
});

describe('references', () => {
  test('%(name)s is another key of the section or of [DEFAULT], %% a percent sign', () => {
    expect(read('[DEFAULT]\na = A\n[s]\nb = %(a)s%(A)s\nk = 100%% %(b)s\n')).toBe('100% AA');
  });

  test('a faulty value does no harm until its key is read', () => {
    expect(read('[s]\nbad = %\nk = a\n')).toBe('a');
  });

  test('references that multiply end in an error, not in memory', async () => {
    const tens = (name: string) => `%(${name})s`.repeat(10);
    const levels = [...'bcdefghi'].map((name, index) => `${name} = ${tens('abcdefgh'[index] ?? 'a')}`);
    const error = await errorOf(() => read(`[s]\na =\n${levels.join('\n')}\nk = ${tens('i')}\n`));
    expect(error.message).toContain('expected at most 1000 references');
    const long = await errorOf(() => read(`[s]\na = ${'x'.repeat(1000)}\nk = ${'%(a)s'.repeat(100)}\n`));
    expect(long.message).toContain('64 KiB');
  });
});

describe('any text', () => {
  const line = fc.oneof(
    fc.constantFrom(
      '[a]',
      '[b',
      '[DEFAULT]',
      'x = 1',
      'X: 2',
      'y=%(x)s',
      'z = %',
      ' more',
      '\t[c]',
      '# d',
      '',
      '=v',
    ),
    fc.string({ unit: 'binary', maxLength: 12 }),
  );
  const text = fc.array(line, { maxLength: 20 }).map((lines) => lines.join('\n'));

  test('is parsed or refused with invalid-request', () => {
    fc.assert(
      fc.property(text, (input) => {
        try {
          const ini = parse(input);
          for (const [name, section] of ini.sections) {
            for (const key of section.keys()) readOption(ini, name, key, 'reading `f`');
          }
        } catch (error) {
          expect(error).toBeInstanceOf(TransferError);
          expect((error as TransferError).code).toBe('invalid-request');
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('S5 a refused file shows no value, whatever is wrong with it', () => {
    const secret = fc.stringMatching(/^[ %()=:[\]"#;a-z\n]{0,12}$/).map((noise) => noise + MARK + noise);
    fc.assert(
      fc.property(fc.array(fc.tuple(line, secret)), (pairs) => {
        const input = `[s]\n${pairs.map(([start, value]) => `${start}\npassword = ${value}`).join('\n')}`;
        try {
          const ini = parse(input);
          for (const name of ini.sections.keys()) readOption(ini, name, 'password', 'reading `f`');
        } catch (error) {
          // A section's name is shown; the generator may have put the mark there.
          const shown = everythingIn(error).replaceAll(/section `\[.*?\]`, key/gs, '');
          expect(shown).not.toContain(MARK);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('a written file reads back as it was', () => {
    const word = fc.stringMatching(/^[a-z0-9.@/_-]{1,10}$/);
    const content = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/).filter((part) => !/^[[#;]/.test(part));
    const value = fc.array(content, { minLength: 1, maxLength: 3 }).map((lines) => lines.join('\n'));
    const sections = fc.dictionary(word, fc.dictionary(word, value, { noNullPrototype: true }), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(
        sections,
        fc.constantFrom(' = ', ':', '='),
        fc.constantFrom('\n', '\r\n'),
        (given, mark, end) => {
          const written = Object.entries(given).flatMap(([name, options]) => [
            `[${name}]`,
            ...Object.entries(options).map(
              ([key, text]) => key + mark + text.replaceAll('%', '%%').replaceAll('\n', `${end}  `),
            ),
          ]);
          const ini = parse(written.join(end));
          const readBack = [...ini.sections].map(([name, options]) => [
            name,
            Object.fromEntries([...options.keys()].map((key) => [key, readOption(ini, name, key, 'f')])),
          ]);
          expect(Object.fromEntries(readBack)).toEqual(given);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('a mebibyte of one character is dealt with in one pass', () => {
    for (const character of [' ', '\n', '[', ']', '%', '=', '\t[', 'a\n', '#', '\r']) {
      const input = `[s]\nk = ${character.repeat(1024 * 1024)}!`;
      try {
        read(input);
      } catch (error) {
        expect(error).toBeInstanceOf(TransferError);
      }
    }
  });
});

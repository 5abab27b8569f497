import { appendFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openCatalogs } from '../../src/integrity/catalogs.ts';
import { indexLines } from '../../src/integrity/line-index.ts';
import { linesOfList } from '../../src/integrity/manifests/list-lines.ts';
import { localLocation } from '../../src/location.ts';
import { scratch } from '../commands/run-command.ts';

const HEX = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);
const MD5 = '01'.repeat(16);

/** Longer than what is kept, by comments that change no line's number when they are short. */
const LONG = '-'.repeat(60_000);
const SHORT = '-';

function scene(lines: readonly string[], options: { name: string; end?: string; lead?: string }) {
  const { name, end = '\n', lead = '' } = options;
  const directory = scratch();
  const write = (filler: string, where: string) => {
    mkdirSync(join(directory, where));
    const comments = Array.from({ length: 40 }, () => `#${filler}${end}`).join('');
    const file = join(directory, where, name);
    writeFileSync(file, `${lead}${lines[0] ?? ''}${end}${comments}${lines.slice(1).join(end)}${end}`);
    return file;
  };
  return { directory, short: write(SHORT, 'short'), long: write(LONG, 'long') };
}

/** What is found of each name, or how finding it fails, and the warnings. */
async function everything(file: string, names: readonly string[]) {
  const { find, warnings, close } = await openCatalogs([file], { directory: '/jobs' });
  const found = names.map((name) => {
    try {
      return find(name, localLocation('/elsewhere')) ?? 'not listed';
    } catch (error) {
      return String(error);
    }
  });
  close();
  return JSON.parse(JSON.stringify({ found, warnings: warnings.toSorted() }).replaceAll(file, 'LIST'));
}

describe('a list too long to be kept says what a short one does', () => {
  const name = fc.constantFrom('a', './a', 'b', 'b//c', 'b/c', 'c\\d', 'd e', 'f');
  const tagged = fc
    .tuple(
      name,
      fc.constantFrom(`SHA256 (N) = ${HEX}`, `SHA256 (N) = ${OTHER}`, `MD5 (N) = ${MD5}`, 'MD5 (N) = 12'),
    )
    .map(([each, line]) => line.replace('N', each));
  const plain = fc
    .tuple(
      fc.constantFrom(HEX, OTHER, HEX.toUpperCase(), 'abc', Buffer.from(HEX, 'hex').toString('base64')),
      name,
    )
    .map(([value, each]) => `${value}  ${each}`);
  const replica = fc
    .tuple(name, fc.constantFrom(HEX, OTHER), fc.constantFrom('', ' size="1"', ' size="2"', ' size="x"'))
    .map(
      ([each, value, size]) =>
        `"${each}" file:///x site="local" checksum.type="sha256" checksum.value="${value}"${size}`,
    );
  const NAMES = ['a', 'b', 'b/c', 'c\\d', 'cd', 'd e', 'f', 'g'];

  test.each([
    ['SHA256SUMS', fc.oneof(plain, plain, tagged, fc.constant('nonsense'))],
    ['x.bsd', tagged],
    ['rc.txt', replica],
  ])('P3 B6 %s, with names that stand there more than once and lines that are wrong', async (file, line) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { minLength: 1, maxLength: 12 }),
        fc.constantFrom('\n', '\r\n'),
        fc.constantFrom('', '\ufeff'),
        async (lines, end, lead) => {
          const first =
            file === 'rc.txt'
              ? `z file:///z site="l" checksum.value="${HEX}"`
              : file === 'x.bsd'
                ? `SHA256 (z) = ${HEX}`
                : `${HEX}  z`;
          const { short, long } = scene([first, ...lines], { name: file, end, lead });
          expect(await everything(long, NAMES)).toEqual(await everything(short, NAMES));
        },
      ),
      { numRuns: 25 },
    );
  });

  test('P3 a last line without an end does not count, nor does a byte order mark within', async () => {
    const { short, long } = scene([`${HEX}  z`, `${HEX}  a`, `\ufeff${HEX}  b`], { name: 'SHA256SUMS' });
    for (const file of [short, long]) appendFileSync(file, `${HEX}  cut`);
    const said = await everything(long, ['a', 'b', 'cut']);
    expect(said).toEqual(await everything(short, ['a', 'b', 'cut']));
    expect(said.found).toEqual([
      expect.objectContaining({ where: '`LIST`, line 42' }),
      expect.stringContaining('expected 64 hexadecimal digits'),
      expect.stringContaining('the line has no end'),
    ]);
  });
});

test('L5 a long list that changes while a run looks things up in it is an error; one that is replaced is not', async () => {
  const { long } = scene([`${HEX}  z`, `${HEX}  a`], { name: 'SHA256SUMS' });
  const { find, close } = await openCatalogs([long], { directory: '/jobs' });
  renameSync(long, `${long}.old`);
  writeFileSync(long, `${OTHER}  a\n`);
  expect(find('a', localLocation('/x'))?.expected).toEqual([{ algorithm: 'sha256', value: HEX }]);
  appendFileSync(`${long}.old`, `${OTHER}  a\n`);
  expect(() => find('a', localLocation('/x'))).toThrow('changed while it was read');
  close();
});

test('P11 a line of any length is read again whole', async () => {
  const name = 'n'.repeat(5000);
  const { long } = scene([`${HEX}  z`, `${OTHER}  ${name}`], { name: 'SHA256SUMS' });
  const { find, close } = await openCatalogs([long], { directory: '/jobs' });
  expect(find(name, localLocation('/x'))?.expected).toEqual([{ algorithm: 'sha256', value: OTHER }]);
  close();
});

test('an index finds each of very many keys, and no other', () => {
  const count = 50_000;
  const bytes = Buffer.from(Array.from({ length: count }, (_, at) => `key${at}\n`).join(''));
  const lines = linesOfList({
    source: bytes,
    blocks: () => [bytes],
    *parse(blocks, cursor) {
      let at = 0;
      let number = 0;
      for (const name of Buffer.concat([...blocks])
        .toString()
        .split('\n')) {
        number += 1;
        if (cursor) Object.assign(cursor, { at, number });
        at += name.length + 1;
        if (name !== '') yield { name, where: '', problem: '' };
      }
    },
  });
  const index = indexLines(lines, { keyOf: ({ name }) => name });
  for (let at = 0; at < count; at += 7) {
    expect(index.find(`key${at}`)).toEqual([{ name: `key${at}`, where: `line ${at + 1}`, problem: '' }]);
  }
  expect(index.find(`key${count}`)).toEqual([]);
  index.close();
});

import { describe, expect, test } from 'vitest';
import { isBelowRoot } from '../../../src/integrity/manifests/names.ts';
import { A, B, inShort, MD5, read } from './reading.ts';

describe('a name that stands more than once', () => {
  test('with the same digest counts once', async () => {
    const text = `${A}  a\n`.repeat(3);
    expect(inShort(await read('sums', text))).toEqual({ files: [`a: sha256 ${A}`], problems: [] });
  });

  test('with digests of two algorithms has both', async () => {
    expect(inShort(await read('sums', `${A}  a\n${B}  b\n${MD5}  a\n`)).files).toEqual([
      `a: sha256 ${A}`,
      `a: md5 ${MD5}`,
      `b: sha256 ${B}`,
    ]);
  });

  test('P1 with two values of one algorithm counts for nothing, and both lines are named', async () => {
    const text = `${A}  a\n${MD5}  a\n${B}  b\n${B}  a\n${A}  a\n`;
    expect(inShort(await read('sums', text))).toEqual({
      files: [`b: sha256 ${B}`],
      problems: [`line 4: contradicts line 1: sha256 \`${B}\` here, \`${A}\` there`],
    });
  });

  test('P1 a digest that was added later can be contradicted, too', async () => {
    const text = `${A}  a\n${MD5}  a\n${'e'.repeat(32)}  a\n`;
    const { files, problems } = inShort(await read('sums', text));
    expect(files).toEqual([]);
    expect(problems[0]).toContain('line 3: contradicts line 2: md5');
  });

  test('with two sizes counts for nothing', async () => {
    const file = (size: number) => ({ name: 'a', size, digests: { sha256: A } });
    const text = JSON.stringify({ 'bridle-checksums': 1, files: [file(1), file(2)] });
    expect(inShort(await read('json', text))).toEqual({
      files: [],
      problems: ['files[1]: contradicts files[0]: 2 bytes here, 1 there'],
    });
  });

  test('a list that repeats one line a great many times is read in no time', async () => {
    const text = `${A}  a\n`.repeat(100_000) + `${B}  a\n`.repeat(2);
    const { entries, problems } = await read('sums', text);
    expect(entries).toEqual([]);
    expect(problems.map(({ where }) => where)).toEqual(['line 100001', 'line 100002']);
  });
});

test('S2 a name that would leave the root is known', () => {
  for (const name of ['a', './a', 'a/b', 'a//b/', '..a', 'a..', '...', ' ', '\\', 'a/./b', '-'])
    expect([name, isBelowRoot(name)]).toEqual([name, true]);
  for (const name of ['', '.', './', '..', '../a', 'a/..', 'a/../b', './../a', '/', '/a', '//a', 'a\0b'])
    expect([name, isBelowRoot(name)]).toEqual([name, false]);
});

test('S2 names are kept as they were written, even those that leave the root', async () => {
  const names = ['../../etc/passwd', '/etc/passwd', 'a/../b', './c'];
  const text = names.map((name) => `${A}  ${name}\n`).join('');
  expect((await read('sums', text)).entries.map(({ name }) => name)).toEqual(names);
});

import { describe, expect, test } from 'vitest';
import { createFilter, type GlobRule } from '../../src/commands/globs.ts';

/** `+glob` includes, `-glob` excludes. */
function filter(...rules: string[]) {
  return createFilter(
    rules.map((rule): GlobRule => ({ include: rule.startsWith('+'), glob: rule.slice(1) })),
  );
}

describe('a glob', () => {
  test.each([
    ['*.dat', ['a.dat', 'd/a.dat', '.dat', 'a.dat/below'], ['a.data']],
    ['a?', ['ab', 'd/a?'], ['a', 'abc', 'a/']],
    ['/a', ['a'], ['d/a']],
    ['d/a', ['d/a'], ['a', 'x/d/a', 'd/aa']],
    ['d/*', ['d/a', 'd/e/below'], ['d', 'x/d/a']],
    ['d/*.x', ['d/a.x'], ['d/e/a.x', 'd']],
    ['d/**', ['d/a', 'd/e/a'], ['d', 'x/d/a']],
    ['**/a', ['a', 'd/a', 'd/e/a'], ['da']],
    ['d/**/a', ['d/a', 'd/e/a', 'd/e/f/a'], ['da', 'd/ea']],
    ['[a-c]x', ['ax', 'cx'], ['dx', 'x']],
    ['[!a-c]x', ['dx', '-x'], ['ax', 'x']],
    ['[]x]', [']', 'x'], ['y']],
    ['[^a]', ['^', 'b'], ['a']],
    ['\\*', ['*'], ['a']],
    ['a.b', ['a.b'], ['axb']],
    ['(a|b)+$', ['(a|b)+$'], ['a']],
    ['ü*', ['ü', 'üx', 'ü\ny'], ['u']],
    ['*', ['a', '\n', '.a'], []],
  ])('%s', (glob, matching, others) => {
    const isLeftOut = (path: string) => !filter(`-${glob}`)(path, false);
    for (const path of matching) expect([path, isLeftOut(path)]).toEqual([path, true]);
    for (const path of others) expect([path, isLeftOut(path)]).toEqual([path, false]);
  });

  test('that ends in a slash is of directories only, and takes with it what is below', () => {
    const wanted = filter('-tmp/');
    expect([
      wanted('tmp', false),
      wanted('tmp', true),
      wanted('d/tmp', true),
      wanted('d/tmp/e/f', false),
    ]).toEqual([true, false, false, false]);
  });

  test('that is none is refused', () => {
    expect(() => filter('-[z-a]')).toThrow('expected a glob such as `*.dat`, got `[z-a]`');
  });
});

describe('among several', () => {
  test('the first that matches decides', () => {
    const wanted = filter('+keep.log', '-*.log', '+*');
    expect(['keep.log', 'a.log', 'a'].map((path) => wanted(path, false))).toEqual([true, false, true]);
  });

  test('nothing is left out without any', () => {
    expect(filter()('a', false)).toBe(true);
  });

  test('includes alone leave everything else out, but not the way to it', () => {
    const wanted = filter('+*.dat');
    expect([wanted('a.dat', false), wanted('d/a.dat', false), wanted('a', false), wanted('d', true)]).toEqual(
      [true, true, false, true],
    );
  });

  test('a directory that is left out cannot be entered by a later include', () => {
    expect(filter('-d', '+d/a')('d/a', false)).toBe(false);
    expect(filter('+d/a', '-d')('d/a', false)).toBe(false);
  });
});

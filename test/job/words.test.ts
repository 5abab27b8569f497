import { describe, expect, test } from 'vitest';
import { expandArgument, MOST_ARGUMENT_BYTES, splitCommand } from '../../src/job/words.ts';

const VALUES: Readonly<Record<string, string>> = { A: 'v a l', A_1: 'one', Q: '"', E: '' };
const lookup = (name: string) => VALUES[name];
const expand = (argument: string) => expandArgument(argument, lookup);
const split = (line: string) => splitCommand(line, lookup);

describe('an argument of the main job', () => {
  test.each([
    ['plain  text\t', 'plain  text\t'],
    ['$A', 'v a l'],
    ['x$A.y', 'xv a l.y'],
    ['$A_1$A_1', 'oneone'],
    ['${A_1}x${E}', 'onex'],
    ['"$A"', '"v a l"'],
    ["'$A'", "'$A'"],
    ["'$A' $A", "'$A' v a l"],
    ['\\$A', '$A'],
    ['\\$\\$', '$$'],
    ['a\\"b', 'a"b'],
    ["it\\'s", "it's"],
    ['"a\\"b"', '"a\\"b"'],
    ["'a\\'b'", "'a\\'b'"],
    ['"it\'s"', '"it\'s"'],
    ['a\\nb', 'anb'],
    ['{}', '{}'],
    ['$Q$A', '"v a l'],
    ['\xff$A\xc3', '\xffv a l\xc3'],
  ])('`%s` becomes `%s`', (given, made) => {
    expect(expand(given)).toBe(made);
  });

  test.each([
    ['$', 'illegal variable name'],
    ['$$', 'illegal variable name'],
    ['$.', 'illegal variable name'],
    ['"$"', 'illegal variable name'],
    ['${A', 'missing closing brace'],
    ['${}', 'missing closing brace'],
    ['"a', 'missing closing quote'],
    ['"a\\"', 'missing closing quote'],
    ["it's", 'missing closing apostrophe'],
    ['a\\', 'a backslash at the end'],
    ['$NOT_SET', 'Variable $NOT_SET does not exist'],
    ['x'.repeat(MOST_ARGUMENT_BYTES + 1), 'Argument too long'],
  ])('`%.40s` is refused: %s', (given, why) => {
    expect(() => expand(given)).toThrow(why);
  });
});

describe('the command line of a side job', () => {
  test.each([
    ['', []],
    [' \t ', []],
    ['/bin/echo  a\tb\n', ['/bin/echo', 'a', 'b']],
    ['a "b c" \'d e\'', ['a', 'b c', 'd e']],
    ['a"b c"d', ['ab cd']],
    ['"" \'\'', ['', '']],
    ['$A b', ['v a l', 'b']],
    ['"$A"\'$A\'', ['v a l$A']],
    ['a\\ b', ['a b']],
    ['"\\n\\t\\x\\$"', ['\n\tx$']],
    ["'a\\'b'", ["a'b"]],
    ['\\n', ['n']],
    ['${A_1}', ['one']],
  ])('`%s` has the words %j', (line, words) => {
    expect(split(line)).toEqual(words);
  });

  test.each([
    ['a "b', 'missing closing quote'],
    ["a 'b", 'missing closing apostrophe'],
    ['a \\', 'a backslash at the end'],
    ['a $NOT_SET', 'Variable $NOT_SET does not exist'],
    ['$$', 'illegal variable name'],
  ])('`%s` is refused: %s', (line, why) => {
    expect(() => split(line)).toThrow(why);
  });
});

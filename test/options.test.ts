import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Option, OptionTable } from '../src/commands/option.ts';
import * as tables from '../src/commands/options.ts';
import { CP_OPTIONS, LEGACY_OPTIONS, TRANSFER_OPTIONS } from '../src/commands/options.ts';
import { parseOptions } from '../src/commands/parse-options.ts';
import { TransferError } from '../src/errors.ts';

const SEED = 20_260_712;
const all: readonly [string, OptionTable][] = Object.entries(tables);
const cp = (args: readonly string[], env: Record<string, string> = {}) =>
  parseOptions(args, CP_OPTIONS, { env });
const legacy = (args: readonly string[]) => parseOptions(args, LEGACY_OPTIONS, { env: {}, prefixes: true });

describe.each(all)('the table %s', (_, table) => {
  const options: readonly Option<unknown>[] = Object.values(table);

  test('has each name and letter once, and none that means help', () => {
    const names = options.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
    const letters = options.flatMap(({ letter }) => (letter === undefined ? [] : [letter]));
    expect(new Set([...names, 'help']).size).toBe(names.length + 1);
    expect(new Set([...letters, 'h']).size).toBe(letters.length + 1);
  });

  test('has variables that are named as their options, and help of at most 50 columns', () => {
    for (const { name, env, help } of options) {
      if (env !== undefined) expect(env).toBe(`BRIDLE_${name.toUpperCase().replaceAll('-', '_')}`);
      expect(help.length).toBeLessThanOrEqual(50);
      expect(help).toMatch(/^[^A-Z].*[^.]$/);
    }
  });

  test('has initial values that its own parser gives for what the help shows', () => {
    for (const option of options) {
      if (option.shown === undefined || option.initial === undefined || option.name === 'threads') continue;
      expect(option.parse(option.shown, option.initial)).toEqual(option.initial);
    }
  });
});

describe('values', () => {
  test.each([
    [['--threads', '4'], { threads: 4 }],
    [['--threads=4'], { threads: 4 }],
    [['-n', '4'], { threads: 4 }],
    [['-n4'], { threads: 4 }],
    [['-rpn4'], { recursive: true, preserve: true, threads: 4 }],
    [['--max-attempts', '7'], { attempts: 7 }],
    [['--memory', '1G'], { memory: 1024 ** 3 }],
    [['--memory', '4MiB'], { memory: 4 * 1024 ** 2 }],
    [['--bwlimit', '1.5k'], { bandwidth: 1536 }],
    [['--bwlimit', '10M/s'], { bandwidth: 10 * 1024 ** 2 }],
    [['--stall-timeout', '90'], { stallTimeout: 90 }],
    [['--stall-timeout', '0.5s'], { stallTimeout: 0.5 }],
    [['--item-timeout', '6h'], { itemTimeout: 21_600 }],
    [['--retry-not-found', '0'], { retryNotFound: 0 }],
    [['--checksum', 'MD5,sha-256,md5'], { checksum: ['md5', 'sha256'] }],
    [['--ca', 'a', '--ca', 'b'], { ca: ['a', 'b'] }],
    [['--threads', '1', '--threads', '2'], { threads: 2 }],
  ])('%j', (args, expected) => {
    expect(cp(args).values).toMatchObject(expected);
  });

  test.each([
    [['--threads', '0'], '--threads: expected a whole number from 1 to 1024, got `0`'],
    [['--threads', '1025'], '--threads: expected a whole number from 1 to 1024, got `1025`'],
    [['--threads', '4.0'], '--threads: expected a whole number from 1 to 1024, got `4.0`'],
    [['--threads='], '--threads: expected a whole number from 1 to 1024, got ``'],
    [['-n'], '-n: expected a whole number from 1 to 1024, got nothing'],
    [['--memory', '1M'], '--memory: expected a size of at least 4M, such as `64M`, got `1M`'],
    [
      ['--bwlimit', '10Mb/h'],
      '--bwlimit: expected bytes a second from 1K to 1024G, such as `10M`, got `10Mb/h`',
    ],
    [
      ['--stall-timeout', '0'],
      '--stall-timeout: expected a duration such as `90`, `90s`, `5m` or `6h`, up to 24 days, got `0`',
    ],
    [
      ['--item-timeout', '25d'],
      '--item-timeout: expected a duration such as `90`, `90s`, `5m` or `6h`, up to 24 days, got `25d`',
    ],
    [
      ['--checksum', 'sha3'],
      '--checksum: expected names of sha256, sha512, blake3, sha1, md5, xxh3, crc32, crc32c, crc64nvme, adler32, got `sha3`',
    ],
    [['--report', ''], '--report: expected a name, got ``'],
    [['--quiet=yes'], '--quiet: expected no value, got `yes`'],
    [['--thr', '4'], 'unknown option `--thr`, did you mean `--threads`?'],
    [['-x'], 'unknown option `-x`'],
  ])('%j is refused', (args, message) => {
    expect(() => cp(args)).toThrow(message);
  });

  test('come from the command line, else from the environment, else from the table', () => {
    const env = { BRIDLE_THREADS: '3', BRIDLE_CA: 'x', BRIDLE_MEMORY: '' };
    expect(cp([], env).values).toMatchObject({ threads: 3, ca: ['x'], memory: 64 * 1024 ** 2 });
    expect(cp(['-n', '5', '--ca', 'y'], env).values).toMatchObject({ threads: 5, ca: ['y'] });
    expect(() => cp([], { BRIDLE_THREADS: 'x' })).toThrow('BRIDLE_THREADS: expected a whole number');
  });

  test('stand anywhere among the arguments, and end at `--`', () => {
    const { positionals, values } = cp(['a', '-r', 'b', '-', '--', '-n', '--threads']);
    expect(positionals).toEqual(['a', 'b', '-', '-n', '--threads']);
    expect(values.recursive).toBe(true);
  });

  test('keep the order of globs, included and excluded', () => {
    const { given } = cp(['--exclude', 'a', '--include', 'b', '--exclude=c']);
    expect(given).toEqual([
      { key: 'exclude', text: 'a' },
      { key: 'include', text: 'b' },
      { key: 'exclude', text: 'c' },
    ]);
  });
});

describe('the drop-in', () => {
  test.each([
    [['--th', '4'], { threads: 4 }],
    [['--max=2'], { maxAttempts: 2 }],
    [['--fi', 'x'], { file: 'x' }],
    [['-sdn4'], { symlink: true, debug: true, threads: 4 }],
    [['-fx'], { file: 'x' }],
  ])('takes %j', (args, expected) => {
    expect(legacy(args).values).toMatchObject(expected);
  });

  test('takes any part of a name that means one option only', () => {
    const names = Object.values(LEGACY_OPTIONS).map(({ name }) => name);
    for (const name of [...names, 'help']) {
      for (let length = 1; length <= name.length; length += 1) {
        const part = name.slice(0, length);
        const others = [...names, 'help'].filter((other) => other !== name && other.startsWith(part));
        if (others.length === 0) expect(() => legacy([`--${part}`, '1'])).not.toThrow('option');
      }
    }
  });
});

test(`no arguments make the parser fail with anything but a message (seed ${SEED})`, () => {
  const words = [
    '--threads',
    '--threads=',
    '-n',
    '--',
    '-',
    '--quiet',
    '-rq',
    '--memory=',
    '--include',
    '-h',
  ];
  const argument = fc.oneof(
    fc.string(),
    fc.constantFrom(...words),
    fc.constantFrom(...words).chain((w) => fc.string().map((s) => w + s)),
  );
  fc.assert(
    fc.property(fc.array(argument, { maxLength: 6 }), fc.boolean(), (args, prefixes) => {
      try {
        parseOptions(args, TRANSFER_OPTIONS, { env: {}, prefixes });
      } catch (error) {
        expect(error).toBeInstanceOf(TransferError);
        expect((error as TransferError).code).toBe('invalid-request');
      }
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

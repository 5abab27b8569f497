import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bridle, scratch } from './run-command.ts';

const hex = (text: string, algorithm = 'sha256') => createHash(algorithm).update(text).digest('hex');

const LINES = [
  `${hex('a')}  a`,
  `${hex('b')}  ./b`,
  'no line of sums',
  `${hex('X')}  twice`,
  `${hex('b')}  b`,
  `${hex('c')}  c`,
  `${hex('Y')}  twice`,
  `${hex('twice')}  x//../other`,
  `${hex('d', 'md5')}  d`,
  `${hex('gone')}  gone`,
  `${hex('d')}  d`,
  `${hex('u')}  http://[/u`,
  `${hex('a')}  a`,
  `${hex('f')}  f`,
];

/** With `filler` in the comments between, which changes no line's number. */
function scene(filler: string) {
  const cwd = scratch();
  for (const name of ['a', 'b', 'c', 'd', 'twice']) writeFileSync(join(cwd, name), name);
  writeFileSync(join(cwd, 'f'), 'F');
  const list = LINES.map((line) => `${line}\n${`#${filler}\n`.repeat(40)}`).join('');
  writeFileSync(join(cwd, 'SHA256SUMS'), list);
  return { cwd, bytes: list.length };
}

test('P3 B6 a list too long to be kept is verified as a short one, repeated names and bad lines included', async () => {
  const short = scene('');
  const long = scene('-'.repeat(5000));
  expect(long.bytes).toBeGreaterThan(2 * 1024 * 1024);
  const runs = await Promise.all(
    [short, long].map(async ({ cwd }) => {
      const run = await bridle(['verify', '-v', 'SHA256SUMS'], { cwd });
      return JSON.parse(JSON.stringify(run).replaceAll(cwd, '/here'));
    }),
  );
  expect(runs[1]).toEqual(runs[0]);
  const { status, stdout, stderr } = runs[0];
  expect(status).toBe(1);
  expect(stdout.split('\n')).toEqual([
    expect.stringContaining('SHA256SUMS: line 83: NOT VERIFIED, '),
    expect.stringContaining('SHA256SUMS: line 329: NOT VERIFIED, expected 64 hexadecimal digits'),
    expect.stringMatching(/^http:\/\/\[\/u: NOT VERIFIED, /),
    expect.stringContaining(
      `SHA256SUMS: line 247: NOT VERIFIED, contradicts line 124: sha256 \`${hex('Y')}\``,
    ),
    'a: OK, sha256',
    './b: OK, sha256',
    'c: OK, sha256',
    expect.stringMatching(/^x\/\/\.\.\/other: MISSING/),
    expect.stringMatching(/^gone: MISSING/),
    'd: OK, sha256',
    expect.stringContaining('f: WRONG'),
    '',
  ]);
  expect(stderr).toBe('4 proven, 1 wrong, 2 missing, 4 not verified\n');
});

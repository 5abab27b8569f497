import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ManifestEntry } from '../../../src/integrity/manifests/manifest.ts';
import { read, write } from './reading.ts';

/** Names that lists of digests have been caught out by. */
const NAMES = [
  'plain',
  'with space',
  ' leading and trailing ',
  '*binary',
  '-dash',
  '--check',
  "it's",
  '"quoted"',
  'new\nline',
  'carriage\rreturn',
  'at the end\r',
  'back\\slash',
  '\\n',
  '\\',
  '# comment',
  'SHA256 (x) = y',
  'paren)',
  '%0A',
  'tab\there',
  'émoji 😀',
  `${'n'.repeat(251)}😀`,
];

const ALGORITHMS = ['md5', 'sha1', 'sha256', 'sha512'] as const;

let place = '';
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'manifests-'));
  for (const name of NAMES) writeFileSync(join(place, name), `content of ${name}`);
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, {
    cwd: place,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
  });
}

function expected(algorithm: (typeof ALGORITHMS)[number], names = NAMES): Omit<ManifestEntry, 'where'>[] {
  return names.map((name) => {
    const value = createHash(algorithm).update(`content of ${name}`).digest('hex');
    return { name, digests: [{ algorithm, value }] };
  });
}

async function namesAndDigests(format: 'sums' | 'bsd', text: string) {
  const { entries, problems } = await read(format, text);
  expect(problems).toEqual([]);
  return entries.map(({ name, digests }) => ({ name, digests }));
}

test.each(ALGORITHMS)('what %ssum writes is read, whatever the names', async (algorithm) => {
  const program = `${algorithm}sum`;
  expect(await namesAndDigests('sums', run(program, '--', ...NAMES))).toEqual(expected(algorithm));
  expect(await namesAndDigests('sums', run(program, '--binary', '--', ...NAMES))).toEqual(
    expected(algorithm),
  );
  expect(await namesAndDigests('bsd', run(program, '--tag', '--', ...NAMES))).toEqual(expected(algorithm));
});

test.each(ALGORITHMS)(
  'what is written is what %ssum writes, byte for byte, and it checks it',
  (algorithm) => {
    const program = `${algorithm}sum`;
    const text = write('sums', expected(algorithm));
    expect(text).toBe(run(program, '--', ...NAMES));
    const tagged = write('bsd', expected(algorithm));
    expect(tagged).toBe(run(program, '--tag', '--', ...NAMES));
    for (const list of [text, tagged]) {
      writeFileSync(join(place, 'list'), list);
      expect(run(program, '--check', '--strict', 'list').match(/: OK$/gm)).toHaveLength(NAMES.length);
    }
  },
);

test('a file called `-` is written so that its readers do not wait for standard input', () => {
  writeFileSync(join(place, '-'), 'dash');
  const value = createHash('sha256').update('dash').digest('hex');
  const text = write('sums', [{ name: '-', digests: [{ algorithm: 'sha256', value }] }]);
  writeFileSync(join(place, 'list'), text);
  expect(run('sha256sum', '--check', '--strict', 'list')).toBe('./-: OK\n');
});

test('what cksum writes is read, of an algorithm where it has any (9.0)', async () => {
  const hasAlgorithms = /\) (?:9|\d\d)\./.test(run('cksum', '--version'));
  const [program, ...args] = hasAlgorithms ? ['cksum', '-a', 'sha512'] : ['sha512sum', '--tag'];
  const text = run(program ?? '', ...args, '--', ...NAMES);
  expect(await namesAndDigests('bsd', text)).toEqual(expected('sha512'));
});

test('what openssl writes is read, of names that it does not break', async () => {
  const names = NAMES.filter((name) => !/[\n\r]/.test(name) && !name.startsWith('-'));
  for (const algorithm of ALGORITHMS) {
    const text = run('openssl', 'dgst', `-${algorithm}`, ...names);
    expect(await namesAndDigests('bsd', text)).toEqual(expected(algorithm, names));
  }
});

test('a list that came over Windows is read as the GNU tools read it', async () => {
  const text = run('sha256sum', '--', ...NAMES).replaceAll('\n', '\r\n');
  expect(await namesAndDigests('sums', `\ufeff${text}`)).toEqual(expected('sha256'));
  writeFileSync(join(place, 'list'), text);
  expect(run('sha256sum', '--check', '--strict', 'list').match(/: OK$/gm)).toHaveLength(NAMES.length);
});

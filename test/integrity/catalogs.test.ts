import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openCatalogs } from '../../src/integrity/catalogs.ts';
import { localLocation, parseUrl } from '../../src/location.ts';
import { bridle, entry, scratch } from '../commands/run-command.ts';
import { sha256 } from '../faults/scene.ts';

const CONTENT = Buffer.from('what it is');
const RIGHT = sha256(CONTENT);
const WRONG = 'f'.repeat(64);

function catalog(lines: string, name = 'SHA256SUMS') {
  const directory = scratch();
  writeFileSync(join(directory, name), lines);
  return { directory, file: join(directory, name) };
}

describe('what is listed is found', () => {
  test.each<[string, string, (directory: string) => string]>([
    ['by a path relative to the current directory', 'out/a', (directory) => `${directory}/here/out/a`],
    ['by a path relative to the catalog', './out//a', (directory) => `${directory}/out/a`],
    ['by an absolute path', '/data/a', () => '/data/a'],
    ['by a file URL', 'file:///data/a', () => '/data/x/../a'],
  ])('%s', async (_, name, destination) => {
    const { directory, file } = catalog(`${RIGHT}  ${name}\n`);
    const { find } = await openCatalogs([file], { directory: join(directory, 'here') });
    const found = find('', localLocation(destination(directory)));
    expect(found?.expected).toEqual([{ algorithm: 'sha256', value: RIGHT }]);
    expect(find('', localLocation('/elsewhere/a'))).toBeUndefined();
  });

  test('by logical name, and by URL', async () => {
    const { directory, file } = catalog(`${RIGHT}  f.a\n${WRONG}  https://host/data/b\n`);
    const { find } = await openCatalogs([file], { directory });
    const { location } = parseUrl('https://user:secret@host/data/b');
    expect(find('f.a', localLocation('/tmp/x'))?.expected[0]?.value).toBe(RIGHT);
    expect(find('', location)?.expected[0]?.value).toBe(WRONG);
  });

  test('beside its catalog first, where two files have the name', async () => {
    const { directory, file } = catalog(`${RIGHT}  a\n`);
    const { find } = await openCatalogs([file], { directory: join(directory, 'here') });
    expect(find('', localLocation(join(directory, 'a')))).toBeDefined();
    expect(find('', localLocation(join(directory, 'here/a')))).toBeDefined();
  });

  test.each([
    ['a directory', 'to', 'to/deep/a', './deep/a'],
    ['a file', 'to/a', 'to/a', './a'],
    ['a directory and its own name in it', 'to', 'to/tree/a', 'tree/a'],
    ['a directory that a tree goes to', 'to', 'to/tree/deep/a', './deep/a'],
    ['a directory that is made', 'to/tree', 'to/tree/a', 'tree/a'],
  ])('relative to where it goes, to %s', async (_, to, destination, name) => {
    const { directory, file } = catalog(`${RIGHT}  ${name}\n`);
    const goal = { place: localLocation(to), trees: new Set(['tree']) };
    const { find } = await openCatalogs([file], { directory: join(directory, 'here'), to: goal });
    const at = (path: string) => localLocation(join(directory, 'here', path));
    expect(find('', at(destination))?.expected[0]?.value).toBe(RIGHT);
    expect(find('', at('elsewhere/a'))).toBeUndefined();
  });

  test('relative to where it goes on a service', async () => {
    const { directory, file } = catalog(`${RIGHT}  ./a b\n`);
    const at = (url: string) => parseUrl(url).location;
    const { find } = await openCatalogs([file], {
      directory,
      to: { place: at('dav://host/to/'), trees: new Set() },
    });
    expect(find('', at('dav://host/to/a%20b'))?.expected[0]?.value).toBe(RIGHT);
    expect(find('', at('dav://other/to/a%20b'))).toBeUndefined();
  });

  test('where it goes only when nothing is said of the place itself', async () => {
    const { directory, file } = catalog(`${WRONG}  a\n${RIGHT}  to/a\n`);
    const to = { place: localLocation(join(directory, 'to')), trees: new Set<string>() };
    const { find } = await openCatalogs([file], { directory, to });
    expect(find('', localLocation(join(directory, 'to/a')))?.expected[0]?.value).toBe(RIGHT);
  });

  test('with all digests of all catalogs, and its size', async () => {
    const { directory, file } = catalog(`${RIGHT}  a\n`);
    writeFileSync(join(directory, 'MD5SUMS'), `${'a'.repeat(32)}  a\n`);
    const meta = [{ _type: 'file', _id: 'a', _attributes: { 'checksum.value': RIGHT, size: '10' } }];
    writeFileSync(join(directory, 'a.meta'), JSON.stringify(meta));
    const files = [file, join(directory, 'MD5SUMS'), join(directory, 'a.meta')];
    const { find } = await openCatalogs(files, { directory });
    const found = find('a', localLocation('/x'));
    expect(found?.expected.map(({ algorithm }) => algorithm)).toEqual(['sha256', 'md5']);
    expect(found?.size).toBe(10);
  });
});

test('two catalogs that say different things are an error that names both', async () => {
  const one = catalog(`${RIGHT}  a\n`);
  const other = catalog(`\n${WRONG}  a\n`);
  const { find } = await openCatalogs([one.file, other.file], { directory: one.directory });
  expect(() => find('a', localLocation('/x'))).toThrow(
    `checksum of \`/x\`: \`${one.file}\`, line 1 says sha256 ${RIGHT}, \`${other.file}\`, line 2 says sha256 ${WRONG}`,
  );
});

test('B6 a line that cannot be used is told once, and its file does not pass for one that is not listed', async () => {
  const { directory, file } = catalog(`abc  a\n${RIGHT}  b\n${WRONG}  b\nnonsense\n`);
  const { find, warnings } = await openCatalogs([file], { directory });
  expect(warnings).toHaveLength(3);
  expect(warnings[0]).toContain('line 1');
  expect(() => find('b', localLocation('/x'))).toThrow(/contradicts line 2/);
  expect(find('c', localLocation('/x'))).toBeUndefined();
});

test('B3 a line for each of a million faults is not told', async () => {
  const { directory, file } = catalog('nonsense\n'.repeat(1000), 'x.sha256');
  writeFileSync(file, `${RIGHT}  a\n${'nonsense\n'.repeat(1000)}`);
  const { warnings } = await openCatalogs([file], { directory });
  expect(warnings).toHaveLength(101);
  expect(warnings.at(-1)).toContain('900 more');
});

test('B6 any names are found again, and no others', async () => {
  const name = fc
    .array(fc.stringMatching(/^[a-z0-9 '"\\#%\n-]{1,8}$/), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join('/'));
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 5 }), async (names) => {
      const entries = names.map((each, at) => ({
        name: each,
        digests: [{ algorithm: 'crc32' as const, value: String(at).padStart(8, '0') }],
        where: `line ${at}`,
      }));
      const file = catalog('').file;
      const read = async () => ({ format: 'json' as const, entries, problems: [] });
      const { find } = await openCatalogs([file], { directory: '/jobs/here', read });
      for (const [at, each] of names.entries()) {
        const found = find('', localLocation(`/jobs/here/${each}`));
        expect(found?.expected[0]?.value).toBe(String(at).padStart(8, '0'));
      }
      expect(find('', localLocation('/jobs/here/UPPER'))).toBeUndefined();
    }),
    { numRuns: 50 },
  );
});

describe('bridle', () => {
  function prepare(lines: string) {
    const cwd = scratch();
    writeFileSync(join(cwd, 'from'), CONTENT);
    mkdirSync(join(cwd, 'out'));
    writeFileSync(join(cwd, 'SHA256SUMS'), lines);
    return cwd;
  }

  test('P1 cp --checksums: what is listed is verified before it is visible, what is not listed is copied', async () => {
    const cwd = prepare(`${WRONG}  out/bad\n${RIGHT}  out/good\n`);
    const args = (name: string) => ['cp', '--checksums', 'SHA256SUMS', '--report', 'report', 'from', name];
    const bad = await bridle(args('out/bad'), { cwd });
    expect(bad.status).toBe(1);
    expect(bad.stderr).toContain(`expected sha256 ${WRONG}`);
    expect(existsSync(join(cwd, 'out/bad'))).toBe(false);
    expect((await bridle(args('out/good'), { cwd })).status).toBe(0);
    expect(readFileSync(join(cwd, 'report'), 'utf8')).toContain(`"grade":"end-to-end"`);
    expect((await bridle(args('out/other'), { cwd })).status).toBe(0);
  });

  test('P5 transfer --checksums: an entry whose own checksum says something else fails alone, naming both', async () => {
    const cwd = prepare(`${RIGHT}  f.a\n${RIGHT}  f.b\n`);
    const list = [
      entry(`${cwd}/from`, `${cwd}/out/a`, { lfn: 'f.a', checksum: { sha256: WRONG } }),
      entry(`${cwd}/from`, `${cwd}/out/b`, { lfn: 'f.b', checksum: { sha256: RIGHT }, size: 10 }),
    ];
    const { status, stderr } = await bridle(['transfer', '--checksums', 'SHA256SUMS'], {
      cwd,
      input: JSON.stringify(list),
    });
    expect(status).toBe(1);
    expect(stderr).toContain(
      `checksum of \`f.a\`: the entry itself says sha256 ${WRONG}, \`SHA256SUMS\`, line 1 says sha256 ${RIGHT}`,
    );
    expect(existsSync(join(cwd, 'out/a'))).toBe(false);
    expect(readFileSync(join(cwd, 'out/b'))).toEqual(CONTENT);
  });

  test('B6 a catalog that is none, or is not there, is a mistake of the call: nothing starts', async () => {
    const cwd = prepare('what is this\n');
    writeFileSync(join(cwd, 'list'), 'what is this\n');
    for (const [file, text] of [
      ['list', 'nothing tells the format'],
      ['nope', 'no such file'],
    ] as const) {
      const { status, stderr } = await bridle(['cp', '--checksums', file, 'from', 'out/a'], { cwd });
      expect(status).toBe(2);
      expect(stderr).toContain(`reading the checksums in \`${file}\``);
      expect(stderr).toContain(text);
      expect(existsSync(join(cwd, 'out/a'))).toBe(false);
    }
  });

  test('cp --dry-run says that the bytes will pass through, for the digest that is listed', async () => {
    const cwd = prepare(`${RIGHT}  out/a\n`);
    const { stdout } = await bridle(['cp', '--dry-run', '--checksums', 'SHA256SUMS', 'from', 'out/a'], {
      cwd,
    });
    expect(stdout).toContain('stream, a digest was asked for');
  });
});

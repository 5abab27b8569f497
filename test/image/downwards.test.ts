import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import type { Layer } from '../../src/image/image.ts';
import { flattenDownwards } from '../../src/image/layers/downwards.ts';
import { type FlattenOptions, flatten } from '../../src/image/layers/flatten.ts';
import { type Read, readAll, type Written } from './archives.ts';
import { layer, layerOf, sha256 } from './layer.ts';

const { signal } = new AbortController();

const file = (name: string, data = name): Written => ({ name, data });
const directory = (name: string, mode = 0o755): Written => ({ name, type: 'directory', mode });
const symlink = (name: string, link: string): Written => ({ name, type: 'symlink', link });
const hardlink = (name: string, link: string): Written => ({ name, type: 'hardlink', link });

/** What comes in which order; undefined when it was misjudged. */
async function downwards(all: readonly Layer[], options: FlattenOptions = {}): Promise<Read[] | undefined> {
  let isMisjudged = false;
  const onMisjudged = () => {
    isMisjudged = true;
  };
  const read = await readAll(flattenDownwards(all, signal, { ...options, onMisjudged }), { isProven: true });
  requireOneOfEach(read);
  return isMisjudged ? undefined : read;
}

/** What a packer takes: no name twice, nothing below a file, links to what is there. Parents may come late. */
function requireOneOfEach(read: readonly Read[]): void {
  const nodes = new Map<string, boolean>();
  for (const { name, type, link } of read) {
    const path = name.replace(/\/$/, '');
    const parts = path.split('/');
    expect(nodes.has(path) && !(nodes.get(path) && type === 'directory'), `${path} twice`).toBe(false);
    if (type === 'hardlink') expect(nodes.get(link), `${path} to ${link}`).toBe(false);
    for (let length = 1; length < parts.length; length += 1) {
      const parent = parts.slice(0, length).join('/');
      expect(nodes.get(parent) ?? true, `${path} below ${parent}`).toBe(true);
      nodes.set(parent, true);
    }
    nodes.set(path, type === 'directory');
  }
}

const names = async (...all: readonly Layer[]) => (await downwards(all))?.map(({ name }) => name);

/** A file system without an order: each path, and which of them are one file. */
function tree(read: readonly Read[]): unknown[] {
  const first = new Map<string, Read>();
  for (const one of read) first.set(one.name, one.type === 'hardlink' ? (first.get(one.link) ?? one) : one);
  const others = (of: Read) => [...first].filter(([, one]) => one === of).map(([name]) => name);
  return [...first]
    .map(([name, one]) => ({
      ...one,
      name,
      link: one.type === 'hardlink' ? '' : one.link,
      all: others(one).sort(),
    }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

describe('layers that are read from the highest down', () => {
  test('give each file that remains as it is met, each layer read once, and directories behind', async () => {
    const below = layer(directory('etc/', 0o700), file('etc/a', 'old'), file('etc/b'), file('etc/empty', ''));
    const above = layer(directory('etc/', 0o711), file('etc/a', 'new'), hardlink('etc/c', 'etc/a'));
    expect(await downwards([below, above])).toMatchObject([
      { name: 'etc/a', data: 'new' },
      { name: 'etc/b', data: 'etc/b' },
      { name: 'etc/', mode: 0o711 },
      { name: 'etc/empty', data: '' },
      { name: 'etc/c', link: 'etc/a' },
    ]);
    expect([below.reads(), above.reads()]).toEqual([1, 1]);
  });

  test.each([
    ['a whiteout', [file('d/.wh.x')], ['d/y', 'd/']],
    ['a whiteout of the directory', [file('.wh.d')], []],
    ['an opaque directory', [file('d/z'), file('d/.wh..wh..opq')], ['d/z', 'd/']],
    ['an opaque root', [file('.wh..wh..opq'), file('z')], ['z']],
    ['a link in the place of its directory', [symlink('d', 'e')], ['d']],
    ['a directory in its place', [directory('d/x/')], ['d/y', 'd/', 'd/x/']],
    ['a file below its name', [file('d/x/z')], ['d/x/z', 'd/y', 'd/', 'd/x/']],
  ])('give nothing that is hidden by %s', async (_, above, expected) => {
    expect(await names(layer(file('d/x'), file('d/y')), layer(...above))).toEqual(expected);
  });

  test('give what a whiteout of the same layer does not hide', async () => {
    const both = layer(file('.wh.x'), file('x'));
    expect(await names(both)).toEqual(['x']);
    expect(both.reads()).toBe(1);
  });

  test('are read again for a name below what distributions make a link of', async () => {
    const below = layer(
      directory('usr/'),
      directory('usr/bin/'),
      symlink('bin', 'usr/bin'),
      file('usr/bin/a'),
    );
    const above = layer(file('bin/b'), file('opt/c'));
    expect(await names(below, above)).toEqual([
      'opt/c',
      'usr/bin/a',
      'opt/',
      'usr/',
      'usr/bin/',
      'bin',
      'usr/bin/b',
    ]);
    expect([below.reads(), above.reads()]).toEqual([1, 2]);
  });

  test('are read again behind a name of very many parts', async () => {
    const deep = `${'d/'.repeat(100)}x`;
    const [below, above] = [layer(file('a'), file('b')), layer(file('c'), file(deep), file('b'))];
    const found = (await names(below, above))?.filter((name) => !name.endsWith('/'));
    expect(found).toEqual(['c', 'a', deep, 'b']);
    expect([below.reads(), above.reads()]).toEqual([2, 2]);
  });

  test('are misjudged where a lower layer has another link on the way to a file', async () => {
    expect(
      await names(layer(directory('srv/'), symlink('opt', 'srv')), layer(file('opt/x'))),
    ).toBeUndefined();
  });

  test('are misjudged where one says twice what a file is', async () => {
    expect(await names(layer(file('x', '1'), file('x', '2')))).toBeUndefined();
  });

  test('are refused when one is not what its configuration says, as late as that may be', async () => {
    const wrong = { ...layer(file('x')), diffId: sha256(Buffer.from('y')) };
    await expect(downwards([wrong, layer(file('z'))])).rejects.toMatchObject({ code: 'digest-mismatch' });
  });

  test('are refused when one is damaged', async () => {
    const good = layer(file('x'));
    const content = Buffer.from('never');
    await expect(downwards([layerOf(content, content), good])).rejects.toThrow(TransferError);
  });

  test('give way to nothing that was added as a fallback, and give what else is added', async () => {
    const data = Buffer.from('added');
    const member = (name: string) => ({ ...blank, name });
    const additions = [
      { member: member('x'), data, isFallback: true },
      { member: member('y'), data },
    ];
    expect(await downwards([layer(file('x', 'own'))], { additions })).toMatchObject([
      { name: 'x', data: 'own' },
      { name: 'y', data: 'added' },
    ]);
  });
});

const blank = {
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  modified: 0,
  link: '',
  major: 0,
  minor: 0,
  xattrs: new Map<string, string>(),
} as const;

test('whatever layers there are, both directions make the same of them, or it is noticed', async () => {
  const path = fc
    .array(fc.constantFrom('a', 'b', 'bin'), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join('/'));
  const data = fc.stringMatching(/^[0-9]{0,3}$/);
  const member = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(path, data).map(([name, text]) => file(name, text)) },
    { weight: 2, arbitrary: path.map((name) => directory(`${name}/`)) },
    { weight: 1, arbitrary: fc.tuple(path, path).map(([name, to]) => symlink(name, `/${to}`)) },
    { weight: 1, arbitrary: fc.tuple(path, path).map(([name, to]) => hardlink(name, to)) },
    { weight: 1, arbitrary: path.map((name) => file(name.replace(/[^/]*$/, '.wh.$&'))) },
    { weight: 1, arbitrary: path.map((name) => file(`${name}/.wh..wh..opq`)) },
  );
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(member, { maxLength: 6 }), { maxLength: 4 }), async (all) => {
      const layers = all.map((members) => layer(...members));
      const expected = await readAll(flatten(layers, signal)).catch((error: TransferError) => error);
      const found = await downwards(layers).catch((error: TransferError) => error);
      if (found === undefined) return;
      if (expected instanceof TransferError || found instanceof TransferError) {
        expect(found).toMatchObject({ code: expected instanceof TransferError ? expected.code : '' });
        return;
      }
      compared += 1;
      expect(tree(found)).toEqual(tree(expected));
    }),
    { numRuns: 500 },
  );
  expect(compared).toBeGreaterThan(100);
});

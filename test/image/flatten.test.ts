import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import type { Layer } from '../../src/image/image.ts';
import { type FlattenOptions, flatten } from '../../src/image/layers/flatten.ts';
import { joined, type Read, readAll, type Written } from './archives.ts';
import { layer, layerOf } from './layer.ts';

const { signal } = new AbortController();

const merge = (layers: readonly Layer[], options?: FlattenOptions): Promise<Read[]> =>
  readAll(flatten(layers, signal, options));

/** `name` of a directory with `/`, of a file `=` its bytes, of a link `->` or `=>` its target. */
const line = ({ name, type, data, link }: Read): string => {
  if (type === 'symlink') return `${name} -> ${link}`;
  if (type === 'hardlink') return `${name} => ${link}`;
  return type === 'file' ? `${name}=${data}` : name;
};

const lines = async (...layers: readonly Layer[]) => (await merge(layers)).map(line);

const file = (name: string, data = name): Written => ({ name, data });
const directory = (name: string, more: Partial<Written> = {}): Written => ({
  name,
  type: 'directory',
  ...more,
});
const symlink = (name: string, link: string): Written => ({ name, type: 'symlink', link });
const hardlink = (name: string, link: string): Written => ({ name, type: 'hardlink', link });
const whiteout = (name: string): Written => ({ name });

const refusal = (...layers: readonly Layer[]): Promise<TransferError> =>
  merge(layers).then(
    () => expect.unreachable('the layers were flattened'),
    (error: TransferError) => error,
  );

describe('layers', () => {
  test('are one archive in which a name is there once, below its directory', async () => {
    const below = layer(directory('etc/'), file('etc/a', 'old'), file('etc/b'), file('usr/bin/x'));
    const above = layer(file('etc/a', 'new'), file('./var/log'), file('/abs'));
    expect(await lines(below, above)).toEqual([
      'etc/',
      'usr/',
      'usr/bin/',
      'var/',
      'etc/b=etc/b',
      'usr/bin/x=usr/bin/x',
      'etc/a=new',
      'var/log=./var/log',
      'abs=/abs',
    ]);
  });

  test('give the same bytes each time, and are read twice at most', async () => {
    const all = [layer(file('b'), file('a')), layer(directory('only/'), file('empty', ''))];
    const [once, again] = [await joined(flatten(all, signal)), await joined(flatten(all, signal))];
    expect(once.equals(again)).toBe(true);
    expect(all.map(({ reads }) => reads())).toEqual([4, 2]);
  });

  test('are put one upon the other in their order, whichever is read first', async () => {
    const [below, above] = [layer(file('a', 'old'), file('b')), layer(file('a', 'new'), whiteout('.wh.b'))];
    let isRead = () => {};
    const aboveIsRead = new Promise<void>((resolve) => {
      isRead = resolve;
    });
    async function* whole(stored: AsyncIterable<Uint8Array>) {
      yield* stored;
      isRead();
    }
    const late = { ...below, read: (s: AbortSignal) => aboveIsRead.then(() => below.read(s)) };
    const first = { ...above, read: async (s: AbortSignal) => whole(await above.read(s)) };
    expect(await lines(late, first)).toEqual(['a=new']);
  });

  test('keep attributes, owners, times, modes and devices', async () => {
    const xattrs = new Map([['security.capability', '\x01\0\xff']]);
    const all = [
      layer(directory('d/', { mode: 0o700 }), {
        name: 'd/ping',
        data: 'x',
        mode: 0o4755,
        uid: 7,
        gid: 8,
        modified: 9.5,
        xattrs,
      }),
      layer(directory('d/', { mode: 0o1777, modified: 5, uid: 3 }), directory('./', { mode: 0o711 })),
      layer({ name: 'null', type: 'character', major: 1, minor: 3 }, { name: 'pipe', type: 'fifo' }),
    ];
    expect(await merge(all)).toMatchObject([
      { name: './', mode: 0o711 },
      { name: 'd/', mode: 0o1777, modified: 5, uid: 3 },
      { name: 'null', type: 'character', major: 1, minor: 3 },
      { name: 'pipe', type: 'fifo' },
      { name: 'd/ping', mode: 0o4755, uid: 7, gid: 8, modified: 9.5, xattrs },
    ]);
  });

  test('keep names of 300 bytes, and bytes that are no UTF-8', async () => {
    const far = `${'a'.repeat(150)}/${'b'.repeat(149)}`;
    expect(await lines(layer(file(far, '1'), file('\xe9\xff', '2')))).toEqual([
      `${'a'.repeat(150)}/`,
      `${far}=1`,
      '\xe9\xff=2',
    ]);
  });

  test('keep the holes of sparse files, and fill those that readers differ over', async () => {
    const data = `${'x'.repeat(512)}y`;
    const aligned = {
      size: 100_000,
      data,
      extents: [
        { offset: 1024, length: 512 },
        { offset: 99_999, length: 1 },
      ],
    };
    const odd = {
      size: 5000,
      data: 'ab',
      extents: [
        { offset: 5, length: 1 },
        { offset: 4000, length: 1 },
      ],
    };
    const [one, other] = await merge([layer({ name: 'a', ...aligned }, { name: 'b', ...odd })]);
    expect(one).toMatchObject({ size: 100_000, extents: aligned.extents });
    expect(one?.data.slice(1020, 1030)).toBe(`${'\0'.repeat(4)}xxxxxx`);
    expect(other?.extents).toBeUndefined();
    expect([other?.data.length, other?.data.indexOf('b')]).toEqual([5000, 4000]);
  });

  test('of which one is there twice, or has nothing, change nothing', async () => {
    const one = layer(file('a'), directory('d/'));
    expect(await lines(one, layer(), one)).toEqual(['d/', 'a=a']);
    expect(await lines()).toEqual([]);
  });

  test('take additions as one layer more', async () => {
    const member = { name: 'd/a', type: 'file', mode: 0o755, uid: 0, gid: 0, modified: 0, size: 0 } as const;
    const rest = { link: '', major: 0, minor: 0, xattrs: new Map() };
    const additions = [{ member: { ...member, ...rest }, data: Buffer.from('added') }];
    expect((await merge([layer(file('d/a'), file('d/b'))], { additions })).map(line)).toEqual([
      'd/',
      'd/a=added',
      'd/b=d/b',
    ]);
  });
});

describe('a whiteout', () => {
  const below = layer(file('a/x'), file('a/y'), file('a/deep/z'), file('b'));

  test('hides a file or a tree of lower layers, and is not there itself', async () => {
    expect(await lines(below, layer(whiteout('a/.wh.x'), whiteout('.wh.b')))).toEqual([
      'a/',
      'a/deep/',
      'a/y=a/y',
      'a/deep/z=a/deep/z',
    ]);
    expect(await lines(below, layer(whiteout('.wh.a')))).toEqual(['b=b']);
  });

  test.each([
    ['before', [whiteout('.wh.a'), file('a/new')]],
    ['behind', [file('a/new'), whiteout('.wh.a')]],
  ])('hides nothing of its own layer, %s which it stands', async (_, members) => {
    expect(await lines(below, layer(...members))).toEqual(['a/', 'b=b', 'a/new=a/new']);
  });

  test.each([
    ['first', [whiteout('a/.wh..wh..opq'), file('a/new')]],
    ['last', [file('a/new'), whiteout('a/.wh..wh..opq')]],
  ])('that is opaque hides all of a directory, standing %s in it', async (_, members) => {
    expect(await lines(below, layer(...members))).toEqual(['a/', 'b=b', 'a/new=a/new']);
    expect(await lines(below, layer(whiteout('.wh..wh..opq')))).toEqual([]);
  });

  test('hides nothing of layers above it', async () => {
    expect(await lines(layer(whiteout('.wh.b'), whiteout('none/.wh.c')), below)).toContain('b=b');
  });

  test('of AUFS is left out with what lies below', async () => {
    const members = [whiteout('.wh..wh.aufs'), directory('.wh..wh.plnk/'), file('.wh..wh.plnk/1.2')];
    expect(await lines(layer(...members, file('a')))).toEqual(['a=a']);
  });

  test.each(['.wh.', 'a/.wh.', '.wh...', '.wh..'])('of nothing is refused: %s', async (name) => {
    expect((await refusal(layer(whiteout(name)))).message).toBe(
      `reading the archive: \`${name}\` hides nothing that a file can be called`,
    );
  });

  test.each([
    ['first', [directory('lib/'), whiteout('lib/.wh..wh..opq'), file('lib/own')]],
    ['last', [directory('lib/'), file('lib/own'), whiteout('lib/.wh..wh..opq'), whiteout('lib/.wh.a')]],
  ])(
    'in a directory that takes the place of a link hides nothing of what the link led to, standing %s',
    async (_, members) => {
      expect(await lines(layer(file('usr/lib/a'), symlink('lib', 'usr/lib')), layer(...members))).toEqual([
        'lib/',
        'usr/',
        'usr/lib/',
        'usr/lib/a=usr/lib/a',
        'lib/own=lib/own',
      ]);
    },
  );

  test('finds its directory behind a symbolic link', async () => {
    expect(
      await lines(layer(file('usr/lib/a'), symlink('lib', 'usr/lib')), layer(whiteout('lib/.wh.a'))),
    ).toEqual(['usr/', 'usr/lib/', 'lib -> usr/lib']);
  });
});

describe('a member in the place of another', () => {
  test.each<[string, Written[], Written[], string[]]>([
    ['a file, of a tree', [file('a/b/c')], [file('a')], ['a=a']],
    ['a link, of a tree', [file('a/b/c')], [symlink('a', 'x')], ['a -> x']],
    ['a directory, of a file', [file('a')], [directory('a/')], ['a/']],
    ['a directory, of a link', [directory('d/'), symlink('a', 'd')], [directory('a/')], ['a/', 'd/']],
    ['a directory, of one with members', [file('a/b')], [directory('a/')], ['a/', 'a/b=a/b']],
    ['what lies below a file', [file('a')], [file('a/b')], ['a/', 'a/b=a/b']],
    ['a second one in the same layer', [], [file('a', '1'), symlink('a', 'x'), file('a', '2')], ['a=2']],
  ])('takes it: %s', async (_, below, above, expected) => {
    expect(await lines(layer(...below), layer(...above))).toEqual(expected);
  });

  test('lies where a symbolic link of a lower layer leads, which never leads out', async () => {
    const below = layer(
      symlink('lib', 'usr/lib'),
      symlink('out', '../../../etc'),
      symlink('abs', '/var/run'),
    );
    expect(await lines(below, layer(file('lib/a'), file('out/b'), file('abs/c')))).toEqual([
      'etc/',
      'usr/',
      'usr/lib/',
      'var/',
      'var/run/',
      'abs -> /var/run',
      'lib -> usr/lib',
      'out -> ../../../etc',
      'usr/lib/a=lib/a',
      'etc/b=out/b',
      'var/run/c=abs/c',
    ]);
  });
});

describe('a hard link', () => {
  const below = layer(file('a', 'content'));

  test('across layers is another name of the same file', async () => {
    expect(await lines(below, layer(hardlink('b', 'a'), hardlink('c', './b')))).toEqual([
      'a=content',
      'b => a',
      'c => a',
    ]);
  });

  test.each([
    ['hidden', whiteout('.wh.a')],
    ['replaced', file('a', 'other')],
  ])('outlives the name that it was made of, %s by a later layer', async (how, last) => {
    const rest = how === 'hidden' ? [] : ['a=other'];
    expect(await lines(below, layer(hardlink('b', 'a'), hardlink('c', 'a')), layer(last))).toEqual([
      'b=content',
      'c => b',
      ...rest,
    ]);
  });

  test('to a symbolic link is another link, and to an empty file another name', async () => {
    expect(
      await lines(layer(symlink('s', 'x'), hardlink('t', 's'), file('e', ''), hardlink('f', 'e'))),
    ).toEqual(['e=', 'f => e', 's -> x', 't -> x']);
  });

  test.each([
    ['to nothing', hardlink('b', 'none')],
    ['to a directory', hardlink('b', 'd')],
    ['to what its own layer hides', hardlink('b', 'hidden')],
  ])('%s is refused', async (_, link) => {
    const own = layer(directory('d/'), whiteout('.wh.hidden'), link);
    expect((await refusal(layer(file('hidden')), own)).message).toBe(
      'reading the archive: `b` is a link to what is no file',
    );
  });
});

describe('S7 a layer', () => {
  test.each([
    ['../a', file('../a')],
    ['a/../../b', file('a/../../b')],
    ['/..', directory('/..')],
    ['a/..', hardlink('x', 'a/..')],
  ])('that leads out is refused: %s', async (name, member) => {
    expect(await refusal(layer(directory('a/'), member))).toMatchObject({
      code: 'invalid-request',
      message: expect.stringContaining(
        `\`${name}${member.type === 'directory' ? '/' : ''}\` leads out of its directory`,
      ),
    });
  });

  test('with a loop of links, a path without end, or another root is refused', async () => {
    const loop = [symlink('a', 'b'), symlink('b', 'a'), file('a/c')];
    expect((await refusal(layer(...loop))).message).toContain('lies behind too many symbolic links');
    expect((await refusal(layer(file(`${'a/'.repeat(2100)}b`)))).message).toContain(
      'is longer than 4095 bytes',
    );
    expect((await refusal(layer(file(`a/${'b'.repeat(256)}`)))).message).toContain(
      'has a part of more than 255 bytes',
    );
    expect((await refusal(layer(symlink('.', 'x')))).message).toContain('is the root and no directory');
  });

  test('P11 with more names than the limit is refused, those that stand for directories counted', async () => {
    const options = { limits: { names: 5 } };
    expect(await merge([layer(file('a/b/c'), file('d'))], options)).toHaveLength(4);
    await expect(merge([layer(file('a/b/c/d'), file('e'), file('f'))], options)).rejects.toThrow(
      'flattening layers: they have more than 5 names',
    );
  });

  test.each([
    ['that are to be filled', 5, 1, 2 ** 30],
    ['that stay holes', 512, 512, 2 ** 38],
  ])('with petabytes of holes %s is refused before any is written', async (_, offset, length, bound) => {
    const extents = [
      { offset, length },
      { offset: 2 ** 50, length: 1 },
    ];
    const made = layer({ name: 'a', size: 2 ** 50 + 1, data: 'x'.repeat(length + 1), extents });
    expect(await refusal(made)).toMatchObject({
      code: 'invalid-request',
      message: `unpacking layer ${made.descriptor.digest}: its sparse files have more than ${bound} bytes of holes`,
    });
    const [large] = extents.map((one) => ({ ...one, offset: 2 ** 37 - length }));
    if (offset === 512)
      await flatten(
        [layer({ name: 'a', size: 2 ** 37, data: 'x'.repeat(512), extents: [large!] })],
        signal,
      ).next();
  });

  test('with an owner that no file can have, or a link that no call takes, is refused', async () => {
    for (const owner of [{ uid: -1 }, { uid: 2 ** 32 - 1 }, { gid: 2 ** 32 }]) {
      expect((await refusal(layer({ ...file('a'), ...owner }))).message).toMatch(
        /`a` has an owner that no file can have|`uid` is no whole number/,
      );
    }
    expect(await merge([layer({ ...file('a'), uid: 2 ** 32 - 2 })])).toMatchObject([{ uid: 2 ** 32 - 2 }]);
    expect((await refusal(layer(symlink('a', 'b/'.repeat(2048))))).message).toContain(
      'a link of more than 4095 bytes',
    );
  });

  test('S8 whose content is not what it should be gives no archive', async () => {
    const made = layer(file('a'));
    const wrong = { ...made, diffId: `sha256:${'0'.repeat(64)}` };
    await expect(flatten([wrong], signal).next()).rejects.toMatchObject({ code: 'digest-mismatch' });
  });

  test('that is another one when it is read again is refused', async () => {
    const [one, other] = [layer(file('a', 'one')), layer(file('a', 'other'))];
    let reads = 0;
    const two = { ...one, read: (s: AbortSignal) => (reads++ === 0 ? one : other).read(s) };
    expect(await refusal(two)).toMatchObject({ code: 'changed' });
    const same = layerOf(Buffer.from('no archive'), Buffer.from('no archive'));
    expect(await refusal(same)).toMatchObject({ code: 'invalid-request' });
  });
});

/** The same by the rules as they are written: names and what they hold, no links. */
function byTheRules(layers: readonly (readonly Written[])[]): string[] {
  let tree = new Map<string, string | undefined>();
  const isBelow = (name: string, path: string) => name.startsWith(`${path}/`);
  for (const members of layers) {
    const hidden = members.filter(({ name }) => name.includes('.wh.'));
    for (const { name } of hidden) {
      const path = name.endsWith('.wh..wh..opq')
        ? name.slice(0, -'/.wh..wh..opq'.length)
        : name.replace('.wh.', '');
      const keepsItself = name.endsWith('.wh..wh..opq');
      tree = new Map([...tree].filter(([one]) => !isBelow(one, path) && (keepsItself || one !== path)));
    }
    for (const { name, type, data } of members.filter((one) => !hidden.includes(one))) {
      const path = name.replace(/\/$/, '');
      const parts = path.split('/');
      for (let at = 1; at < parts.length; at += 1) tree.set(parts.slice(0, at).join('/'), undefined);
      if (type !== 'directory') tree = new Map([...tree].filter(([one]) => !isBelow(one, path)));
      tree.set(path, type === 'directory' ? undefined : String(data));
    }
  }
  return [...tree].map(([name, data]) => (data === undefined ? `${name}/` : `${name}=${data}`)).sort();
}

test('whatever layers there are, they are merged as the rules say', async () => {
  const part = fc.constantFrom('a', 'b', 'c');
  const path = fc.array(part, { minLength: 1, maxLength: 3 });
  const member = fc.oneof(
    fc.tuple(path, fc.stringMatching(/^[0-9]{1,3}$/)).map(([parts, data]) => file(parts.join('/'), data)),
    path.map((parts) => directory(`${parts.join('/')}/`)),
    path.map((parts) => whiteout([...parts.slice(0, -1), `.wh.${parts.at(-1)}`].join('/'))),
    path.map((parts) => whiteout(`${parts.join('/')}/.wh..wh..opq`)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(member, { maxLength: 8 }), { maxLength: 4 }), async (all) => {
      const merged = await lines(...all.map((members) => layer(...members)));
      expect(merged.toSorted()).toEqual(byTheRules(all));
    }),
    { numRuns: 300 },
  );
});

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findProgram } from '../../fixtures/servers/launch.ts';
import { layoutOf } from '../../src/image/archive/members.ts';
import { archiveBytes } from '../../src/image/archive/stream.ts';
import { additions } from '../../src/image/sif/additions.ts';
import { bridle, scratch } from '../commands/run-command.ts';
import { never } from '../http/scripted.ts';
import { joined, type Read, readAll, type Written } from '../image/archives.ts';
import { layer, type MadeLayer } from '../image/layer.ts';
import { imageOf } from '../image/made-image.ts';

const at = { modified: 1_600_000_000, uid: 7, gid: 8 };
const file = (name: string, data = name): Written => ({ name, data, ...at });
const directory = (name: string): Written => ({ name, type: 'directory', ...at });
const link = (name: string, to: string): Written => ({ name, type: 'symlink', link: to, ...at });
const hard = (name: string, to: string): Written => ({ name, type: 'hardlink', link: to, ...at });
const gone = (name: string): Written => ({ name });
const xattrs = new Map([['user.note', 'a\0b\xff']]);
const LONG = `${'d'.repeat(200)}/${'e'.repeat(99)}`;

const LAYERS: readonly (readonly Written[])[] = [
  [
    directory('./'),
    directory('etc/'),
    file('etc/a'),
    file('etc/b'),
    { ...directory('usr/'), mode: 0o1777, modified: 5 },
    directory('usr/lib/'),
    file('usr/lib/kept'),
    file('usr/lib/gone'),
    link('lib', 'usr/lib'),
    link('lib64', 'usr/lib'),
    directory('tree/'),
    directory('tree/deep/'),
    file('tree/deep/x'),
    file('turns/into', 'a file'),
    file('plain', 'turns into a directory'),
    file('one', 'shared'),
    hard('two', 'one'),
    file('twice', '1'),
    file('twice', '2'),
    { ...file('suid'), mode: 0o4755 },
    {
      ...file('able'),
      xattrs: new Map([['security.capability', '\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0']]),
    },
    { name: 'null', type: 'character', major: 1, minor: 3, mode: 0o666, ...at },
    { name: 'pipe', type: 'fifo', mode: 0o620, ...at },
    directory('opaque/'),
    file('opaque/below'),
  ],
  [
    gone('etc/.wh.a'),
    gone('usr/lib/.wh.gone'),
    gone('.wh.tree'),
    gone('.wh.absent'),
    directory('lib/'),
    gone('lib/.wh..wh..opq'),
    file('lib/own'),
    directory('opaque/'),
    file('opaque/above'),
    gone('opaque/.wh..wh..opq'),
    { ...directory('plain/'), mode: 0o700 },
    file('plain/inside'),
    file('turns', 'was a directory'),
    hard('three', 'two'),
    hard('link', 'lib64'),
    directory(`${'d'.repeat(200)}/`),
    { ...file(LONG), xattrs },
    file('caf\xe9 \n\\'),
    { ...file('noted'), xattrs, mode: 0o600, modified: 1_700_000_000.25 },
    { ...directory('noted.d/'), xattrs },
    {
      ...file('holes', `${'x'.repeat(4096)}end`),
      size: 3_000_000,
      extents: [
        { offset: 131_072, length: 4096 },
        { offset: 2_999_997, length: 3 },
      ],
    },
  ],
  [gone('.wh.one'), file('two', 'another')],
];

type Kept = Omit<Read, 'name' | 'extents' | 'xattrs'> & { readonly xattrs: readonly (readonly string[])[] };

/** What GNU tar says of a tree, by its names. */
async function treeOf(root: string): Promise<Map<string, Kept>> {
  const line = ['--format=posix', '--pax-option=delete=atime,delete=ctime', '--numeric-owner', '--sort=name'];
  const tar = execFileSync('tar', [...line, '--xattrs', '--xattrs-include=*', '-cf', '-', '-C', root, '.'], {
    maxBuffer: 2 ** 26,
  });
  const members = await readAll(tar);
  return new Map(
    members.map(({ name, extents: _, xattrs: all, ...rest }) => [name, { ...rest, xattrs: [...all] }]),
  );
}

/** umoci believes the type. */
function named(members: readonly Written[]): MadeLayer {
  const made = layer(...members);
  return { ...made, descriptor: { ...made.descriptor, mediaType: `${made.descriptor.mediaType}+gzip` } };
}

test('S7 a sandbox is what umoci makes of the same layers, but for devices, power and links with two names', async () => {
  const umoci = findProgram('umoci');
  const cwd = scratch();
  const image = imageOf(LAYERS.map(named));
  writeFileSync(
    join(cwd, 'i.tar'),
    await joined(archiveBytes(layoutOf(image, 'oci-archive'), { start: 0 }, never)),
  );
  const convert = (...args: string[]) => bridle(['image', 'convert', ...args], { cwd });
  expect(await convert('i.tar', 'oci:layout')).toMatchObject({ status: 0, stderr: '' });
  expect(await convert('i.tar', 'sandbox:ours')).toMatchObject({ status: 0 });
  execFileSync(umoci, ['unpack', '--image', `${join(cwd, 'layout')}:1.0`, join(cwd, 'bundle')], {
    stdio: 'pipe',
  });
  const [ours, theirs] = [await treeOf(join(cwd, 'ours')), await treeOf(join(cwd, 'bundle/rootfs'))];
  const added = additions(image).map(
    ({ member: { name, type } }) => `./${name}${type === 'directory' ? '/' : ''}`,
  );
  for (const name of added) if (!theirs.has(name)) ours.delete(name);
  const missing = [...theirs.keys()].filter((name) => !ours.has(name));
  expect(missing).toEqual(['./null']);
  for (const name of missing) theirs.delete(name);
  const expected = Object.fromEntries(theirs);
  expect([expected['./able']?.xattrs.length, expected['./suid']?.mode]).toEqual([1, 0o4755]);
  Object.assign(expected['./suid'] ?? {}, { mode: 0o755 });
  Object.assign(expected['./able'] ?? {}, { xattrs: [] });
  // Two links that say the same are the same to everybody but `ls`.
  expect(expected['./link']).toMatchObject({ type: 'hardlink', link: './lib64' });
  Object.assign(expected['./link'] ?? {}, { type: 'symlink', link: 'usr/lib' });
  // It writes into the root once that has its time.
  Object.assign(expected['./'] ?? {}, { modified: at.modified });
  for (const [name, found] of ours) expect([name, found]).toEqual([name, expected[name]]);
});

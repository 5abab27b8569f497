import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { findProgram } from '../../fixtures/servers/launch.ts';
import type { Image } from '../../src/image/image.ts';
import { extract } from '../../src/image/layers/extract.ts';
import { flatten } from '../../src/image/layers/flatten.ts';
import { uncompressed } from '../../src/image/layers/uncompressed.ts';
import { additions } from '../../src/image/sif/additions.ts';
import { readSif } from '../../src/image/sif/read.ts';
import { unpackSif } from '../../src/image/sif/unpack.ts';
import { writeSif } from '../../src/image/sif/write.ts';
import { scratch } from '../commands/run-command.ts';
import { archive, joined, type Written } from '../image/archives.ts';
import { layer, layerOf, sha256 } from '../image/layer.ts';
import { imageOf } from '../image/made-image.ts';

const { signal } = new AbortController();
const PACKERS = ['tar2sqfs', 'mksquashfs'] as const;

let cwd = '';

beforeEach(() => {
  cwd = scratch();
});

/** A PATH in which no other packer is. */
function pathOf(packer: (typeof PACKERS)[number]): string {
  const directory = join(cwd, 'bin');
  fs.mkdirSync(directory, { recursive: true });
  const link = join(directory, packer);
  if (!fs.existsSync(link)) fs.symlinkSync(findProgram(packer), link);
  return directory;
}

const LONG = `${'d'.repeat(200)}/${'e'.repeat(99)}`;
const large = Buffer.from(Array.from({ length: 400_000 }, (_, at) => (at * 7919) % 253));

const BELOW: readonly Written[] = [
  { name: './', type: 'directory', mode: 0o711, modified: 11 },
  { name: 'bin', type: 'symlink', link: 'usr/bin' },
  { name: 'usr/bin/', type: 'directory', mode: 0o755, uid: 7, gid: 8, modified: 1_600_000_000 },
  { name: 'usr/bin/su', data: 'su', mode: 0o4755, modified: 1_600_000_001 },
  { name: 'usr/bin/large', data: large, mode: 0o644, uid: 70_000, gid: 80_000 },
  { name: 'usr/bin/hidden', data: 'gone' },
  { name: 'lib/original', data: 'shared by three' },
  { name: 'dev/null', type: 'character', major: 1, minor: 3, mode: 0o666 },
];
const ABOVE: readonly Written[] = [
  { name: 'bin/.wh.hidden' },
  { name: 'bin/added', data: 'below a link' },
  { name: 'lib/one', type: 'hardlink', link: 'lib/original' },
  { name: 'lib/two', type: 'hardlink', link: 'lib/original' },
  { name: LONG, data: '300 bytes' },
  { name: "caf\xe9 '\n\\", data: 'no UTF-8', modified: 1_700_000_000.5 },
  {
    name: 'cap',
    data: 'x',
    mode: 0o755,
    xattrs: new Map([
      ['user.note', 'a\0b'],
      ['trusted.x', 'y'],
    ]),
  },
  {
    name: 'sparse',
    size: 3_000_000,
    data: large.subarray(0, 8192 + 5),
    extents: [
      { offset: 131_072, length: 8192 },
      { offset: 2_999_995, length: 5 },
    ],
  },
  { name: 'empty', data: '' },
  { name: 'pipe', type: 'fifo', mode: 0o600 },
  { name: 'old', data: '1', modified: 0 },
];

const image = (...layers: Parameters<typeof imageOf>[0]): Image =>
  imageOf(layers, { Env: ['A=1'], Cmd: ['sh'] });
const LINKED: readonly Written[] = [
  { name: 'srv/', type: 'directory', mode: 0o750, modified: 7, xattrs: new Map([['user.a', 'b']]) },
  { name: 'opt', type: 'symlink', link: 'srv' },
];
const sample = () => image(layer(...BELOW), layer(...ABOVE), layer({ name: 'lib/.wh.original' }));

/** Everything that a file system tells of a tree. */
function tree(root: string): Record<string, object> {
  const found: Record<string, object> = {};
  const seen = new Map<number, string>();
  const look = (name: string): void => {
    const path = Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')]);
    const stat = fs.lstatSync(path);
    const first = seen.get(stat.ino) ?? name;
    seen.set(stat.ino, first);
    const content = stat.isFile()
      ? createHash('sha256').update(fs.readFileSync(path)).digest('hex')
      : undefined;
    found[name] = {
      mode: stat.mode,
      uid: stat.uid,
      gid: stat.gid,
      seconds: Math.floor(stat.mtimeMs / 1000),
      size: stat.isFile() ? stat.size : undefined,
      device: stat.isCharacterDevice() ? stat.rdev : undefined,
      target: stat.isSymbolicLink() ? fs.readlinkSync(path, 'latin1') : undefined,
      first: stat.isFile() ? first : undefined,
      content,
    };
    if (!stat.isDirectory()) return;
    const names = fs.readdirSync(path, { encoding: 'latin1' }).sort();
    for (const one of names) look(name === '' ? one : `${name}/${one}`);
  };
  look('');
  return found;
}

function unsquash(path: string, offset: number, to: string): void {
  const unsquashfs = spawnSync(findProgram('unsquashfs'), ['-q', '-n', '-o', String(offset), '-d', to, path]);
  expect({ status: unsquashfs.status, stderr: unsquashfs.stderr.toString() }).toEqual({
    status: 0,
    stderr: '',
  });
}

describe.each(PACKERS)('a SIF file made with %s', (packer) => {
  test.each([
    ['what the layers make, entry by entry', sample],
    [
      'a file where a link of a lower layer leads',
      () => image(layer(...LINKED), layer({ name: 'opt/x', data: 'x' })),
    ],
  ])('holds %s', async (_, make) => {
    const path = join(cwd, 'image.sif');
    const made = make();
    const written = await writeSif(made, path, { signal, path: pathOf(packer) });
    expect(written.packer.name).toBe(packer);
    const { objects } = await readSif(path);
    unsquash(path, objects.find(({ partition }) => partition)?.offset ?? 0, join(cwd, 'theirs'));
    const tar = flatten(made.layers, signal, { additions: additions(made) });
    await extract(tar, join(cwd, 'ours'), { setuid: true, devices: true });
    const [ours, theirs] = [tree(join(cwd, 'ours')), tree(join(cwd, 'theirs'))];
    expect(Object.keys(theirs)).toEqual(Object.keys(ours));
    expect(theirs).toEqual(ours);
  });

  test('is the same each time, and tells its size and digest', async () => {
    const made = sample();
    const options = { signal, path: pathOf(packer), time: 1_600_000_000 };
    const once = await writeSif(made, join(cwd, 'once.sif'), options);
    const again = await writeSif(made, join(cwd, 'again.sif'), options);
    const bytes = fs.readFileSync(join(cwd, 'once.sif'));
    expect(fs.readFileSync(join(cwd, 'again.sif')).equals(bytes)).toBe(true);
    expect(once).toEqual(again);
    expect(once).toMatchObject({ size: bytes.length, sha256: sha256(bytes).slice('sha256:'.length) });
    expect(fs.statSync(join(cwd, 'once.sif')).mode & 0o777).toBe(0o755);
    expect(fs.readdirSync(cwd).sort()).toEqual(['again.sif', 'bin', 'once.sif']);
  });

  test('is not there when a layer is not what it should be, and the one before stays', async () => {
    const path = join(cwd, 'image.sif');
    fs.writeFileSync(path, 'before');
    // A name that is read twice whatever packs it.
    const name = 'lib/a';
    const content = archive([{ name, data: large }]);
    const good = layerOf(gzipSync(content), content);
    let reads = 0;
    const late = {
      ...good,
      read: (s: AbortSignal) => (reads++ === 0 ? good : layer({ name, data: 'other' })).read(s),
    };
    await expect(writeSif(image(late), path, { signal, path: pathOf(packer) })).rejects.toMatchObject({
      code: 'changed',
    });
    const wrong = { ...layer({ name: 'a', data: large }), diffId: good.diffId };
    await expect(writeSif(image(wrong), path, { signal, path: pathOf(packer) })).rejects.toMatchObject({
      code: 'digest-mismatch',
    });
    const ends = AbortSignal.abort();
    await expect(writeSif(sample(), path, { signal: ends, path: pathOf(packer) })).rejects.toMatchObject({
      code: 'canceled',
    });
    expect(fs.readFileSync(path, 'utf8')).toBe('before');
    expect(fs.readdirSync(cwd).sort()).toEqual(['bin', 'image.sif']);
  });
});

test('S7 P9 a SIF file that inflates without end is refused at its bound, and leaves nothing', async () => {
  const programs = `${pathOf('tar2sqfs')}:${dirname(findProgram('tar2sqfs'))}`;
  await writeSif(image(layer({ name: 'zeros', data: Buffer.alloc(3_000_000) })), join(cwd, 'a.sif'), {
    signal,
    path: programs,
  });
  const unpack = (most: number) =>
    unpackSif(join(cwd, 'a.sif'), join(cwd, 'box'), { programs, signal, limits: { most } });
  await expect(unpack(1_000_000)).rejects.toThrow(/it inflates from \d+ to more than 1000000 bytes/);
  expect(fs.readdirSync(cwd).sort()).toEqual(['a.sif', 'bin']);
  expect((await unpack(4_000_000)).bytes).toBeGreaterThan(3_000_000);
});

test('a SIF file is laid out to the byte as another writer lays it out', async () => {
  const path = join(cwd, 'image.sif');
  const made = sample();
  await writeSif(made, path, { signal, path: pathOf('tar2sqfs'), time: 5 });
  const bytes = fs.readFileSync(path);
  const definition = Buffer.from(`bootstrap: docker\nfrom: ${made.name}\n`);
  const [at] = [Math.ceil((32_176 + definition.length + made.config.bytes.length) / 4096) * 4096];
  const squashfs = bytes.subarray(at);
  const fields: Buffer[] = [];
  const int = (size: number, ...values: readonly number[]) => {
    for (const value of values) {
      const field = Buffer.alloc(size);
      field.writeUIntLE(value, 0, Math.min(size, 6));
      fields.push(field);
    }
  };
  const text = (size: number, value: string) =>
    fields.push(Buffer.concat([Buffer.from(value), Buffer.alloc(size)], size));
  text(32, '#!/usr/bin/env run-singularity\n');
  text(10, 'SIF_MAGIC');
  text(3, '01');
  text(3, '02');
  fields.push(bytes.subarray(48, 64));
  int(8, 5, 5, 45, 48, 4096, 48 * 585, 32_176, bytes.length - 32_176);
  text(4096 - 128, '');
  const object = (type: number, id: number, offset: number, size: number, padded: number, name: string) => {
    int(4, type);
    int(1, 1);
    int(4, id, 0xf0000001, 0);
    int(8, offset, size, padded, 5, 5, 0, 0);
    text(128, name);
  };
  const configAt = 32_176 + definition.length;
  const end = configAt + made.config.bytes.length;
  object(0x4001, 1, 32_176, definition.length, definition.length, '');
  text(384, '');
  object(0x4006, 2, configAt, made.config.bytes.length, made.config.bytes.length, 'oci-config.json');
  text(384, '');
  object(0x4004, 3, at, squashfs.length, at - end + squashfs.length, '');
  int(4, 1, 2);
  text(376, '02');
  text(45 * 585, '');
  fields.push(definition, Buffer.from(made.config.bytes), Buffer.alloc(at - end), squashfs);
  expect(Buffer.concat(fields).equals(bytes)).toBe(true);
  expect([(bytes[54] ?? 0) >> 4, (bytes[56] ?? 0) >> 6]).toEqual([4, 2]);
});

test.each([
  ['dies of a signal', 'kill -9 $$', 'ended with SIGKILL'],
  ['says why', 'echo first >&2; echo "no space left" >&2; exit 3', 'no space left'],
  ['says nothing', 'exit 4', 'ended with status 4'],
])(
  'a packer that %s before it has read all is told with its words, and nothing is left',
  async (_, script, words) => {
    const packer = join(cwd, 'tar2sqfs');
    fs.writeFileSync(packer, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const big = layer({ name: 'a', data: Buffer.alloc(4_000_000, 'x') });
    await expect(writeSif(image(big), join(cwd, 'image.sif'), { signal, path: cwd })).rejects.toThrow(
      `making a squashfs with \`${packer}\`: ${words}`,
    );
    expect(fs.readdirSync(cwd)).toEqual(['tar2sqfs']);
  },
);

test('a directory is not replaced by a SIF file', async () => {
  const directory = join(cwd, 'image.sif');
  fs.mkdirSync(join(directory, 'full'), { recursive: true });
  await expect(writeSif(sample(), directory, { signal, path: pathOf('tar2sqfs') })).rejects.toMatchObject({
    code: 'invalid-request',
    message: `writing \`${directory}\`: is a directory`,
  });
  expect(fs.readdirSync(cwd).sort()).toEqual(['bin', 'image.sif']);
});

test.each([['-1'], ['-19', '--long=27'], ['-T2', '--check', '-3']])(
  'layers that zstd packs with %s %s are unpacked',
  async (...options) => {
    const content = archive([{ name: 'a', data: Buffer.concat([large, large, Buffer.alloc(3_000_000)]) }]);
    const made = spawnSync(findProgram('zstd'), ['-q', '-c', ...options.filter(Boolean)], {
      input: content,
      maxBuffer: 2 ** 28,
    });
    expect(made.status).toBe(0);
    const unpacked = await joined(await uncompressed(layerOf(made.stdout, content), signal));
    expect(unpacked.equals(content)).toBe(true);
  },
);

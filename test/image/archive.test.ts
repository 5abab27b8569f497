import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ARCHIVE_FORMATS, type ArchiveFormat, layoutOf } from '../../src/image/archive/members.ts';
import { openImage } from '../../src/image/archive/open.ts';
import { archiveBytes } from '../../src/image/archive/stream.ts';
import type { Image } from '../../src/image/image.ts';
import { prove } from '../../src/image/layers/prove.ts';
import { readTar } from '../../src/image/tar/read.ts';
import type { MemberToWrite } from '../../src/image/tar/write.ts';
import { never } from '../http/scripted.ts';
import { makeImage, tarOf, writeImage } from './busybox-image.ts';
import { collect, refusalOf } from './scene.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bridle-archive-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string) => join(directory, name);

function layers(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) =>
    tarOf([{ name: `file-${index}`, content: Buffer.alloc(700 * (index + 1), `content ${index} `) }]),
  );
}

const bytesOf = (
  image: Image,
  format: ArchiveFormat,
  range: { start: number; end?: number } = { start: 0 },
) => collect(archiveBytes(layoutOf(image, format), range, never));

async function namesIn(archive: Buffer): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, mode, uid, modified } of readTar(one(archive))) {
    names.push(name);
    expect([mode, uid, modified]).toEqual([0o444, 0, 0]);
  }
  return names;
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** An archive of these files, by name. */
function archive(
  files: Readonly<Record<string, unknown>>,
  more: readonly (MemberToWrite & { content?: Uint8Array })[] = [],
): string {
  const path = at('made.tar');
  const members = Object.entries(files).map(([name, content]) => ({
    name,
    content: content instanceof Uint8Array ? content : Buffer.from(JSON.stringify(content)),
  }));
  writeFileSync(path, tarOf([...members, ...more]));
  return path;
}

const open = (path: string) => openImage(path, { signal: never });

describe('an archive of an image', () => {
  test.each(ARCHIVE_FORMATS)(
    'as %s is the same bytes each time, as many as its layout says',
    async (format) => {
      const image = makeImage({ layers: layers(3) });
      const bytes = await bytesOf(image, format);
      expect(bytes).toHaveLength(layoutOf(image, format).size);
      expect(await bytesOf(makeImage({ layers: layers(3) }), format)).toEqual(bytes);
    },
  );

  test('of docker has its configuration, its layers and one name', async () => {
    const image = makeImage({ layers: layers(2), name: 'docker.io/test/made:1' });
    const bytes = await bytesOf(image, 'docker-archive');
    const hex = (digest: string | undefined) => digest?.slice('sha256:'.length);
    const [first, second] = image.layers.map(({ descriptor }) => `${hex(descriptor.digest)}.tar.gz`);
    const config = `${hex(image.config.descriptor.digest)}.json`;
    expect(await namesIn(bytes)).toEqual(['manifest.json', config, first, second]);
    const manifest = [{ Config: config, RepoTags: ['docker.io/test/made:1'], Layers: [first, second] }];
    expect(bytes.includes(JSON.stringify(manifest))).toBe(true);
  });

  test.each(['oci-archive', 'hybrid'] as const)(
    'as %s names directories before what is in them, for readers that make no others',
    async (format) => {
      const bytes = await bytesOf(makeImage({ layers: layers(2) }), format);
      const members: { name: string; type: string; mode: number }[] = [];
      for await (const { name, type, mode } of readTar(one(bytes))) members.push({ name, type, mode });
      const first = members.findIndex(({ name }) => name.startsWith('blobs'));
      expect(members.slice(first, first + 3)).toEqual([
        { name: 'blobs/', type: 'directory', mode: 0o755 },
        { name: 'blobs/sha256/', type: 'directory', mode: 0o755 },
        { name: expect.stringMatching(/^blobs\/sha256\/[0-9a-f]{64}$/), type: 'file', mode: 0o444 },
      ]);
      expect(members.filter(({ type }) => type === 'directory')).toHaveLength(2);
    },
  );

  test('keeps a layer that is there twice once, and lists it twice', async () => {
    const [layer = Buffer.alloc(0)] = layers(1);
    const image = makeImage({ layers: [layer, layer] });
    await writeImage(image, 'docker-archive', at('a.tar'));
    expect(await namesIn(readFileSync(at('a.tar')))).toHaveLength(3);
    expect((await open(at('a.tar'))).image.layers).toHaveLength(2);
  });

  test('read from any place up to any other is that part of the whole', async () => {
    const image = makeImage({ layers: layers(3), isPlain: true });
    const whole = await bytesOf(image, 'hybrid');
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.nat(whole.length), async (one, other) => {
        const [start, end] = [Math.min(one, other), Math.max(one, other)];
        expect((await bytesOf(image, 'hybrid', { start, end })).equals(whole.subarray(start, end))).toBe(
          true,
        );
        expect((await bytesOf(image, 'hybrid', { start })).equals(whole.subarray(start))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test.each(ARCHIVE_FORMATS)('as %s is read again as the image that it was', async (format) => {
    const image = makeImage({ layers: layers(3), name: 'quay.io/a/b:2' });
    await writeImage(image, format, at('a.tar'));
    const { image: again, keptAs, digest } = await open(at('a.tar'));
    expect(keptAs).toBe(format);
    const facts = ({ name, config, platform }: Image) => [
      name,
      config.bytes,
      config.descriptor.digest,
      platform,
    ];
    expect(facts(again)).toEqual(facts(image));
    expect(again.layers.map(({ diffId }) => diffId)).toEqual(image.layers.map(({ diffId }) => diffId));
    const digests = (one: Image) => one.layers.map(({ descriptor }) => descriptor.digest);
    expect(digests(again)).toEqual(digests(image));
    // Only an archive that keeps the manifest can tell the digest that the image is known by.
    expect(digest).toBe(format === 'docker-archive' ? undefined : image.manifest.descriptor.digest);
    if (format !== 'docker-archive') expect(again.manifest).toEqual(image.manifest);
    for (const layer of again.layers) await prove(layer, never);
  });

  test('of both kinds is read as either', async () => {
    await writeImage(makeImage({ layers: layers(1) }), 'hybrid', at('a.tar'));
    const asked = await openImage(at('a.tar'), { as: 'docker-archive', signal: never });
    expect(asked).toMatchObject({ keptAs: 'docker-archive' });
    expect(await openImage(at('a.tar'), { as: 'oci-archive', signal: never })).toMatchObject({
      keptAs: 'hybrid',
    });
  });

  test('S8 whose layer was changed is opened, and refused when the layer is read', async () => {
    const image = makeImage({ layers: layers(2) });
    await writeImage(image, 'hybrid', at('a.tar'));
    const bytes = readFileSync(at('a.tar'));
    const layer = await collect(await image.layers[1]!.read(never));
    bytes[bytes.indexOf(layer) + 20]! ^= 1;
    writeFileSync(at('a.tar'), bytes);
    const { image: again } = await open(at('a.tar'));
    await prove(again.layers[0]!, never);
    expect(await refusalOf(prove(again.layers[1]!, never))).toContain('digest-mismatch');
  });

  test('S8 whose manifest was changed is refused', async () => {
    const image = makeImage({ layers: layers(1) });
    await writeImage(image, 'oci-archive', at('a.tar'));
    const bytes = readFileSync(at('a.tar'));
    bytes.write('3', bytes.indexOf(image.manifest.bytes) + '{"schemaVersion":'.length);
    writeFileSync(at('a.tar'), bytes);
    expect(await refusalOf(open(at('a.tar')))).toContain('digest-mismatch');
  });
});

describe('an archive that others wrote', () => {
  const [layer = Buffer.alloc(0)] = layers(1);
  const image = makeImage({ layers: [layer] });
  const config = JSON.parse(Buffer.from(image.config.bytes).toString());

  test('may have layers in directories, linked to one another, and names before it', async () => {
    const entry = { Config: 'c.json', RepoTags: null, Layers: ['one/layer.tar', './two/layer.tar'] };
    const both = { ...config, rootfs: { diff_ids: [image.layers[0]!.diffId, image.layers[0]!.diffId] } };
    const path = archive({ 'c.json': both, './one/layer.tar': layer, './manifest.json': [entry] }, [
      { name: 'two/layer.tar', type: 'symlink', link: '../one/layer.tar' },
    ]);
    const { image: again } = await open(path);
    expect(again.layers.map(({ descriptor }) => descriptor.digest)).toEqual(
      again.layers.map(({ diffId }) => diffId),
    );
    expect(await collect(await again.layers[1]!.read(never))).toEqual(layer);
  });

  test('S7 whose lists lead out of it, or in a circle, is of files that it does not have', async () => {
    writeFileSync(at('outside'), 'x');
    for (const name of ['../outside', at('outside'), 'circle']) {
      const path = archive({ 'c.json': config, 'manifest.json': [{ Config: 'c.json', Layers: [name] }] }, [
        { name: 'circle', type: 'symlink', link: 'circle' },
      ]);
      expect(await refusalOf(open(path))).toContain(`not-found: read the image \`${path}\`: it has no`);
    }
  });

  test.each([
    ['nothing', {}, 'unsupported: '],
    ['a list of nothing', { 'manifest.json': [] }, 'expected an archive of one image, it has 0'],
    [
      'two images',
      { 'manifest.json': [1, 2].map(() => ({ Config: 'c', Layers: [] })) },
      'of one image, it has 2',
    ],
    ['no list', { 'manifest.json': {} }, 'unexpected: '],
    ['no JSON', { 'manifest.json': Buffer.from('{') }, 'expected JSON'],
    ['odd entries', { 'manifest.json': [{ Config: 1 }] }, 'expected `Config` and `Layers`'],
    ['no configuration', { 'manifest.json': [{ Config: 'c', Layers: [] }] }, 'not-found: '],
    [
      'another count of layers',
      { c: config, 'manifest.json': [{ Config: 'c', Layers: [] }] },
      'it tells of 1 layers, the',
    ],
    ['an index of nothing', { 'index.json': { schemaVersion: 2, manifests: [] } }, 'expected one image'],
    [
      'an index of what is not there',
      { 'index.json': { manifests: [image.manifest.descriptor] } },
      'not-found: ',
    ],
  ])('with %s is refused', async (_, files, problem) => {
    expect(await refusalOf(open(archive(files)))).toContain(problem);
  });

  test('that is cut, compressed as a whole, or something else is refused by what it is', async () => {
    await writeImage(image, 'hybrid', at('whole.tar'));
    writeFileSync(at('cut.tar'), readFileSync(at('whole.tar')).subarray(0, 3000));
    expect(await refusalOf(open(at('cut.tar')))).toContain('ends in the middle');
    writeFileSync(at('a.tar.gz'), Buffer.from([0x1f, 0x8b, 8, 0]));
    expect(await refusalOf(open(at('a.tar.gz')))).toContain('compressed as a whole');
    writeFileSync(
      at('a.sif'),
      Buffer.concat([Buffer.alloc(32), Buffer.from('SIF_MAGIC\0'), Buffer.alloc(600)]),
    );
    expect(await refusalOf(open(at('a.sif')))).toContain('it is a SIF file');
    writeFileSync(at('text'), 'text '.repeat(200));
    expect(await refusalOf(open(at('text')))).toContain('neither an archive nor a SIF file');
    const damaged = readFileSync(at('whole.tar'));
    damaged[150] = 0x37;
    writeFileSync(at('damaged.tar'), damaged);
    expect(await refusalOf(open(at('damaged.tar')))).toMatch(/^invalid-request: .*checksum/);
  });

  test('as a directory is read below it alone', async () => {
    mkdirSync(at('layout/blobs/sha256'), { recursive: true });
    const blob = (digest: string) => at(`layout/blobs/sha256/${digest.slice('sha256:'.length)}`);
    writeFileSync(blob(image.manifest.descriptor.digest), image.manifest.bytes);
    writeFileSync(blob(image.config.descriptor.digest), image.config.bytes);
    const list = { schemaVersion: 2, manifests: [image.manifest.descriptor] };
    writeFileSync(at('layout/index.json'), JSON.stringify(list));
    const { keptAs, image: again } = await open(at('layout'));
    expect([keptAs, again.name]).toEqual(['oci', 'localhost/image:latest']);
    expect(await refusalOf(prove(again.layers[0]!, never))).toContain('not-found');
    symlinkSync('/dev/null', blob(image.layers[0]!.descriptor.digest));
    expect(await refusalOf(prove(again.layers[0]!, never))).toContain('invalid-request');
    expect(await refusalOf(open(directory))).toContain('the directory is no OCI layout');
  });
});

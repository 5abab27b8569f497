import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { putImage } from '../../fixtures/misbehaving/registry.ts';
import { makeImage, tarOf, writeImage } from '../image/busybox-image.ts';
import { closeScene, registry } from '../image/scene.ts';
import { bridle, scratch } from './run-command.ts';

afterEach(closeScene);

const TARS = [
  tarOf([
    { name: 'etc/', type: 'directory' },
    { name: 'etc/old', content: Buffer.from('old') },
    { name: 'etc/kept', content: Buffer.from('kept') },
  ]),
  tarOf([
    { name: 'etc/.wh.old', content: Buffer.alloc(0) },
    { name: 'etc/new', content: Buffer.from('new') },
  ]),
];

async function madeIn(cwd: string) {
  await writeImage(makeImage({ layers: TARS }), 'hybrid', join(cwd, 'a.tar'));
  return readFileSync(join(cwd, 'a.tar'));
}

describe('bridle image convert', () => {
  test('leads from each format to each other, and back to the same bytes', async () => {
    const cwd = scratch();
    const first = await madeIn(cwd);
    for (const [from, to] of [
      ['a.tar', 'oci-archive:b.tar'],
      ['b.tar', 'oci:layout'],
      ['layout', 'hybrid.tar'],
      ['a.tar', 'docker-archive:c.tar'],
    ]) {
      const told = await bridle(['image', 'convert', from!, to!], { cwd });
      expect(told).toMatchObject({ status: 0, stderr: '' });
      expect(told.stdout).toContain(`linux/amd64, 2 layers, `);
    }
    expect(readFileSync(join(cwd, 'hybrid.tar')).equals(first)).toBe(true);
    const verified = await bridle(['image', 'verify', 'c.tar', './a.tar'], { cwd });
    expect(verified).toMatchObject({ status: 0 });
  });

  test('to a sandbox leaves what the layers make, with what apptainer looks for', async () => {
    const cwd = scratch();
    await madeIn(cwd);
    const told = await bridle(['image', 'convert', '--format', 'sandbox', '--json', 'a.tar', 'box'], { cwd });
    expect(told).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(told.stdout)).toMatchObject({ format: 'sandbox', file: join(cwd, 'box'), layers: 2 });
    expect(readFileSync(join(cwd, 'box/etc/new'), 'utf8')).toBe('new');
    expect(readFileSync(join(cwd, 'box/etc/kept'), 'utf8')).toBe('kept');
    expect(existsSync(join(cwd, 'box/etc/old'))).toBe(false);
    expect(existsSync(join(cwd, 'box/.singularity.d/runscript'))).toBe(true);
  });

  test('P1 S8 of a layer that was changed leaves nothing, whatever it is to become', async () => {
    const cwd = scratch();
    const bytes = await madeIn(cwd);
    const [layer] = makeImage({ layers: TARS }).layers;
    const at = bytes.lastIndexOf(`blobs/sha256/${layer!.descriptor.digest.slice(7)}`);
    bytes[at + 512 + layer!.descriptor.size - 1]! ^= 1;
    writeFileSync(join(cwd, 'a.tar'), bytes);
    for (const to of ['oci-archive:x.tar', 'sandbox:box']) {
      const { status, stderr } = await bridle(['image', 'convert', 'a.tar', to], { cwd });
      expect([status, stderr]).toEqual([1, expect.stringContaining('expected `sha256:')]);
    }
    expect(readdirSync(cwd).filter((name) => /^(x|box)/.test(name))).toEqual([]);
  });

  test('does not put a sandbox into a directory that has something in it', async () => {
    const cwd = scratch();
    await madeIn(cwd);
    const { status, stderr } = await bridle(['image', 'convert', 'a.tar', 'sandbox:.'], { cwd });
    expect(status).toBe(1);
    expect(stderr).toContain('it is no empty directory');
  });
});

test('`image pull` keeps an image as a sandbox', async () => {
  const started = await registry();
  putImage(started, { repository: 'a/b', tag: '1' }, TARS);
  const cwd = scratch();
  const pulled = await bridle(['image', 'pull', `${started.authority}/a/b:1`, 'sandbox:box'], { cwd });
  expect(pulled).toMatchObject({ status: 0, stderr: '' });
  expect(readdirSync(join(cwd, 'box/etc')).sort()).toEqual(['hosts', 'kept', 'new', 'resolv.conf']);
});

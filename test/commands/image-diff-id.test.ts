import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { type MemoryRegistry, sha256 } from '../../fixtures/misbehaving/registry.ts';
import { makeImage, tarOf, writeImage } from '../image/busybox-image.ts';
import { closeScene, registry } from '../image/scene.ts';
import { bridle, scratch } from './run-command.ts';

afterEach(closeScene);

const TYPES = 'application/vnd.oci.image';
/** Of more than one chunk, and whose bytes as stored are many, too. */
const TAR = tarOf([{ name: 'data', content: randomBytes(3_000_000) }]);
const OTHER = tarOf([{ name: 'data', content: Buffer.from('other') }]);

/** An image whose layer is exactly what the manifest says, and not what the configuration says of its content. */
function putLying(to: MemoryRegistry, layer: Uint8Array, diffId: string): string {
  const stored = to.putBlob(layer);
  const platform = { os: 'linux', architecture: 'amd64' };
  const config = to.putBlob(
    Buffer.from(JSON.stringify({ ...platform, config: {}, rootfs: { type: 'layers', diff_ids: [diffId] } })),
  );
  to.putManifest('lying', '1', `${TYPES}.manifest.v1+json`, {
    schemaVersion: 2,
    mediaType: `${TYPES}.manifest.v1+json`,
    config: { mediaType: `${TYPES}.config.v1+json`, ...config },
    layers: [{ mediaType: `${TYPES}.layer.v1.tar+gzip`, ...stored }],
  });
  return `docker://${to.authority}/lying:1`;
}

describe('a layer that holds something else than its configuration says', () => {
  test.each([
    ['image', 'pull', '--format', 'hybrid'],
    ['image', 'pull', '--format', 'docker-archive'],
    ['image', 'pull', '--format', 'oci'],
    ['image', 'pull', '--cache', 'cache'],
    ['cp', '-q', '-m', '1'],
  ])('S8 P1 is refused by bridle %s %s %s %s, and nothing is kept', async (...words) => {
    const name = putLying(await registry(), gzipSync(TAR), sha256(OTHER));
    const cwd = scratch();
    const told = await bridle([...words, name, 'kept'], { cwd });
    expect(told).toMatchObject({ status: 1, stdout: '' });
    expect(told.stderr).toContain(`expected ${sha256(OTHER)}, got ${sha256(TAR)}`);
    const isDirectory = words.includes('oci');
    expect(existsSync(join(cwd, 'kept', 'index.json'))).toBe(false);
    expect(existsSync(join(cwd, 'kept'))).toBe(isDirectory);
  });

  test.each(['oci-archive:b', 'oci:b'])('S8 P1 is refused by bridle image convert to %s', async (to) => {
    const cwd = scratch();
    const image = makeImage({ layers: [TAR] });
    const lying = makeImage({ layers: [OTHER] });
    // The layer of one with the configuration of the other: what is stored has the digest that the manifest says.
    const [layer] = image.layers;
    await writeImage({ ...lying, layers: [layer!] }, 'docker-archive', join(cwd, 'a'));
    const told = await bridle(['image', 'convert', 'a', to], { cwd });
    expect(told).toMatchObject({ status: 1, stdout: '' });
    expect(told.stderr).toContain(`expected ${sha256(OTHER)}, got ${sha256(TAR)}`);
    rmSync(join(cwd, 'a'));
    expect(readdirSync(cwd).filter((one) => !one.startsWith('.') && one !== 'b')).toEqual([]);
  });

  test('S8 whose gzip data is cut is told by its digest where that is wrong, else by what it is', async () => {
    const cwd = scratch();
    const host = await registry();
    const name = putLying(host, gzipSync(TAR).subarray(0, -100), sha256(TAR));
    const told = await bridle(['image', 'pull', name, 'kept'], { cwd });
    expect(told).toMatchObject({ status: 1, stdout: '' });
    expect(told.stderr).toMatch(/unpacking gzip: /);
    expect(existsSync(join(cwd, 'kept'))).toBe(false);
  });
});

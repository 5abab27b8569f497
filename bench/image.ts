// What the rows about images run: `image.mjs sif OUT LAYER…` writes a SIF file, `image.mjs tar LAYER…` prints the merged archive,
// `image.mjs inflate LAYER` inflates one to nowhere.
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { stdout } from 'node:process';
import { pipeline } from 'node:stream/promises';
import type { Image, Layer } from '../src/image/image.ts';
import { flatten } from '../src/image/layers/flatten.ts';
import { uncompressed } from '../src/image/layers/uncompressed.ts';
import { writeSif } from '../src/image/sif/write.ts';

const { signal } = new AbortController();
const [, , mode = '', ...words] = process.argv;

/** A layer in a file. */
function layerOf(path: string): Omit<Layer, 'diffId'> {
  const { size } = statSync(path);
  return {
    descriptor: { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: path, size },
    read: async () => createReadStream(path, { highWaterMark: 1024 * 1024 }),
  };
}

/** The same with its diff id, which lies beside it. */
const layerIn = (path: string): Layer => ({
  ...layerOf(path),
  diffId: readFileSync(`${path}.diffid`, 'utf8').trim(),
});

const config = Buffer.from('{"config":{"Cmd":["sh"]}}');
const descriptor = {
  mediaType: '',
  digest: `sha256:${createHash('sha256').update(config).digest('hex')}`,
  size: config.length,
};

if (mode === 'sif') {
  const [to = '', ...paths] = words;
  const image: Image = {
    name: 'bench.example/image:1',
    manifest: { descriptor, bytes: config },
    config: { descriptor, bytes: config },
    platform: { os: 'linux', architecture: 'amd64' },
    layers: paths.map(layerIn),
  };
  await writeSif(image, to, { signal, path: process.env.PATH ?? '' });
} else if (mode === 'inflate') {
  for (const path of words) {
    const layer = { ...layerOf(path), diffId: `sha256:${'0'.repeat(64)}` };
    for await (const _ of await uncompressed(layer, signal, { isKnown: true }));
  }
} else {
  await pipeline(flatten(words.map(layerIn), signal), stdout);
}

// What the rows about images run: `image.mjs sif OUT LAYER…` writes a SIF file, `image.mjs tar LAYER…` prints the merged archive.
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { stdout } from 'node:process';
import { pipeline } from 'node:stream/promises';
import type { Image, Layer } from '../src/image/image.ts';
import { flatten } from '../src/image/layers/flatten.ts';
import { writeSif } from '../src/image/sif/write.ts';

const { signal } = new AbortController();
const [, , mode = '', ...words] = process.argv;

/** A layer in a file, with its diff id beside it. */
function layerIn(path: string): Layer {
  const { size } = statSync(path);
  return {
    descriptor: { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: path, size },
    diffId: readFileSync(`${path}.diffid`, 'utf8').trim(),
    read: async () => createReadStream(path, { highWaterMark: 1024 * 1024 }),
  };
}

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
} else {
  await pipeline(flatten(words.map(layerIn), signal), stdout);
}

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { makeContent } from '../fixtures/misbehaving/content.ts';
import { bodyPadding, END_OF_ARCHIVE, memberHeader } from '../src/image/tar/write.ts';
import { mixedArchive } from './mixed-content.ts';
import type { Stage } from './stage.ts';

const TYPES = 'application/vnd.oci.image';

/** An image in a registry of its own. */
export interface PushedImage {
  /** `127.0.0.1:PORT/name:tag`. */
  readonly name: string;
  readonly port: number;
  /** Bytes of all layers as stored. */
  readonly bytes: number;
  /** The same as an OCI layout, and the files of its layers there, with the diff id beside each. */
  readonly layout: string;
  readonly layers: readonly string[];
}

export interface ImageToPush {
  readonly layers: number;
  /** Bytes of each layer, uncompressed. */
  readonly size: number;
  /** As images are, gzip leaves less than half; without, one file a layer that does not compress. */
  readonly isMixed?: boolean;
}

/** Pushes an image of gzipped layers: mixed ones as docker compresses them, others as fast as may be. */
export async function pushImage(stage: Stage, image: ImageToPush): Promise<PushedImage> {
  const { layers, size, isMixed = false } = image;
  const registry = await stage.server('registry');
  const layout = await stage.folder('layout');
  const keep = async (bytes: Uint8Array, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(layout, 'blobs/sha256', hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  const diffIds: string[] = [];
  const kept: Awaited<ReturnType<typeof keep>>[] = [];
  const files: string[] = [];
  const make = async (index: number) => {
    const archive = Buffer.concat([...(isMixed ? mixedArchive(size, index) : oneFile(size, index))]);
    const diffId = `sha256:${createHash('sha256').update(archive).digest('hex')}`;
    const layer = await keep(await compress(archive, isMixed ? 6 : 1), `${TYPES}.layer.v1.tar+gzip`);
    const file = join(layout, 'blobs', layer.digest.replace(':', '/'));
    await writeFile(`${file}.diffid`, diffId);
    return { layer, diffId, file };
  };
  for (let index = 1; index <= layers; index += 2) {
    const both = index < layers ? [index, index + 1] : [index];
    for (const { layer, diffId, file } of await Promise.all(both.map(make))) {
      kept.push(layer);
      diffIds.push(diffId);
      files.push(file);
    }
  }
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const platform = { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' };
  const rootfs = { type: 'layers', diff_ids: diffIds };
  const config = await keep(json({ ...platform, config: {}, rootfs }), `${TYPES}.config.v1+json`);
  const type = `${TYPES}.manifest.v1+json`;
  const manifest = await keep(json({ schemaVersion: 2, mediaType: type, config, layers: kept }), type);
  await writeFile(join(layout, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  await writeFile(join(layout, 'index.json'), json({ schemaVersion: 2, manifests: [manifest] }));
  const name = `${registry.open}/bench/image:1`;
  await promisify(execFile)(stage.bridle, ['image', 'push', '-q', `oci:${layout}`, name]);
  const bytes = kept.reduce((sum, one) => sum + one.size, config.size);
  return { name, port: Number(registry.open.split(':')[1]), bytes, layout, layers: files };
}

function* oneFile(size: number, seed: number): Generator<Uint8Array> {
  yield memberHeader({ name: `file-${seed}`, size });
  yield* makeContent(size, seed).blocks();
  yield bodyPadding(size);
  yield END_OF_ARCHIVE;
}

function compress(bytes: Uint8Array, level: number): Promise<Buffer> {
  return promisify<Uint8Array, { level: number }, Buffer>(gzip)(bytes, { level });
}

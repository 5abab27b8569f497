import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { makeContent } from '../fixtures/misbehaving/content.ts';
import { bodyPadding, END_OF_ARCHIVE, memberHeader } from '../src/image/tar/write.ts';
import type { Stage } from './stage.ts';

const TYPES = 'application/vnd.oci.image';

/** An image in a registry of its own. */
export interface PushedImage {
  /** `127.0.0.1:PORT/name:tag`. */
  readonly name: string;
  readonly port: number;
  /** Bytes of all layers as stored. */
  readonly bytes: number;
}

/** Pushes an image of gzipped layers whose files do not compress, `size` bytes each. */
export async function pushImage(stage: Stage, layers: number, size: number): Promise<PushedImage> {
  const registry = await stage.server('registry');
  const layout = await stage.folder('layout');
  const keep = async (bytes: Uint8Array, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(layout, 'blobs/sha256', hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  const [kept, diffIds]: [Awaited<ReturnType<typeof keep>>[], string[]] = [[], []];
  for (let index = 1; index <= layers; index += 1) {
    const header = memberHeader({ name: `file-${index}`, size });
    const archive = Buffer.concat([
      header,
      ...makeContent(size, index).blocks(),
      bodyPadding(size),
      END_OF_ARCHIVE,
    ]);
    diffIds.push(`sha256:${createHash('sha256').update(archive).digest('hex')}`);
    kept.push(await keep(gzipSync(archive, { level: 1 }), `${TYPES}.layer.v1.tar+gzip`));
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
  return { name, port: Number(registry.open.split(':')[1]), bytes };
}

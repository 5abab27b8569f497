import { basename } from 'node:path';
import { digestFile } from '../../integrity/digest-file.ts';
import { openSource } from '../../local/source.ts';
import { digestOf } from '../documents.ts';
import type { Image } from '../image.ts';
import { MEDIA } from '../media-types.ts';
import { archiveName, type Reference } from '../reference.ts';
import { verified } from '../verified.ts';
import { readSif } from './read.ts';

/** apptainer's configuration of every SIF file: an empty object. */
const CONFIG = Buffer.from('{}');

/**
 * The SIF file at `path` as what a registry keeps of it, as apptainer pushes it: an empty configuration and the file as
 * the one layer, titled with its name, and dated as the file itself says. The same file under the same name is the same
 * artifact. The file is read for its digest, and once more, and compared, when it is sent. Rejects with `invalid-request`
 * for what is no whole SIF file.
 */
export async function sifArtifact(path: string, reference: Reference, signal: AbortSignal): Promise<Image> {
  const { header, architecture } = await readSif(path);
  const { digests, size } = await digestFile({ path, algorithms: ['sha256'] }, signal);
  const config = { mediaType: MEDIA.sifConfig, digest: digestOf(CONFIG), size: CONFIG.length };
  const layer = {
    mediaType: MEDIA.sifLayer,
    digest: `sha256:${digests[0]?.value}`,
    size,
    annotations: { 'org.opencontainers.image.title': basename(path) },
  };
  const created = header.created > 0 ? dateOf(header.created) : undefined;
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: { ...config, data: CONFIG.toString('base64') },
      layers: [layer],
      ...(created === undefined ? {} : { annotations: { 'org.opencontainers.image.created': created } }),
    }),
  );
  return {
    name: archiveName(reference),
    manifest: {
      descriptor: { mediaType: MEDIA.ociManifest, digest: digestOf(manifest), size: manifest.length },
      bytes: manifest,
    },
    config: { descriptor: config, bytes: CONFIG },
    platform: { os: 'linux', architecture: architecture ?? 'unknown' },
    layers: [
      {
        descriptor: layer,
        diffId: layer.digest,
        async read(reading) {
          const { bytes } = await openSource(path, { signal: reading });
          return verified(bytes, layer, `read \`${path}\``);
        },
      },
    ],
  };
}

/** RFC 3339, without fractions; undefined for what is no time. */
function dateOf(seconds: number): string | undefined {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? undefined : `${date.toISOString().slice(0, 19)}Z`;
}

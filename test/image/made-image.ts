import type { Image, Layer } from '../../src/image/image.ts';
import { sha256 } from './layer.ts';

/** An image of these layers, with what a configuration says beside them. */
export function imageOf(layers: readonly Layer[], config: object = {}, architecture = 'amd64'): Image {
  const configBytes = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture,
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    }),
  );
  const descriptor = (mediaType: string, bytes: Uint8Array) => ({
    mediaType,
    digest: sha256(bytes),
    size: bytes.length,
  });
  const configDescriptor = descriptor('application/vnd.oci.image.config.v1+json', configBytes);
  const manifestBytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: configDescriptor,
      layers: layers.map((layer) => layer.descriptor),
    }),
  );
  return {
    name: 'registry.example.org/lab/tool:1.0',
    manifest: {
      descriptor: descriptor('application/vnd.oci.image.manifest.v1+json', manifestBytes),
      bytes: manifestBytes,
    },
    config: { descriptor: configDescriptor, bytes: configBytes },
    platform: { os: 'linux', architecture },
    layers,
  };
}

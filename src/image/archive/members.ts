import { digestOf, hexOf } from '../documents.ts';
import type { Descriptor, Image, Layer } from '../image.ts';
import { MEDIA } from '../media-types.ts';
import { bodyPadding, END_OF_ARCHIVE, memberHeader } from '../tar/write.ts';

/**
 * How an image is kept as one file. `docker-archive`: what `docker save` wrote for ten years, read by everything.
 * `oci-archive`: an OCI layout as a tar archive. `hybrid`: both in one, over the same blobs, as `docker save` writes
 * today; it keeps the manifest, and with it the digest that the image is known by.
 */
export type ArchiveFormat = 'docker-archive' | 'oci-archive' | 'hybrid';

export const ARCHIVE_FORMATS: readonly ArchiveFormat[] = ['hybrid', 'docker-archive', 'oci-archive'];

/** A file of an archive: its bytes, or the layer that they are those of, as stored. */
export interface Content {
  readonly name: string;
  readonly size: number;
  readonly content: Uint8Array | Layer;
}

/** Bytes of an archive that follow one another, from `at` on. */
export type Piece = {
  readonly at: number;
  readonly size: number;
} & ({ readonly bytes: Uint8Array } | { readonly layer: Layer });

export interface Layout {
  readonly pieces: readonly Piece[];
  /** Bytes of the whole archive: known before any layer is read. */
  readonly size: number;
}

/** OCI image specification, `image-layout.md`. */
const OCI_LAYOUT = { imageLayoutVersion: '1.0.0' };
const DIRECTORY_MODE = 0o755;
/** Nobody is to write into what was proven: as `docker save` has it. */
const MODE = 0o444;

/** Where every byte of the archive will stand. The same image in the same format gives the same bytes. */
export function layoutOf(image: Image, format: ArchiveFormat): Layout {
  const pieces: Piece[] = [];
  let at = 0;
  const add = (bytes: Uint8Array) => {
    if (bytes.length === 0) return;
    pieces.push({ at, size: bytes.length, bytes });
    at += bytes.length;
  };
  const directories = new Set<string>();
  for (const { name, size, content } of contentsOf(image, format)) {
    for (const directory of directoriesOf(name)) {
      if (directories.has(directory)) continue;
      directories.add(directory);
      add(memberHeader({ name: directory, type: 'directory', mode: DIRECTORY_MODE, size: 0 }));
    }
    add(memberHeader({ name, size, mode: MODE }));
    if (content instanceof Uint8Array) add(content);
    else {
      pieces.push({ at, size, layer: content });
      at += size;
    }
    add(bodyPadding(size));
  }
  add(END_OF_ARCHIVE);
  return { pieces, size: at };
}

/** Outermost first. Some readers make no directory that the archive does not name, apptainer 1.4 among them. */
function directoriesOf(name: string): readonly string[] {
  return [...name.matchAll(/\//g)].map(({ index }) => name.slice(0, index + 1));
}

/** The files of the archive: what tells of the others first. A layer that is there twice is kept once. */
export function contentsOf(image: Image, format: ArchiveFormat): readonly Content[] {
  const isDocker = format !== 'oci-archive';
  const blobName = format === 'docker-archive' ? plainName : blobPath;
  const layers = new Map(image.layers.map((layer) => [layer.descriptor.digest, layer]));
  const configName =
    format === 'docker-archive'
      ? `${hexOf(image.config.descriptor.digest)}.json`
      : blobPath(image.config.descriptor);
  return [
    ...(format === 'docker-archive' ? [] : layoutFiles(image)),
    ...(isDocker ? [file('manifest.json', json(dockerManifest(image, configName, blobName)))] : []),
    ...(format === 'docker-archive' ? [] : [file(blobPath(image.manifest.descriptor), image.manifest.bytes)]),
    file(configName, image.config.bytes),
    ...[...layers.values()].map((layer) => ({
      name: blobName(layer.descriptor),
      size: layer.descriptor.size,
      content: layer,
    })),
  ];
}

/** The two files of an OCI layout that are no blobs. */
export function layoutFiles(image: Image): readonly Content[] {
  return [file('oci-layout', json(OCI_LAYOUT)), file('index.json', json(indexOf(image)))];
}

/** Where an OCI layout keeps a blob. */
export function blobPath({ digest }: Descriptor): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** A colon would be a drive or a host to some; the end of the name tells how it is compressed to those who look. */
function plainName(descriptor: Descriptor): string {
  const { mediaType } = descriptor;
  const end = /gzip$/.test(mediaType) ? '.tar.gz' : /zstd$/.test(mediaType) ? '.tar.zst' : '.tar';
  return `${hexOf(descriptor.digest)}${end}`;
}

/** One image with one name: what loads it prints a name only then, and who runs it needs one. */
function dockerManifest(image: Image, config: string, nameOf: (descriptor: Descriptor) => string) {
  return [
    {
      Config: config,
      RepoTags: [image.name],
      Layers: image.layers.map(({ descriptor }) => nameOf(descriptor)),
    },
  ];
}

/** The names as skopeo and podman (`ref.name`), and containerd and Docker over it (`image.name`), look for them. */
function indexOf({ name, manifest, platform }: Image) {
  const { mediaType, digest, size } = manifest.descriptor;
  const annotations = {
    'io.containerd.image.name': name,
    'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
  };
  const { os, architecture, variant } = platform;
  const known =
    architecture === 'unknown' ? {} : { platform: { architecture, os, ...(variant ? { variant } : {}) } };
  return {
    schemaVersion: 2,
    mediaType: MEDIA.ociIndex,
    manifests: [{ mediaType, digest, size, annotations, ...known }],
  };
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function file(name: string, content: Uint8Array): Content {
  return { name, size: content.length, content };
}

/** Differs whenever the bytes of the archive do. */
export function layoutVersion(image: Image, format: ArchiveFormat): string {
  return `image ${digestOf(Buffer.from(`${image.manifest.descriptor.digest} ${format} ${image.name}`))}`;
}

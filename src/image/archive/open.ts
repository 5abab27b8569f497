import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { TransferError } from '../../errors.ts';
import { diskCalls, diskKind, readAt } from '../../local/disk.ts';
import { statPath } from '../../local/source.ts';
import {
  type Index,
  type Manifest,
  MOST_CONFIG,
  MOST_MANIFEST,
  type Pointer,
  parseConfig,
  parseDocument,
  requireImage,
} from '../documents.ts';
import type { Descriptor, Image, Platform } from '../image.ts';
import { MEDIA } from '../media-types.ts';
import { choosePlatform, formatPlatform, hostPlatform, imagesIn } from '../platform.ts';
import { beginsAsSif } from '../sif/layout.ts';
import { FIELDS, isZero, readHeader } from '../tar/header.ts';
import { BLOCK } from '../tar/member.ts';
import { requireBlob } from '../verified.ts';
import { GZIP, layerOf, nameOf, openDocker, ZSTD } from './docker.ts';
import { type Files, openDirectory, readWhole } from './files.ts';
import { blobPath } from './members.ts';
import { openTarFiles } from './tar-files.ts';
import { type Listed, pickImages, type Which } from './which.ts';

/** How an image on this machine was kept. */
export type KeptAs = 'docker-archive' | 'oci-archive' | 'oci' | 'hybrid';

export interface OpenedImage {
  readonly image: Image;
  readonly keptAs: KeptAs;
  /** Of the manifest as it was kept; absent where an archive had none, and one was made for it. */
  readonly digest?: string;
  readonly platforms?: readonly Platform[];
}

export interface OpenCall {
  /** One way to read what may be read in two; otherwise what keeps the manifest. */
  readonly as?: KeptAs | undefined;
  /** Which one of several images; without it there may be one alone. */
  readonly which?: Which | undefined;
  readonly platform?: Platform | undefined;
  readonly signal: AbortSignal;
}

const NESTED = 4;
/** How headers of all but the oldest archives are marked (POSIX.1-2017, `pax`). */
const USTAR = 'ustar';

/**
 * The image in a file or directory: a docker-archive, an OCI layout as a tar archive or as a directory, or both in one,
 * told apart by what is in it. Every layer is compared with its digest as it is read. Rejects with `unsupported` for
 * what is none of these, and for several images of which none was named.
 */
export async function openImage(path: string, call: OpenCall): Promise<OpenedImage> {
  const doing = `read the image \`${path}\``;
  const { type } = await statPath(path, { follow: true });
  if (type === 'directory') {
    const files = openDirectory(path);
    if ((await files.size('index.json')) === undefined) {
      throw new TransferError(
        'unsupported',
        `${doing}: the directory is no OCI layout: it has no \`index.json\``,
      );
    }
    return openLayout(files, 'oci', doing, call);
  }
  await refuseOthers(path, doing);
  const files = await openTarFiles(path);
  const [docker, oci] = [await files.size('manifest.json'), await files.size('index.json')];
  if (oci !== undefined && call.as !== 'docker-archive') {
    return openLayout(files, docker === undefined ? 'oci-archive' : 'hybrid', doing, call);
  }
  if (docker !== undefined && call.as !== 'oci-archive') {
    return { image: await openDocker(files, doing, call), keptAs: 'docker-archive' };
  }
  throw new TransferError('unsupported', `${doing}: it has neither \`manifest.json\` nor \`index.json\``);
}

async function refuseOthers(path: string, doing: string): Promise<void> {
  const head = await firstBytes(path, BLOCK);
  const starts = (magic: readonly number[]) => magic.every((byte, index) => head[index] === byte);
  if (beginsAsSif(head)) {
    throw new TransferError('unsupported', `${doing}: it is a SIF file`, {
      hint: 'a SIF file has no layers: `bridle image convert` makes a sandbox of it and nothing else',
    });
  }
  if (starts(GZIP) || starts(ZSTD)) {
    throw new TransferError('unsupported', `${doing}: the archive is compressed as a whole`, {
      hint: 'its layers may be compressed; decompress the archive itself with `gunzip` or `unzstd`',
    });
  }
  if (beginsAsArchive(head)) return;
  const what = head.length === 0 ? 'the file is empty' : 'it is neither an archive nor a SIF file';
  throw new TransferError('unsupported', `${doing}: ${what}`, {
    hint: '`docker save`, `podman save`, `apptainer pull` and `bridle image pull` write files that hold an image',
  });
}

/** An archive begins with a header, or with an end mark. */
function beginsAsArchive(head: Uint8Array): boolean {
  if (head.length < BLOCK) return false;
  const [at] = FIELDS.magic;
  // One that says so and is damaged is refused by where.
  if (Buffer.from(head).toString('latin1', at, at + USTAR.length) === USTAR) return true;
  try {
    return isZero(head) || readHeader(head) !== undefined;
  } catch {
    return false;
  }
}

async function firstBytes(path: string, count: number): Promise<Buffer> {
  const kind = diskKind(dirname(path));
  const calls = diskCalls(kind);
  const fd = await calls.open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(count);
    return buffer.subarray(0, await readAt(fd, buffer, 0, kind));
  } finally {
    await calls.close(fd);
  }
}

async function openLayout(files: Files, keptAs: KeptAs, doing: string, call: OpenCall): Promise<OpenedImage> {
  const bytes = await readWhole(files, 'index.json', MOST_MANIFEST, doing, call.signal);
  const index = parseDocument(bytes, MEDIA.ociIndex, `${doing}: index.json`);
  if (index.kind !== 'index') throw new TransferError('unexpected', `${doing}: index.json is no index`);
  const all = imagesIn(index.entries).map((entry) => ({ entry, names: namesOf(entry) }));
  const images = pickImages(onlyOnce(all, call.which), call.which, doing);
  const [only] = images;
  const { platform } = call;
  const chosen = images.length === 1 ? only : choosePlatform(images, platform ?? hostPlatform());
  if (!chosen) {
    throw new TransferError(
      'unsupported',
      `${doing}: expected one image for this platform, it has ${images.length}`,
      {
        hint: `it has ${images.map((image) => (image.platform ? formatPlatform(image.platform) : image.digest)).join(', ')}`,
      },
    );
  }
  const { manifest, manifestBytes, descriptor, platforms } = await manifestOf(files, chosen, doing, call, 0);
  requireImage(manifest, doing);
  const config = await blob(files, manifest.config, MOST_CONFIG, doing, call.signal);
  const { platform: made, diffIds } = parseConfig(config, manifest.layers.length, `${doing}: configuration`);
  const image: Image = {
    name: nameOf(namesOf(chosen)[0]),
    manifest: { descriptor, bytes: manifestBytes },
    config: { descriptor: manifest.config, bytes: config },
    platform: made,
    layers: manifest.layers.map((pointer, at) =>
      layerOf(files, pointer, blobPath(pointer), diffIds[at] ?? ''),
    ),
  };
  return { image, keptAs, digest: descriptor.digest, ...(platforms ? { platforms } : {}) };
}

function namesOf({ annotations = {} }: Descriptor): readonly string[] {
  const names = [annotations['io.containerd.image.name'], annotations['org.opencontainers.image.ref.name']];
  return names.filter((name) => name !== undefined);
}

/** An image of several names is one image when nobody asks by name or place. */
function onlyOnce<E extends Listed<Descriptor>>(all: readonly E[], which: Which | undefined): readonly E[] {
  if (which !== undefined) return all;
  return all.filter(({ entry }, at) => all.findIndex((other) => other.entry.digest === entry.digest) === at);
}

interface Chosen {
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly descriptor: Descriptor;
  readonly platforms: readonly Platform[] | undefined;
}

/** The manifest that an entry of the index leads to, through as many indexes as it takes. */
async function manifestOf(
  files: Files,
  pointer: Pointer,
  doing: string,
  call: OpenCall,
  depth: number,
): Promise<Chosen> {
  const bytes = await blob(files, pointer, MOST_MANIFEST, doing, call.signal);
  const parsed: Manifest | Index = parseDocument(bytes, pointer.mediaType, `${doing}: ${pointer.digest}`);
  if (parsed.kind === 'manifest') {
    const { digest, size } = pointer;
    const descriptor = { mediaType: parsed.mediaType, digest, size };
    return { manifest: parsed, manifestBytes: bytes, descriptor, platforms: undefined };
  }
  const wanted = call.platform ?? hostPlatform();
  const images = imagesIn(parsed.entries);
  const chosen = choosePlatform(images, wanted);
  if (!chosen || depth === NESTED) {
    const has = images.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : []));
    throw new TransferError('not-found', `${doing}: it has nothing for ${formatPlatform(wanted)}`, {
      hint: `it has ${has.join(', ') || 'no platforms'}`,
    });
  }
  const platforms = images.flatMap(({ platform }) => (platform ? [platform] : []));
  const found: Awaited<ReturnType<typeof manifestOf>> = await manifestOf(
    files,
    chosen,
    doing,
    call,
    depth + 1,
  );
  return { ...found, platforms };
}

async function blob(
  files: Files,
  pointer: Pointer,
  most: number,
  doing: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const bytes = pointer.data ?? (await readWhole(files, blobPath(pointer), most, doing, signal));
  requireBlob(bytes, pointer, `${doing}: ${pointer.digest}`);
  return bytes;
}

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { type ArchiveFormat, layoutOf } from '../../src/image/archive/members.ts';
import { archiveBytes } from '../../src/image/archive/stream.ts';
import type { Image, Layer } from '../../src/image/image.ts';
import { bodyPadding, END_OF_ARCHIVE, type MemberToWrite, memberHeader } from '../../src/image/tar/write.ts';
import { verified } from '../../src/image/verified.ts';
import { never } from '../http/scripted.ts';
import { collect } from './scene.ts';

const TYPES = 'application/vnd.oci.image';

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A tar archive of these files. */
export function tarOf(members: readonly (MemberToWrite & { readonly content?: Uint8Array })[]): Buffer {
  const parts = members.flatMap(({ content = new Uint8Array(0), ...member }) => [
    memberHeader({ ...member, size: content.length }),
    content,
    bodyPadding(content.length),
  ]);
  return Buffer.concat([...parts, END_OF_ARCHIVE]);
}

export interface ImageToMake {
  readonly name?: string;
  /** Uncompressed tar archives, lowest first. */
  readonly layers: readonly Uint8Array[];
  /** Stored as they are, not gzipped. */
  readonly isPlain?: boolean;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** An image in memory. */
export function makeImage({
  name = 'docker.io/test/made:1',
  layers,
  isPlain = false,
  config = {},
}: ImageToMake): Image {
  const made = layers.map((tar): Layer => {
    const bytes = isPlain ? tar : gzipSync(tar);
    const mediaType = `${TYPES}.layer.v1.tar${isPlain ? '' : '+gzip'}`;
    const descriptor = { mediaType, digest: sha256(bytes), size: bytes.length };
    return { descriptor, diffId: sha256(tar), read: async () => verified(one(bytes), descriptor, 'read') };
  });
  const rootfs = { type: 'layers', diff_ids: layers.map(sha256) };
  const platform = { os: 'linux', architecture: 'amd64' };
  const configBytes = Buffer.from(JSON.stringify({ ...platform, config, rootfs }));
  const configDescriptor = {
    mediaType: `${TYPES}.config.v1+json`,
    digest: sha256(configBytes),
    size: configBytes.length,
  };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${TYPES}.manifest.v1+json`,
      config: configDescriptor,
      layers: made.map(({ descriptor }) => descriptor),
    }),
  );
  const mediaType = `${TYPES}.manifest.v1+json`;
  return {
    name,
    manifest: { descriptor: { mediaType, digest: sha256(manifest), size: manifest.length }, bytes: manifest },
    config: { descriptor: configDescriptor, bytes: configBytes },
    platform,
    layers: made,
  };
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Writes the image to a file. */
export async function writeImage(image: Image, format: ArchiveFormat, path: string): Promise<void> {
  writeFileSync(path, await collect(archiveBytes(layoutOf(image, format), { start: 0 }, never)));
}

/** An image that runs: Debian's busybox, which needs nothing else. */
export function busyboxImage(busybox: string, more: Partial<ImageToMake> = {}): Image {
  const base = tarOf([
    { name: 'bin/', type: 'directory' },
    { name: 'bin/busybox', mode: 0o755, content: readFileSync(busybox) },
    { name: 'bin/sh', type: 'symlink', link: 'busybox' },
    { name: 'bin/echo', type: 'symlink', link: 'busybox' },
    { name: 'bin/cat', type: 'symlink', link: 'busybox' },
  ]);
  const top = tarOf([{ name: 'greeting', content: Buffer.from('from the second layer\n') }]);
  return makeImage({ layers: [base, top], config: { Cmd: ['/bin/cat', '/greeting'] }, ...more });
}

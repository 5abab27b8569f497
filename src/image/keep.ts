import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cache } from '../cache/cache.ts';
import { systemClock } from '../clock.ts';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import { retryUnit } from '../layers.ts';
import { writeStaged } from '../local/sink.ts';
import type { Bytes } from '../protocol.ts';
import { type ArchiveFormat, blobPath, layoutFiles, layoutOf } from './archive/members.ts';
import { archiveBytes } from './archive/stream.ts';
import { distinct, type FetchableLayer, type StoreEvents, storeLayers } from './blob-store.ts';
import type { Image } from './image.ts';
import { keepCached } from './keep-cached.ts';
import { keepCachedSif } from './keep-cached-sif.ts';
import { prove } from './layers/prove.ts';
import { fetchable } from './local-layer.ts';
import { writeSandbox } from './sandbox.ts';
import { writeSif } from './sif/write.ts';

/** An archive, an OCI layout as a directory, or what apptainer runs: a file or a directory. */
export type KeepFormat = ArchiveFormat | 'oci' | 'sif' | 'sandbox';

export interface KeepCall extends StoreEvents {
  /** The file or, for `oci`, the directory. */
  readonly path: string;
  readonly format: KeepFormat;
  /** Where layers lie until the archive is written, and stay when that is broken off. */
  readonly spool: string;
  /** Directories of the programs that a SIF file takes, as `PATH` has them. */
  readonly programs?: string;
  readonly signal: AbortSignal;
  /** Keeps the layers, and the archive, for other pulls; the one that the image was found with. */
  readonly cache?: Cache | undefined;
  /** Told what was left out of a directory. */
  readonly onNote?: (note: string) => void;
}

type RemoteImage = Image & { readonly layers: readonly FetchableLayer[] };

/**
 * Fetches an image and keeps it on this machine. Layers come several at a time; the archive, or the list that makes a
 * directory an image, is seen once everything is there and right. Resolves with the bytes of the archive, or of all layers.
 */
export async function keepImage(image: RemoteImage, call: KeepCall): Promise<number> {
  const { format, spool, cache } = call;
  if (format === 'oci') return keepDirectory(image, call);
  if (cache && format === 'sif') {
    return keepCachedSif(image, { ...call, programs: call.programs ?? '' }, cache);
  }
  if (cache && format !== 'sif' && format !== 'sandbox') return keepCached(image, { ...call, format }, cache);
  const layers = await storeLayers(image.layers, { ...call, directory: spool, isSpool: true });
  const { bytes: size, notes } = await convertImage({ ...image, layers }, call);
  for (const note of notes) call.onNote?.(note);
  for (const { descriptor } of image.layers) {
    await rm(join(spool, descriptor.digest.replace(':', '/')), { force: true });
  }
  return size;
}

export interface Converted {
  /** Of the file, or of all files or layers in the directory. */
  readonly bytes: number;
  /** What was left out, a sentence each. */
  readonly notes: readonly string[];
}

/**
 * Keeps an image that is on this machine already in another format. What was at `path` is replaced in one step, but for
 * directories, which must be empty or, for `oci`, a layout. Rejects as `writeSif` and `extract` do.
 */
export async function convertImage(image: Image, call: Omit<KeepCall, 'spool'>): Promise<Converted> {
  const { format, path, signal, programs = '' } = call;
  if (format === 'sandbox') return writeSandbox(image, path, signal);
  const bytes =
    format === 'sif'
      ? (await writeSif(image, path, { signal, path: programs })).size
      : format === 'oci'
        ? await keepDirectory({ ...image, layers: image.layers.map(fetchable) }, call)
        : await keepArchive(image, path, format, signal);
  return { bytes, notes: [] };
}

async function keepArchive(
  image: Image,
  path: string,
  format: ArchiveFormat,
  signal: AbortSignal,
): Promise<number> {
  const layout = layoutOf(image, format);
  await write(path, archiveBytes(layout, { start: 0 }, signal), layout.size, signal);
  return layout.size;
}

async function keepDirectory(image: RemoteImage, call: Omit<KeepCall, 'spool'>): Promise<number> {
  const { path, signal } = call;
  await refuseForeign(path);
  const layers = await storeLayers(image.layers, { ...call, directory: join(path, 'blobs') });
  for (const layer of distinct(layers)) await prove(layer, signal);
  for (const { descriptor, bytes } of [image.config, image.manifest]) {
    await write(join(path, blobPath(descriptor)), one(bytes), bytes.length, signal);
  }
  // The list last: what it names is there then.
  for (const { name, content } of layoutFiles(image)) {
    if (content instanceof Uint8Array) await write(join(path, name), one(content), content.length, signal);
  }
  return image.layers.reduce((total, { descriptor }) => total + descriptor.size, 0);
}

/** A directory of something else must not become an image. */
async function refuseForeign(path: string): Promise<void> {
  try {
    const names = await readdir(path);
    const isOurs = names.length === 0 || names.includes('oci-layout') || names.includes('blobs');
    if (isOurs) return;
    throw new TransferError(
      'already-exists',
      `write \`${path}\`: the directory holds something else than an image`,
      { hint: 'name a new directory, or an empty one' },
    );
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw toTransferError(error, `write \`${path}\``);
    await mkdir(path, { recursive: true });
  }
}

async function write(path: string, bytes: Bytes, size: number, signal: AbortSignal): Promise<void> {
  const key = createHash('sha256').update(`image ${path}`).digest('hex').slice(0, 32);
  const retry = retryUnit(systemClock, Math.random, signal);
  const staged = await writeStaged(path, bytes, { size, key, signal, retry });
  await staged.commit(signal);
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

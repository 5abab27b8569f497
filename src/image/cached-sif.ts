import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Cache, Obtained } from '../cache/cache.ts';
import { TransferError, toTransferError } from '../errors.ts';
import { makeScratchDirectory } from '../local/scratch-directory.ts';
import { openSource } from '../local/source.ts';
import type { Bytes } from '../protocol.ts';
import { type CachedImage, type CacheLayersCall, cacheLayers } from './keep-cached.ts';
import { findPacker, type Packer } from './sif/packer.ts';
import { writeSif } from './sif/write.ts';

/** Goes up with every change to the bytes of a SIF file: those of another version are not found any more. */
const FORMAT_VERSION = 3;
/** Runnable, as apptainer leaves it; nobody is to write into what others have, too. */
const MODE = 0o555;
/** Milliseconds that are waited for whoever makes the file, which grows only once it is made. One who dies is noticed at once. */
const PATIENCE = 3_600_000;

export interface CachedSifCall extends CacheLayersCall {
  /** A directory for files of the size of the image. */
  readonly scratch: string;
  /** Directories of programs, as `PATH` has them. */
  readonly programs: string;
}

export interface CachedSif extends Obtained {
  readonly packer: Packer;
}

/**
 * The SIF file of an image, out of the cache: made by one process of the machine, of layers that come by way of the cache,
 * too. Its digest is that which was taken when it was made; who uses it compares. Rejects as `writeSif` does.
 */
export async function obtainSif(image: CachedImage, call: CachedSifCall, cache: Cache): Promise<CachedSif> {
  const packer = findPacker(call.programs);
  const subject = sifSubject(image, packer);
  const found = cache.find(subject);
  if (found) return { ...found, packer };
  await cacheLayers(image.layers, call);
  const wanted = {
    subject,
    name: image.name,
    wholly: true,
    mode: MODE,
    patience: PATIENCE,
    fetch: async (_: number, signal: AbortSignal) => made(image, { ...call, signal }),
  };
  return { ...(await cache.obtain(wanted, { signal: call.signal })), packer };
}

/** Removes the file from the cache: what came out of it was wrong. */
export function dropSif(image: CachedImage, programs: string, cache: Cache): void {
  cache.drop(sifSubject(image, findPacker(programs)));
}

/** What the cache knows it by. Another release of a packer may make other bytes of the same image. */
export function sifSubject(image: CachedImage, { name, file }: Packer) {
  const { size, mtimeMs } = statSync(file);
  const { digest } = image.manifest.descriptor;
  return { key: `image sif ${FORMAT_VERSION} ${image.name} ${digest} ${name} ${size} ${mtimeMs}` };
}

async function* made(image: CachedImage, { scratch, programs, signal }: CachedSifCall): Bytes {
  const doing = `make a SIF file of \`${image.name}\` in \`${scratch}\``;
  const directory = await makeScratchDirectory(join(scratch, 'image.sif')).catch((error: unknown) => {
    throw toTransferError(error, doing);
  });
  try {
    const path = join(directory.path, 'image.sif');
    await writeSif(image, path, { signal, path: programs });
    yield* (await openSource(path, { signal })).bytes;
  } catch (error) {
    throw error instanceof TransferError ? error : toTransferError(error, doing);
  } finally {
    await directory.close();
  }
}

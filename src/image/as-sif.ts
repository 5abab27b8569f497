import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cache } from '../cache/cache.ts';
import { readAndClose } from '../cache/read.ts';
import { TransferError, toTransferError } from '../errors.ts';
import { makeScratchDirectory, type ScratchDirectory } from '../local/scratch-directory.ts';
import { openSource } from '../local/source.ts';
import type { ReadCall, Source } from '../protocol.ts';
import { type FetchableLayer, storeLayers } from './blob-store.ts';
import { dropSif, obtainSif } from './cached-sif.ts';
import type { Image } from './image.ts';
import type { CachedImage } from './keep-cached.ts';
import { writeSif } from './sif/write.ts';

/** Where SIF files are made, and by what. */
export interface SifTools {
  /** Keeps what is made for other processes of the machine. */
  readonly cache?: Cache | undefined;
  /** A directory for files of the size of the image. */
  readonly scratch: string;
  /** Directories of programs, as `PATH` has them. */
  readonly programs: string;
}

/** The image as a SIF file that can be read, again and from any place on, until it was read to its end. */
export interface SifFile {
  read(image: Image & { readonly layers: readonly FetchableLayer[] }, call: ReadCall): Promise<Source>;
  close(): Promise<void>;
}

/** Runnable, as apptainer leaves it. */
const MODE = 0o755;

interface Made {
  readonly directory: ScratchDirectory;
  readonly path: string;
  readonly sha256: string;
  readonly size: number;
  readonly packer: string;
}

/**
 * Makes the file when it is first read: a SIF file has to be whole before its first byte is known. It lies in a
 * directory of its own that is gone after `close`, and as soon as it was read to its end.
 */
export function createSifFile(tools: SifTools): SifFile {
  let made: Promise<Made> | undefined;

  async function drop(): Promise<void> {
    const last = made;
    made = undefined;
    const found = await last?.catch(() => undefined);
    await found?.directory.close();
  }

  return {
    async read(image, call) {
      if (tools.cache) return readCached(image, tools, tools.cache, call);
      if (call.fresh) await drop();
      made ??= make(image, tools, call.signal);
      let file: Made;
      try {
        file = await made;
      } catch (error) {
        made = undefined;
        throw error;
      }
      const version = versionOf(file.sha256, image, call);
      const source = await openSource(file.path, { signal: call.signal, range: call.range });
      return {
        type: 'file',
        size: file.size,
        mode: MODE,
        version,
        digests: [{ algorithm: 'sha256', value: file.sha256 }],
        bytes: untilEnd(source, drop),
        note: `a SIF file, made with ${file.packer}`,
        discard: async () => source.discard?.(),
      };
    },
    close: drop,
  };
}

/** The version of the file; throws `changed` when it is not that which was asked for. */
function versionOf(sha256: string, image: Image, call: ReadCall): string {
  const version = `sif ${sha256}`;
  if (call.version === undefined || call.version === version) return version;
  throw new TransferError('changed', `read \`${image.name}\`: it is no longer the image that was asked for`);
}

async function readCached(
  image: CachedImage,
  tools: SifTools,
  cache: Cache,
  call: ReadCall,
): Promise<Source> {
  const { signal, range } = call;
  if (call.fresh) dropSif(image, tools.programs, cache);
  const kept = await obtainSif(image, { ...tools, signal }, cache);
  const opened = readAndClose(kept, { signal, range });
  try {
    const version = versionOf(kept.digest.value, image, call);
    const how = kept.by === 'fetch' ? `made with ${kept.packer.name} and kept in` : 'from';
    return {
      type: 'file',
      size: kept.size,
      mode: MODE,
      version,
      digests: [kept.digest],
      ...opened,
      note: `a SIF file, ${how} the cache`,
    };
  } catch (error) {
    await opened.discard();
    throw error;
  }
}

async function* untilEnd({ bytes }: Source, drop: () => Promise<void>): AsyncGenerator<Uint8Array> {
  yield* bytes;
  await drop();
}

async function make(
  image: Image & { readonly layers: readonly FetchableLayer[] },
  { scratch, programs }: SifTools,
  signal: AbortSignal,
): Promise<Made> {
  const doing = `make a SIF file of \`${image.name}\` in \`${scratch}\``;
  const directory = await makeScratchDirectory(join(scratch, 'image.sif')).catch((error: unknown) => {
    throw toTransferError(error, doing);
  });
  try {
    const blobs = join(directory.path, 'blobs');
    const layers = await storeLayers(image.layers, { directory: blobs, signal });
    const path = join(directory.path, 'image.sif');
    const { size, sha256, packer } = await writeSif({ ...image, layers }, path, { signal, path: programs });
    await rm(blobs, { recursive: true, force: true });
    return { directory, path, sha256, size, packer: packer.name };
  } catch (error) {
    await directory.close();
    throw toTransferError(error, doing);
  }
}

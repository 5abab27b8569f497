import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import { openSource } from '../local/source.ts';
import type { ReadCall, Source } from '../protocol.ts';
import { type FetchableLayer, storeLayers } from './blob-store.ts';
import type { Image } from './image.ts';
import { writeSif } from './sif/write.ts';

/** Where SIF files are made, and by what. */
export interface SifTools {
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

interface Made {
  readonly directory: string;
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
    if (found) await rm(found.directory, { recursive: true, force: true });
  }

  return {
    async read(image, call) {
      if (call.fresh) await drop();
      made ??= make(image, tools, call.signal);
      let file: Made;
      try {
        file = await made;
      } catch (error) {
        made = undefined;
        throw error;
      }
      const version = `sif ${file.sha256}`;
      if (call.version !== undefined && call.version !== version) {
        throw new TransferError(
          'changed',
          `read \`${image.name}\`: it is no longer the image that was asked for`,
        );
      }
      const source = await openSource(file.path, { signal: call.signal, range: call.range });
      return {
        type: 'file',
        size: file.size,
        mode: 0o755,
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
  const directory = await mkdtemp(join(scratch, 'bridle-sif-')).catch((error: unknown) => {
    throw toTransferError(error, doing);
  });
  try {
    const blobs = join(directory, 'blobs');
    const layers = await storeLayers(image.layers, { directory: blobs, signal });
    const path = join(directory, 'image.sif');
    const { size, sha256, packer } = await writeSif({ ...image, layers }, path, { signal, path: programs });
    await rm(blobs, { recursive: true, force: true });
    return { directory, path, sha256, size, packer: packer.name };
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw toTransferError(error, doing);
  }
}

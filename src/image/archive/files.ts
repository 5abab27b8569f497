import { join } from 'node:path';
import { TransferError } from '../../errors.ts';
import { openSource, statPath } from '../../local/source.ts';
import type { Bytes } from '../../protocol.ts';

/** Files of an archive or of a directory, by the names that its own lists have for them. */
export interface Files {
  /** Bytes; undefined where there is no such file. */
  size(name: string): Promise<number | undefined>;
  read(name: string, signal: AbortSignal): Promise<Bytes>;
}

/** Files below a directory. Names that would lead out of it are of no file. */
export function openDirectory(directory: string): Files {
  const pathOf = (name: string): string | undefined => {
    const parts = name.split('/');
    return parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'))
      ? undefined
      : join(directory, name);
  };
  return {
    async size(name) {
      const path = pathOf(name);
      if (path === undefined) return undefined;
      try {
        const { type, size } = await statPath(path, { follow: true });
        return type === 'file' ? size : undefined;
      } catch (error) {
        if (error instanceof TransferError && error.code === 'not-found') return undefined;
        throw error;
      }
    },
    async read(name, signal) {
      const path = pathOf(name);
      if (path === undefined)
        throw new TransferError('not-found', `read \`${directory}\`: it has no \`${name}\``);
      return (await openSource(path, { signal })).bytes;
    },
  };
}

/** The whole of a file. Rejects with `not-found`, and `unexpected` for one of more than `most` bytes. */
export async function readWhole(
  files: Files,
  name: string,
  most: number,
  doing: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const size = await files.size(name);
  if (size === undefined) throw new TransferError('not-found', `${doing}: it has no \`${name}\``);
  if (size > most)
    throw new TransferError(
      'unexpected',
      `${doing}: \`${name}\` has ${size} bytes, expected at most ${most}`,
    );
  const pieces: Uint8Array[] = [];
  for await (const piece of await files.read(name, signal)) pieces.push(Uint8Array.from(piece));
  return Buffer.concat(pieces);
}

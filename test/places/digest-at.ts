import { createHash } from 'node:crypto';
import type { StoragePlace } from './place.ts';

export interface Stored {
  readonly size: number;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

/** Size and digest of what is stored under a name; undefined when there is nothing. */
export async function digestAt(place: StoragePlace, name: string): Promise<Stored | undefined> {
  const bytes = await place.look(name);
  if (bytes === undefined) return undefined;
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of bytes) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { size, sha256: hash.digest('hex') };
}

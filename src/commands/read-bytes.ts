import { readFile } from 'node:fs/promises';
import { TransferError, toTransferError } from '../errors.ts';
import { look } from '../integrity/digest-file.ts';
import type { ManifestSource } from '../integrity/manifests/open.ts';
import { formatLocation, pathOf } from '../location.ts';
import { isLocal } from '../plan.ts';
import type { Place } from '../request.ts';
import { giveBack } from '../slabs.ts';
import type { Visit } from './places.ts';

/** A larger list of digests is none. */
const MOST_BYTES = 1024 * 1024 * 1024;

/** A local list that is longer is read where it lies. */
const MOST_AT_ONCE = 2 * 1024 * 1024;

/** A list of digests for `openManifest`: all of it, or a long regular file of this machine as what it is. */
export async function readList(place: Place, visit: Visit): Promise<ManifestSource> {
  const { location } = place;
  const seen = isLocal(location) ? look(location.path) : undefined;
  if (!seen?.isFile() || seen.size <= MOST_AT_ONCE) return await readBytes(place, visit);
  return { path: location.path, seen };
}

/** All of a small file of any protocol: a manifest, say. */
export async function readBytes(place: Place, { endpoints, signal }: Visit): Promise<Uint8Array> {
  const { location } = place;
  const doing = `read \`${formatLocation(location)}\``;
  if (isLocal(location)) {
    try {
      return await readFile(location.path);
    } catch (error) {
      throw toTransferError(error, doing);
    }
  }
  const endpoint = await endpoints.open(place);
  const path = pathOf(location);
  const source = await endpoint.read(path, { signal });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of source.bytes) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new TransferError('invalid-request', `${doing}: too large for a manifest`);
    chunks.push(Buffer.from(chunk));
    giveBack(chunk);
  }
  await source.confirm?.();
  if (source.size !== undefined && source.size !== bytes) {
    throw new TransferError('size-mismatch', `${doing}: expected ${source.size} bytes, got ${bytes}`);
  }
  return Buffer.concat(chunks);
}

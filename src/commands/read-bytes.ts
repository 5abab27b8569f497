import { readFile } from 'node:fs/promises';
import { TransferError, toTransferError } from '../errors.ts';
import { formatLocation, pathOf } from '../location.ts';
import { isLocal } from '../plan.ts';
import type { Place } from '../request.ts';
import { giveBack } from '../slabs.ts';
import type { Visit } from './places.ts';

/** A larger list of digests is none. */
const MOST_BYTES = 1024 * 1024 * 1024;

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

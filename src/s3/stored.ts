import { TransferError } from '../errors.ts';
import type { Stored } from '../protocol.ts';
import type { S3Client } from './client.ts';
import type { S3Object } from './place.ts';
import { headObject } from './stat.ts';

/** Refusals that say nothing about a write that succeeded: some identities may write only. */
const NO_ANSWER: ReadonlySet<string> = new Set(['permission-denied', 'unauthenticated', 'unsupported']);

/** The error of a name that had to be new. */
export function notNew(object: S3Object): TransferError {
  return new TransferError('already-exists', `write \`${object.name}\`: something is there already`);
}

/** What the service has under the name now; nothing where it does not tell us. Rejects with `unavailable` when there is nothing. */
export async function storedAs(client: S3Client, object: S3Object, signal: AbortSignal): Promise<Stored> {
  try {
    const found = await headObject(client, object, signal);
    if (found) return { size: found.size, version: found.version, digests: found.digests ?? [] };
  } catch (error) {
    if (error instanceof TransferError && NO_ANSWER.has(error.code)) return { digests: [] };
    throw error;
  }
  throw new TransferError('unavailable', `write \`${object.name}\`: it was stored, and is not there`);
}

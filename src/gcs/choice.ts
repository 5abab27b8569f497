import { TransferError } from '../errors.ts';
import type { Call } from '../protocol.ts';
import { type Api, bucketPath } from './api.ts';

/** Smaller objects gain nothing: their components cost requests of their own. */
export const LEAST_COMPOSED = 256 * 1024 * 1024;

/** Classes whose objects may be removed at once without a fee (Cloud Storage documentation, Storage classes). */
const FREE_TO_REMOVE: ReadonlySet<unknown> = new Set(['STANDARD', 'MULTI_REGIONAL', 'REGIONAL']);

/** Why components must not be made in the bucket: they have to be removed again. Undefined when they may. */
export async function whyNotCompose(api: Api, { signal }: Call): Promise<string | undefined> {
  const doing = `look at \`gs://${api.bucket}\``;
  let bucket: Record<string, unknown>;
  try {
    bucket = await api.json({ method: 'GET', path: bucketPath(api.bucket), signal, doing });
  } catch (error) {
    if (error instanceof TransferError && error.code === 'permission-denied') {
      return 'whether it keeps what is removed cannot be seen';
    }
    throw error;
  }
  const { retentionPolicy, objectRetention, defaultEventBasedHold, storageClass } = bucket;
  if (retentionPolicy || objectRetention || defaultEventBasedHold === true) {
    return 'it keeps what is stored for a time';
  }
  return FREE_TO_REMOVE.has(storageClass)
    ? undefined
    : `removing costs a fee in class ${String(storageClass)}`;
}

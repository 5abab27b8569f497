import { TransferError } from '../errors.ts';
import type { Call, ServiceFact } from '../protocol.ts';
import { type Api, bucketPath } from './api.ts';
import { CHUNK_BYTES } from './upload.ts';

const MIB = 1024 * 1024;

/** Where the bucket is, as far as we may see, and how files go up to it (Cloud Storage documentation, Quotas and limits). */
export async function describeBucket(api: Api, { signal }: Call): Promise<readonly ServiceFact[]> {
  const origin = await api.origin();
  return [
    { label: 'service', text: origin },
    ...(await bucketFacts(api, signal)),
    {
      label: 'chunks',
      text: `below ${CHUNK_BYTES / MIB} MiB in one request, else chunks of that: a multiple of 256 KiB; at most 5 TiB a file`,
    },
    { label: 'checks', text: 'crc32c and md5 of the whole, before it is shown' },
    { label: 'sessions', text: 'an upload that breaks off can go on for a week' },
  ];
}

/** Who may use the objects of a bucket need not be allowed to look at it. */
async function bucketFacts(api: Api, signal: AbortSignal): Promise<readonly ServiceFact[]> {
  const doing = `look at the bucket \`gs://${api.bucket}\``;
  try {
    const bucket = await api.json({ method: 'GET', path: bucketPath(api.bucket), signal, doing });
    const { location, storageClass } = bucket;
    const parts = [location, storageClass].filter((one) => typeof one === 'string');
    return parts.length === 0 ? [] : [{ label: 'bucket', text: parts.join(', ') }];
  } catch (error) {
    if (error instanceof TransferError && error.code === 'permission-denied') {
      return [{ label: 'bucket', text: 'may not be looked at' }];
    }
    throw error;
  }
}

import type { ServiceFact } from '../protocol.ts';
import { addressOf, isAmazon } from './address.ts';
import type { S3Client } from './client.ts';
import { MAX_PARTS, PART_LIMITS } from './parts.ts';
import type { S3Object } from './place.ts';

const MIB = 1024 * 1024;

/** Ceph's gateway names each request `txDIGITS-DIGITS-DIGITS-ZONE`. */
const CEPH = /^tx[0-9a-f]{20,}-[0-9a-f]+-[0-9a-f]+-/;

/** Where the bucket is, as whom it is asked, and how files go up to it. */
export async function describeBucket(
  client: S3Client,
  object: S3Object,
  how: { readonly signal: AbortSignal; readonly isSecure: boolean },
): Promise<readonly ServiceFact[]> {
  const { bucket, name } = object;
  const access = await client.access();
  const response = await client.send({
    method: 'HEAD',
    bucket,
    accepts: [403, 404],
    signal: how.signal,
    doing: `look at the bucket of \`${name}\``,
  });
  await response.discard();
  const { headers } = response;
  const region = headers['x-amz-bucket-region'] ?? access.region ?? 'us-east-1, since nothing says another';
  const { host } = addressOf(access, {
    region: access.region ?? 'us-east-1',
    bucket,
    isSecure: how.isSecure,
  });
  const isHost = host.startsWith(`${bucket}.`);
  const software = CEPH.test(headers['x-amz-request-id'] ?? '')
    ? 'Ceph RADOS Gateway, by its request ids'
    : (headers.server ?? 'not told').replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
  const checks = isAmazon(access)
    ? 'MD5 of every request, sha256 of files in one request'
    : 'MD5 of every request (Content-MD5)';
  return [
    { label: 'server', text: isAmazon(access) ? 'Amazon S3' : software },
    { label: 'bucket', text: `\`${bucket}\` in the ${isHost ? 'host name' : 'path'}, by ${host}` },
    { label: 'region', text: region },
    { label: 'signed', text: access.accessKeyId === undefined ? 'no: as anybody' : 'AWS4-HMAC-SHA256' },
    ...(access.requestPayer ? [{ label: 'pays', text: 'the requester' }] : []),
    {
      label: 'parts',
      text: `up to ${PART_LIMITS.part / MIB} MiB in one request, else ${PART_LIMITS.part / MIB} MiB and more, at most ${MAX_PARTS} parts`,
    },
    { label: 'checks', text: checks },
  ];
}

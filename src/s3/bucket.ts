import { TransferError } from '../errors.ts';
import type { RetryUnit } from '../protocol.ts';
import type { S3Client } from './client.ts';
import { s3CodeOf } from './failures.ts';
import type { S3Object } from './place.ts';

/** Where buckets come to be when nothing is said. */
const FIRST_REGION = 'us-east-1';

/** The bucket exists after this and is ours; existing is success. */
export async function createBucket(client: S3Client, bucket: string, signal: AbortSignal): Promise<void> {
  const { region } = await client.access();
  const constraint =
    region === undefined || region === FIRST_REGION
      ? undefined
      : Buffer.from(
          `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`,
        );
  try {
    const response = await client.send({
      method: 'PUT',
      bucket,
      ...(constraint ? { body: constraint } : {}),
      signal,
      doing: `make the bucket \`${bucket}\``,
    });
    await response.discard();
  } catch (error) {
    if (s3CodeOf(error) !== 'BucketAlreadyOwnedByYou') throw error;
  }
}

/** True when there is such a bucket and we may look at it. */
export async function hasBucket(client: S3Client, bucket: string, signal: AbortSignal): Promise<boolean> {
  const doing = `look for the bucket \`${bucket}\``;
  const response = await client.send({ method: 'HEAD', bucket, accepts: [404], signal, doing });
  await response.discard();
  return response.status !== 404;
}

/**
 * One unit of a write by the engine's policy. At a site that the user has named, a missing bucket is made and the unit
 * done again: workflows expect it. Elsewhere a wrong name is more likely than a new bucket.
 */
export async function withBucket<T>(
  client: S3Client,
  object: S3Object,
  call: { readonly retry: RetryUnit; readonly signal: AbortSignal },
  unit: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await call.retry(unit);
  } catch (error) {
    if (s3CodeOf(error) !== 'NoSuchBucket' || !(await client.access()).isSite) throw error;
    await createBucket(client, object.bucket, call.signal).catch((cause) => {
      const text = `${(error as TransferError).message}, and it could not be made`;
      const hint = cause instanceof TransferError ? cause.message : undefined;
      throw new TransferError('not-found', text, { cause, ...(hint === undefined ? {} : { hint }) });
    });
    return call.retry(unit);
  }
}

import { TransferError } from '../../errors.ts';
import { createBucket, hasBucket } from '../../s3/bucket.ts';
import type { S3Work } from './run.ts';
import { requireBucket } from './session.ts';

/** `mkdir URL`: makes a bucket; one that is ours already is a warning. */
export async function makeBucket({ invocation, session, io, signal }: S3Work): Promise<void> {
  const [url = ''] = invocation.positionals;
  const target = await session.target(url);
  const bucket = requireBucket(target);
  if (target.key !== '') {
    throw new TransferError('invalid-request', `\`${url}\`: expected a bucket alone, got a key behind it`);
  }
  const { client } = target.service;
  if (await hasBucket(client, bucket, signal)) {
    io.err(`warning: the bucket \`${bucket}\` exists already\n`);
    return;
  }
  await createBucket(client, bucket, signal);
}

import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { TransferError, toTransferError } from '../../errors.ts';
import { localLocation } from '../../location.ts';
import { hasBucket } from '../../s3/bucket.ts';
import { headObject } from '../../s3/stat.ts';
import { below } from '../arguments.ts';
import type { S3Work } from './run.ts';
import { lastPart, requireBucket, type S3Target } from './session.ts';

/** `put FILE URL`: a key that ends in `/`, or none, takes the name of the file. */
export async function putFile({ invocation, session, signal }: S3Work): Promise<void> {
  const [file = '', url = ''] = invocation.positionals;
  const { flags } = invocation;
  await requireFile(file);
  const given = await session.target(url);
  const bucket = requireBucket(given);
  const isFolder = given.key === '' || given.key.endsWith('/');
  const destination = isFolder ? below(given.place, lastPart(file)) : given.place;
  if (!flags.has('create')) await requireBucketAt(given, signal);
  const key = isFolder ? `${given.key}${lastPart(file)}` : given.key;
  const object = { bucket, key, name: `${url}${isFolder ? lastPart(file) : ''}` };
  const onlyNew = !flags.has('force');
  if (onlyNew) await requireAbsent(given, object, signal);
  const source = { location: localLocation(resolve(file)) };
  await session.transfer([{ source, destination }], { onlyNew, signal });
}

async function requireFile(file: string): Promise<void> {
  const found = await stat(file).catch((error) => {
    throw toTransferError(error, `reading \`${file}\``);
  });
  if (found.isFile()) return;
  throw new TransferError('invalid-request', `reading \`${file}\`: expected a file, got something else`);
}

/** Rejects with `not-found` when there is no such bucket: nothing is made that was not asked for. */
export async function requireBucketAt(
  { service, bucket, object }: S3Target,
  signal: AbortSignal,
): Promise<void> {
  if (await hasBucket(service.client, bucket, signal)) return;
  throw new TransferError('not-found', `write \`${object.name}\`: no such bucket`, {
    hint: 'make it with `pegasus-s3 mkdir`, or on the way with -b (put) or -c (cp)',
  });
}

/** Rejects with `already-exists` when there is such a key. */
export async function requireAbsent(
  { service }: S3Target,
  object: S3Target['object'],
  signal: AbortSignal,
): Promise<void> {
  if (!(await headObject(service.client, object, signal).catch(absentBucket))) return;
  throw new TransferError('already-exists', `write \`${object.name}\`: something is there already`, {
    hint: 'replace it with -f',
  });
}

function absentBucket(error: unknown): undefined {
  if (error instanceof TransferError && error.code === 'not-found') return undefined;
  throw error;
}

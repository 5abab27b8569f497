import { createHash } from 'node:crypto';
import { TransferError } from '../errors.ts';
import type { RemoveCall } from '../protocol.ts';
import type { S3Client } from './client.ts';
import { failureOf, s3CodeOf, s3Error } from './failures.ts';
import { listPages } from './list.ts';
import type { S3Object } from './place.ts';
import { firstBelow, headObject, prefixOf } from './stat.ts';
import { childrenOf, escapeXml, textOf } from './xml.ts';

/** Keys that one request may remove (API reference, DeleteObjects). */
const BATCH = 1000;

/** Single removals on their way at a time, for services without batches. */
const AT_ONCE = 8;

/** The object is gone after this; with `recursive` everything below its name too. Absent is success, a directory without `recursive` is `already-exists`. */
export async function removeObject(client: S3Client, object: S3Object, call: RemoveCall): Promise<void> {
  if (call.recursive) return removeTree(client, object, call.signal);
  const isFolder = object.key === '' || object.key.endsWith('/');
  if (!isFolder && (await isObject(client, object, call.signal))) {
    return removeKey(client, object, object.key, call.signal);
  }
  const marker = prefixOf(object.key);
  const [first, second] = await firstBelow(client, object, { most: 2, signal: call.signal });
  if (first === undefined) return;
  if (first !== marker || second !== undefined) {
    throw new TransferError('already-exists', `remove \`${object.name}\`: it is a directory and not empty`);
  }
  // A directory that holds nothing is its marker.
  await removeKey(client, object, marker, call.signal);
}

/** True also where we may remove but not look. */
async function isObject(client: S3Client, object: S3Object, signal: AbortSignal): Promise<boolean> {
  try {
    return (await headObject(client, object, signal)) !== undefined;
  } catch (error) {
    if (error instanceof TransferError && error.code === 'permission-denied') return true;
    throw error;
  }
}

async function removeKey(
  client: S3Client,
  object: S3Object,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const response = await client.send({
    method: 'DELETE',
    bucket: object.bucket,
    key,
    accepts: [404],
    signal,
    doing: `remove \`${object.name}\``,
  });
  await response.discard();
}

async function removeTree(client: S3Client, object: S3Object, signal: AbortSignal): Promise<void> {
  if (object.key !== '' && !object.key.endsWith('/')) await removeKey(client, object, object.key, signal);
  const pages = listPages(client, {
    bucket: object.bucket,
    prefix: prefixOf(object.key),
    signal,
    doing: `remove \`${object.name}\``,
  });
  try {
    for await (const page of pages) {
      const broken = page.find(({ isBroken }) => isBroken);
      if (broken)
        throw new TransferError('unexpected', `remove \`${object.name}\`: a name below is no UTF-8`);
      await removeKeys(
        client,
        object,
        page.map(({ key }) => key),
        signal,
      );
    }
  } catch (error) {
    // Without the bucket nothing below the name is there.
    if (s3CodeOf(error) !== 'NoSuchBucket') throw error;
  }
}

/** All of these keys are gone after this, in as few requests as the service takes. Absent ones are success. */
export async function removeKeys(
  client: S3Client,
  object: S3Object,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const size = Math.min((await client.access()).deleteBatch ?? BATCH, BATCH);
  if (size > 1) {
    try {
      for (let at = 0; at < keys.length; at += size) {
        await removeBatch(client, object, keys.slice(at, at + size), signal);
      }
      return;
    } catch (error) {
      if (!(error instanceof TransferError) || error.code !== 'unsupported') throw error;
    }
  }
  const queue = [...keys];
  const worker = async () => {
    for (let key = queue.shift(); key !== undefined; key = queue.shift()) {
      await removeKey(client, object, key, signal);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function removeBatch(
  client: S3Client,
  object: S3Object,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (keys.length === 0) return;
  const doing = `remove \`${object.name}\``;
  const list = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join('');
  const body = Buffer.from(
    `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${list}</Delete>`,
  );
  const result = await client.sendForXml({
    method: 'POST',
    bucket: object.bucket,
    query: { delete: '' },
    headers: {
      'content-type': 'application/xml',
      'content-md5': createHash('md5').update(body).digest('base64'),
    },
    body,
    signal,
    doing,
  });
  const [first, ...more] = childrenOf(result, 'Error');
  if (first === undefined) return;
  const failure = { status: 403, headers: {}, isForeign: false, ...failureOf(first) };
  const access = await client.access();
  const error = s3Error(failure, { doing, bucket: object.bucket, access, origin: '' });
  const text = `${error.message}: \`${textOf(first, 'Key') ?? ''}\`${more.length > 0 ? ` and ${more.length} more` : ''}`;
  throw new TransferError(error.code, text, error.hint === undefined ? {} : { hint: error.hint });
}

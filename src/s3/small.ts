import { hash } from 'node:crypto';
import { TransferError } from '../errors.ts';
import type { HttpResponse, Staged, Stored } from '../protocol.ts';
import { isAmazon } from './address.ts';
import { withBucket } from './bucket.ts';
import { bareTag, storedDigests, versionOf } from './checksums.ts';
import { s3CodeOf } from './failures.ts';
import { headObject } from './stat.ts';
import { notNew, storedAs } from './stored.ts';
import type { Kept } from './supply.ts';
import type { Writing } from './write.ts';

/** A file in memory, sent by commit with its digests, so that the service itself refuses a wrong body. */
export function stageSmall(writing: Writing, kept: Kept): Staged {
  const { object, call } = writing;
  const body = kept.bytes;
  return {
    async commit() {
      const md5 = hash('md5', body, 'buffer');
      try {
        const unit = (signal: AbortSignal) => put(writing, body, md5, signal);
        const response = await withBucket(writing.client, object, call, unit);
        return await confirm(writing, response, body.length, md5.toString('hex'));
      } catch (error) {
        if (!call.onlyNew || s3CodeOf(error) !== 'PreconditionFailed') throw error;
        // It may be ours, by a request whose answer was lost.
        const there = await headObject(writing.client, object, call.signal);
        if (there?.version !== `etag "${md5.toString('hex')}"`) throw notNew(object);
        return { size: body.length, version: there.version, digests: there.digests ?? [], isProven: true };
      } finally {
        kept.release();
      }
    },
    async abort() {
      kept.release();
    },
    isUnsent: true,
    async read() {
      return {
        type: 'file',
        size: body.length,
        bytes: (async function* () {
          const step = 1024 * 1024;
          for (let at = 0; at < body.length; at += step) yield body.subarray(at, at + step);
        })(),
      };
    },
  };

  async function put(
    { client }: Writing,
    content: Uint8Array,
    md5: Buffer,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const sha256 = isAmazon(await client.access())
      ? { 'x-amz-checksum-sha256': hash('sha256', content, 'base64') }
      : {};
    const response = await client.send({
      method: 'PUT',
      bucket: object.bucket,
      key: object.key,
      headers: {
        'content-md5': md5.toString('base64'),
        ...sha256,
        ...(call.onlyNew ? { 'if-none-match': '*' } : {}),
      },
      body: content,
      signal,
      doing: `write \`${object.name}\``,
    });
    await response.discard();
    return response;
  }
}

/** What the answer to a PUT proves: an entity tag that is our MD5 proves all, anything else is asked about. */
async function confirm(
  { client, object, call }: Writing,
  response: HttpResponse,
  size: number,
  md5: string,
): Promise<Stored> {
  const tag = bareTag(response.headers.etag);
  const digests = storedDigests(response.headers);
  if (tag === md5) return { size, version: versionOf(tag), digests, isProven: true };
  const told = digests.find(({ algorithm }) => algorithm === 'md5');
  if (!told) return storedAs(client, object, call.signal);
  const version = response.headers['x-amz-version-id'];
  const gone = await client.send({
    method: 'DELETE',
    bucket: object.bucket,
    key: object.key,
    ...(version === undefined ? {} : { query: { versionId: version } }),
    signal: call.signal,
    doing: `remove \`${object.name}\``,
  });
  await gone.discard();
  const text = `write \`${object.name}\`: sent md5 ${md5}, the service stored ${told.value}`;
  throw new TransferError('digest-mismatch', text);
}

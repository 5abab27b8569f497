import { TransferError } from '../errors.ts';
import { dateOf, lengthOf } from '../http/validators.ts';
import type { HttpResponse, Stat } from '../protocol.ts';
import { bareTag, storedDigests, versionOf, WITH_CHECKSUMS } from './checksums.ts';
import type { S3Client } from './client.ts';
import type { S3Object } from './place.ts';
import { childrenOf, textOf } from './xml.ts';

/** What is under the name: an object, or what other names make a directory of. Rejects with `not-found`. */
export async function statObject(client: S3Client, object: S3Object, signal: AbortSignal): Promise<Stat> {
  const doing = `stat \`${object.name}\``;
  if (object.key === '') {
    const response = await client.send({ method: 'HEAD', bucket: object.bucket, signal, doing });
    await response.discard();
    return { type: 'directory' };
  }
  const found = object.key.endsWith('/') ? undefined : await headObject(client, object, signal);
  if (found) return found;
  if (await hasNamesBelow(client, object, signal)) return { type: 'directory' };
  throw new TransferError('not-found', `${doing}: not found`);
}

/** The object under exactly this name; undefined when there is none. */
export async function headObject(
  client: S3Client,
  object: S3Object,
  signal: AbortSignal,
): Promise<Stat | undefined> {
  const response = await client.send({
    method: 'HEAD',
    bucket: object.bucket,
    key: object.key,
    headers: WITH_CHECKSUMS,
    accepts: [404],
    signal,
    doing: `stat \`${object.name}\``,
  });
  await response.discard();
  return response.status === 404 ? undefined : statOf(response);
}

/** What the head of an answer with a whole object says. */
export function statOf({ headers }: HttpResponse): Stat {
  return {
    type: 'file',
    size: lengthOf(headers['content-length']),
    modified: dateOf(headers['last-modified']),
    version: versionOf(bareTag(headers.etag)),
    digests: storedDigests(headers),
  };
}

/** True when there are names that begin with this one and a slash. Rejects with `not-found` when there is no such bucket. */
export async function hasNamesBelow(
  client: S3Client,
  object: S3Object,
  signal: AbortSignal,
): Promise<boolean> {
  return (await firstBelow(client, object, { most: 1, signal })).length > 0;
}

/** Up to `most` keys of those below the name as a directory; its marker is the first of them. */
export async function firstBelow(
  client: S3Client,
  object: S3Object,
  { most, signal }: { readonly most: number; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const page = await client.sendForXml({
    method: 'GET',
    bucket: object.bucket,
    query: { 'list-type': '2', 'max-keys': String(most), prefix: prefixOf(object.key) },
    signal,
    doing: `list \`${object.name}\``,
  });
  return childrenOf(page, 'Contents').map((element) => textOf(element, 'Key') ?? '');
}

/** What every name below begins with. A second slash at the end is part of the name: `a//` is not `a/`. */
export function prefixOf(key: string): string {
  return key === '' || key.endsWith('/') ? key : `${key}/`;
}

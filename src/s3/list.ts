import { TransferError } from '../errors.ts';
import { dateOf, lengthOf } from '../http/validators.ts';
import type { Entry, ListCall } from '../protocol.ts';
import { bareTag, versionOf } from './checksums.ts';
import type { S3Client } from './client.ts';
import type { S3Object } from './place.ts';
import { prefixOf } from './stat.ts';
import { childrenOf, textOf, type Xml } from './xml.ts';

/** One name of a page: a key, or with a delimiter what several keys begin with. */
export interface Listed {
  readonly key: string;
  readonly isPrefix: boolean;
  readonly size?: number | undefined;
  readonly modified?: Date | undefined;
  readonly tag: string;
  readonly storageClass?: string | undefined;
  readonly owner?: string | undefined;
  /** The name is no UTF-8. */
  readonly isBroken: boolean;
}

export interface PagesCall {
  readonly bucket: string;
  readonly prefix: string;
  readonly delimiter?: string | undefined;
  readonly withOwner?: boolean | undefined;
  readonly signal: AbortSignal;
  readonly doing: string;
}

/** Every key of the bucket that begins with the prefix, a page of up to 1,000 at a time, in order of their bytes. */
export async function* listPages(client: S3Client, call: PagesCall): AsyncGenerator<readonly Listed[]> {
  const { bucket, prefix, delimiter, signal, doing } = call;
  let token: string | undefined;
  for (;;) {
    const page = await client.sendForXml({
      method: 'GET',
      bucket,
      query: {
        'list-type': '2',
        'encoding-type': 'url',
        prefix,
        ...(delimiter === undefined ? {} : { delimiter }),
        ...(call.withOwner ? { 'fetch-owner': 'true' } : {}),
        ...(token === undefined ? {} : { 'continuation-token': token }),
      },
      signal,
      doing,
    });
    yield listedOf(page);
    const next = textOf(page, 'NextContinuationToken');
    if (textOf(page, 'IsTruncated') !== 'true') return;
    if (!next || next === token) {
      throw new TransferError(
        'unexpected',
        `${doing}: the listing goes on, but the service does not say where`,
      );
    }
    token = next;
  }
}

function listedOf(page: Xml): readonly Listed[] {
  const isEncoded = textOf(page, 'EncodingType') === 'url';
  const keys = childrenOf(page, 'Contents').map((element): Listed => {
    const owner = childrenOf(element, 'Owner')[0];
    return {
      ...decodeKey(textOf(element, 'Key') ?? '', isEncoded),
      isPrefix: false,
      size: lengthOf(textOf(element, 'Size')),
      modified: dateOf(textOf(element, 'LastModified')),
      tag: bareTag(textOf(element, 'ETag')),
      storageClass: textOf(element, 'StorageClass'),
      owner: textOf(owner, 'DisplayName') ?? textOf(owner, 'ID'),
    };
  });
  const prefixes = childrenOf(page, 'CommonPrefixes').map(
    (element): Listed => ({
      ...decodeKey(textOf(element, 'Prefix') ?? '', isEncoded),
      isPrefix: true,
      tag: '',
    }),
  );
  if (prefixes.length === 0) return keys;
  return [...keys, ...prefixes].sort((one, other) =>
    Buffer.compare(Buffer.from(one.key), Buffer.from(other.key)),
  );
}

/** Services that write a space as `+` write a plus as `%2B`. */
function decodeKey(text: string, isEncoded: boolean): Pick<Listed, 'key' | 'isBroken'> {
  if (!isEncoded) return { key: text, isBroken: false };
  try {
    return { key: decodeURIComponent(text.replaceAll('+', ' ')), isBroken: false };
  } catch {
    return { key: text, isBroken: true };
  }
}

/** What is below the name as a directory, in order of the keys. Rejects with `not-found` when nothing is. */
export async function* listObjects(
  client: S3Client,
  object: S3Object,
  call: ListCall,
): AsyncGenerator<Entry> {
  const prefix = prefixOf(object.key);
  const doing = `list \`${object.name}\``;
  const pages = listPages(client, {
    bucket: object.bucket,
    prefix,
    delimiter: call.recursive ? undefined : '/',
    signal: call.signal,
    doing,
  });
  let isThere = prefix === '';
  let folders: readonly string[] = [];
  for await (const page of pages) {
    for (const listed of page) {
      isThere = true;
      const name = listed.key.slice(prefix.length);
      const parts = name.split('/');
      const above = parts.slice(0, -1);
      // Keys come in order of their bytes, so that all that share a folder stand together.
      const shared = above.findIndex((part, at) => part !== folders[at]);
      for (let depth = shared < 0 ? above.length : shared; depth < above.length; depth += 1) {
        yield entryOf(above.slice(0, depth + 1).join('/'), { type: 'directory' }, listed);
      }
      folders = above;
      if (parts.at(-1) !== '') yield entryOf(name, statOf(listed), listed);
    }
  }
  if (!isThere) throw new TransferError('not-found', `${doing}: not found`);
}

function statOf({ size, modified, tag }: Listed): Entry['stat'] {
  return { type: 'file', size, modified, version: versionOf(tag) };
}

function entryOf(name: string, stat: Entry['stat'], { isBroken }: Listed): Entry {
  const isOdd = name.split('/').some((part) => part === '' || part === '.' || part === '..');
  const what = isBroken ? 'is no UTF-8' : isOdd ? 'has a part that is empty, `.` or `..`' : undefined;
  const problem = what && `\`${name}\` ${what}`;
  return { name, stat, ...(problem === undefined ? {} : { problem }) };
}

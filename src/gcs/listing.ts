import { isPartialName } from '../partial-name.ts';
import type { Call, Entry, ListCall } from '../protocol.ts';
import { type Api, bucketPath } from './api.ts';
import { type ObjectResource, objectOf, statOf } from './resource.ts';

/** One page of a listing: objects, and what a delimiter cut off. */
interface Page {
  readonly objects: readonly ObjectResource[];
  readonly prefixes: readonly string[];
}

/** Everything whose name begins with `prefix`, in the order of the names' bytes; with `/` as delimiter, only to the next one. */
export async function* pages(
  api: Api,
  prefix: string,
  call: Call & { readonly delimiter?: '/'; readonly most?: number },
): AsyncGenerator<Page> {
  const doing = `list \`gs://${api.bucket}/${prefix}\``;
  let pageToken: string | undefined;
  do {
    const answer = await api.json({
      method: 'GET',
      path: `${bucketPath(api.bucket)}/o`,
      query: {
        prefix: prefix === '' ? undefined : prefix,
        delimiter: call.delimiter,
        maxResults: call.most === undefined ? undefined : String(call.most),
        pageToken,
      },
      signal: call.signal,
      doing,
    });
    const { items, prefixes, nextPageToken } = answer;
    yield {
      objects: (Array.isArray(items) ? items : []).map((item: Record<string, unknown>) =>
        objectOf(item, doing),
      ),
      prefixes: (Array.isArray(prefixes) ? prefixes : []).filter((one) => typeof one === 'string'),
    };
    pageToken = typeof nextPageToken === 'string' ? nextPageToken : undefined;
  } while (pageToken !== undefined && pageToken !== '');
}

/** True when something lies below `prefix`, which ends in `/` or is empty; a placeholder of that name counts. */
export async function isThere(api: Api, prefix: string, call: Call): Promise<boolean> {
  for await (const { objects, prefixes } of pages(api, prefix, { ...call, most: 1 })) {
    if (objects.length + prefixes.length > 0) return true;
  }
  return false;
}

/** Names below `prefix` as entries. Directories are what names have before a `/`; they come before what is in them. */
export async function* entries(api: Api, prefix: string, call: ListCall): AsyncGenerator<Entry> {
  const seen = new Set<string>();
  const cut = call.recursive ? {} : { delimiter: '/' as const };
  for await (const { objects, prefixes } of pages(api, prefix, { signal: call.signal, ...cut })) {
    const found = [
      ...objects.map((object) => ({ name: object.name.slice(prefix.length), object })),
      ...prefixes.map((name) => ({ name: name.slice(prefix.length), object: undefined })),
    ].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
    for (const { name, object } of found) {
      if (isPartialName(name.slice(name.lastIndexOf('/') + 1))) continue;
      yield* directories(name, seen);
      // A name that ends in `/` only marks a directory.
      if (object && !name.endsWith('/') && name !== '') yield entryOf(name, object);
    }
  }
}

function* directories(name: string, seen: Set<string>): Generator<Entry> {
  for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
    const directory = name.slice(0, at);
    // Names come in order: when one is left, it does not come again. Only what is open has to be remembered.
    if (directory === '' || seen.has(directory)) continue;
    for (const one of seen) if (!directory.startsWith(`${one}/`)) seen.delete(one);
    seen.add(directory);
    yield { name: directory, stat: { type: 'directory' } };
  }
}

function entryOf(name: string, object: ObjectResource): Entry {
  const isPath = name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  const problem = isPath ? {} : { problem: `\`${name}\` has a part that is empty, \`.\` or \`..\`` };
  return { name, stat: statOf(object), ...problem };
}

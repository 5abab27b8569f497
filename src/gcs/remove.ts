import { TransferError } from '../errors.ts';
import type { Call, RemoveCall } from '../protocol.ts';
import { type Api, bucketPath, nameOf, objectPath } from './api.ts';
import { isThere, pages } from './listing.ts';
import { refused } from './refused.ts';

/** Requests at a time: one takes tens of milliseconds, most of them waiting. */
const AT_ONCE = 16;

/** Takes an object away, or with `recursive` everything below a name too; the whole bucket when there is no name. */
export async function removeObject(api: Api, path: string, call: RemoveCall): Promise<void> {
  const name = nameOf(path).replace(/\/$/, '');
  const prefix = name === '' ? '' : `${name}/`;
  if (call.recursive) await removeBelow(api, prefix, call);
  if (name === '') return removeBucket(api, call);
  // What ends in a slash is a directory: a file with the name without it is none of its own.
  if (!path.endsWith('/') && (await removeOne(api, name, call))) return;
  if (call.recursive) return;
  // A directory that holds nothing is its placeholder.
  const isEmptied = await removeOne(api, prefix, call, { unlessFilled: true });
  if (!isEmptied && (await isThere(api, prefix, call))) throw filled(api, name);
}

async function removeBelow(api: Api, prefix: string, call: Call): Promise<void> {
  try {
    for await (const { objects } of pages(api, prefix, { signal: call.signal })) {
      await forEach(objects, async ({ name }) => void (await removeOne(api, name, call)));
    }
  } catch (error) {
    if (error instanceof TransferError && error.code === 'not-found') return;
    throw error;
  }
}

export async function forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
}

/** False when there was none. */
export async function removeOne(
  api: Api,
  name: string,
  call: Call,
  { unlessFilled = false } = {},
): Promise<boolean> {
  if (unlessFilled) {
    for await (const { objects } of pages(api, name, { signal: call.signal, most: 2 })) {
      if (objects.length !== 1 || objects[0]?.name !== name) return false;
      break;
    }
  }
  const doing = `remove \`gs://${api.bucket}/${name}\``;
  const path = objectPath(api.bucket, name);
  const response = await api.send({ method: 'DELETE', path, signal: call.signal, doing });
  if (response.status === 404) {
    await response.discard();
    return false;
  }
  if (response.status < 200 || response.status > 299) throw await refused(response, doing);
  await response.discard();
  return true;
}

async function removeBucket(api: Api, call: Call): Promise<void> {
  const doing = `remove \`gs://${api.bucket}\``;
  const path = bucketPath(api.bucket);
  const response = await api.send({ method: 'DELETE', path, signal: call.signal, doing });
  if (response.status === 409) throw filled(api, '');
  if (response.status !== 404 && (response.status < 200 || response.status > 299)) {
    throw await refused(response, doing);
  }
  await response.discard();
}

function filled({ bucket }: Api, name: string): TransferError {
  return new TransferError('already-exists', `remove \`gs://${bucket}/${name}\`: directory not empty`);
}

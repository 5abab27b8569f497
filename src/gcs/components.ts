import { randomBytes } from 'node:crypto';
import { TransferError } from '../errors.ts';
import { partialName } from '../partial-name.ts';
import type { Call, PartialCall } from '../protocol.ts';
import type { Api } from './api.ts';
import { combineCrc32c, hexOf } from './crc32c.ts';
import { pages } from './listing.ts';
import { forEach, removeOne } from './remove.ts';
import type { ObjectResource } from './resource.ts';

/** Bytes of a component at least and at most: a new one for each request, and what has to be sent again. */
const LEAST = 16 * 1024 * 1024;
const MOST = 64 * 1024 * 1024;
/** Components that an object is made of where they need not be larger than {@link MOST} for that. */
const FEW = 1024;
const MIB = 1024 * 1024;
/** Numbers of what components were put together to, on the way to the whole. */
const COMPOSED = 0x80000000;
/** Object names of Cloud Storage have so many bytes at most. */
const NAME_BYTES = 1024;

/** Objects that are the pieces of one that is to be: hidden beside it, under names that only this project makes. */
export interface Components {
  /** Names this upload among others of the same write: 8 hexadecimal digits. */
  readonly id: string;
  /** Bytes of each but the last. */
  readonly bytes: number;
  /** Beginning of all names. */
  readonly prefix: string;
  nameOf(index: number): string;
  /** Of the `index`th thing composed of others. */
  composedName(index: number): string;
}

/** What is known of components that are stored: those without a gap from the first, and the CRC32C of what they hold. */
export interface Handle {
  readonly id: string;
  readonly bytes: number;
  readonly count: number;
  readonly crc32c: number;
}

export function componentBytes(size: number): number {
  const even = Math.ceil(size / FEW / MIB) * MIB;
  return Math.min(MOST, Math.max(LEAST, even));
}

/** Undefined where the names would be too long for the service. */
export function componentsOf(
  name: string,
  key: string,
  about: { readonly id?: string; readonly bytes: number },
): Components | undefined {
  const { id = randomBytes(4).toString('hex'), bytes } = about;
  const folder = name.slice(0, name.lastIndexOf('/') + 1);
  const nameOf = (index: number) => `${folder}${partialName(key, `${id}${hexOf(index)}`)}`;
  if (Buffer.byteLength(nameOf(0)) > NAME_BYTES) return undefined;
  const prefix = nameOf(0).slice(0, -'00000000.part'.length);
  return { id, bytes, prefix, nameOf, composedName: (index) => nameOf(COMPOSED + index) };
}

export function formatHandle({ id, bytes, count, crc32c }: Handle): string {
  return `components ${id} ${bytes} ${count} ${hexOf(crc32c)}`;
}

/** Undefined for the handle of anything else. */
export function parseHandle(text: string): Handle | undefined {
  const shape = /^components ([0-9a-f]{8}) (\d{1,9}) (\d{1,7}) ([0-9a-f]{8})$/.exec(text);
  if (!shape) return undefined;
  const [, id = '', bytes, count, crc32c = ''] = shape;
  return { id, bytes: Number(bytes), count: Number(count), crc32c: Number.parseInt(crc32c, 16) };
}

/**
 * The components that `handle` tells of, as far as the service has them: sizes and CRC32C must be those of what was
 * sent. Undefined when they are not all there, or are others.
 */
export async function findComponents(
  api: Api,
  name: string,
  { key, signal }: Pick<PartialCall, 'key' | 'signal'>,
  handle: Handle,
): Promise<readonly ObjectResource[] | undefined> {
  const components = componentsOf(name, key, handle);
  if (!components || handle.bytes < 1) return undefined;
  const stored = new Map<string, ObjectResource>();
  for await (const { objects } of pages(api, components.prefix, { signal })) {
    for (const object of objects) stored.set(object.name, object);
  }
  const found: ObjectResource[] = [];
  let crc32c = 0;
  for (let index = 0; index < handle.count; index += 1) {
    const object = stored.get(components.nameOf(index));
    const own = object?.digests.find(({ algorithm }) => algorithm === 'crc32c')?.value;
    if (!object || own === undefined || object.size !== handle.bytes) return undefined;
    crc32c = combineCrc32c(crc32c, Number.parseInt(own, 16), handle.bytes);
    found.push(object);
  }
  return crc32c === handle.crc32c ? found : undefined;
}

/** Takes away whatever has a name of these. Best effort: what stays has a name by which it is found later. */
export async function removeComponents(api: Api, { prefix }: Components, call: Call): Promise<void> {
  try {
    for await (const { objects } of pages(api, prefix, call)) {
      await forEach(objects, async ({ name }) => void (await removeOne(api, name, call)));
    }
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
  }
}

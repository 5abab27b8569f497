import type { Entry, Member } from '../../src/image/tar/member.ts';
import { type ReadTarOptions, readTar } from '../../src/image/tar/read.ts';
import {
  bodyPadding,
  END_OF_ARCHIVE,
  type MemberToWrite,
  memberHeader,
  storedBytes,
} from '../../src/image/tar/write.ts';
import { type ByteText, fromBytes } from '../../src/job/byte-text.ts';
import type { Bytes } from '../../src/protocol.ts';

/** A member with the bytes that the archive stores of it. */
export interface Written extends MemberToWrite {
  readonly data?: string | Uint8Array;
}

/** A whole archive of these members. */
export function archive(members: readonly Written[], end: Uint8Array = END_OF_ARCHIVE): Buffer {
  const parts = members.flatMap(({ data = '', ...member }) => {
    const body = Buffer.from(data as string);
    const stored = member.extents ? storedBytes(member.extents) : body.length;
    const size = member.size ?? body.length;
    return [memberHeader({ ...member, size }), body, bodyPadding(stored)];
  });
  return Buffer.concat([...parts, end]);
}

/** `bytes` in chunks of these sizes in turn. */
export async function* chunked(bytes: Uint8Array, ...sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? bytes.length;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

export type Read = Member & { readonly data: ByteText };

/** Every member with its bytes as a reader of the file sees them. */
export async function readAll(bytes: Uint8Array | Bytes, options?: ReadTarOptions): Promise<Read[]> {
  const all: Read[] = [];
  for await (const { body, stored: _, ...member } of readTar(toBytes(bytes), options)) {
    all.push({ ...member, data: await textOf(body) });
  }
  return all;
}

export const toBytes = (bytes: Uint8Array | Bytes): Bytes =>
  bytes instanceof Uint8Array ? chunked(bytes) : bytes;

export async function textOf(bytes: Entry['body']): Promise<ByteText> {
  return fromBytes(await joined(bytes));
}

export async function joined(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

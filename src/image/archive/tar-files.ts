import { constants } from 'node:fs';
import { dirname, posix } from 'node:path';
import { TransferError, toTransferError } from '../../errors.ts';
import { diskCalls, diskKind, readAt } from '../../local/disk.ts';
import { openSource } from '../../local/source.ts';
import type { Bytes } from '../../protocol.ts';
import { cut, isZero, type RawHeader, readHeader } from '../tar/header.ts';
import { BLOCK } from '../tar/member.ts';
import { readRecords } from '../tar/pax.ts';
import type { Files } from './files.ts';

/** Files of one archive: an image has some hundred, and an archive of something else millions. */
const MOST_MEMBERS = 100_000;
/** Bytes of one extended header. */
const MOST_EXTENDED = 1024 * 1024;
/** A link to a link to a link is no archive that anything wrote. */
const MOST_LINKS = 8;

type Member = { readonly at: number; readonly size: number } | { readonly link: string };

/** The regular files of a tar archive on this machine, found by their headers alone: bodies are read when asked for. */
export async function openTarFiles(path: string): Promise<Files> {
  const members = await readMembers(path);
  const find = (name: string) => {
    let at = normal(name);
    for (let links = 0; links <= MOST_LINKS; links += 1) {
      const member = members.get(at);
      if (!member || 'at' in member) return member;
      at = member.link;
    }
    return undefined;
  };
  return {
    size: async (name) => find(name)?.size,
    async read(name, signal): Promise<Bytes> {
      const member = find(name);
      if (!member) throw new TransferError('not-found', `read \`${path}\`: it has no \`${name}\``);
      const { at, size } = member;
      if (size === 0) return nothing();
      return (await openSource(path, { range: { start: at, end: at + size }, signal })).bytes;
    },
  };
}

/** `./a/../b` is `b`; whatever would lead out of the archive stays a name that nothing has. */
function normal(name: string): string {
  return posix
    .normalize(name)
    .replace(/^\.?\/+/, '')
    .replace(/\/+$/, '');
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function readMembers(path: string): Promise<ReadonlyMap<string, Member>> {
  const kind = diskKind(dirname(path));
  const calls = diskCalls(kind);
  const doing = `read \`${path}\``;
  const fd = await calls.open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const end = Number((await calls.fstat(fd)).size);
    const read = async (at: number, length: number): Promise<Buffer> => {
      const buffer = Buffer.alloc(length);
      for (let done = 0; done < length; ) {
        const count = await readAt(fd, buffer.subarray(done), at + done, kind);
        if (count === 0)
          throw new TransferError('unexpected', `${doing}: the archive ends in the middle of a file`);
        done += count;
      }
      return buffer;
    };
    return await walk(read, end, doing);
  } catch (error) {
    throw toTransferError(error, doing);
  } finally {
    await calls.close(fd);
  }
}

async function walk(
  read: (at: number, length: number) => Promise<Buffer>,
  end: number,
  doing: string,
): Promise<ReadonlyMap<string, Member>> {
  const members = new Map<string, Member>();
  let long: { name?: string | undefined; link?: string | undefined; size?: number | undefined } = {};
  for (let at = 0; at + BLOCK <= end; ) {
    const block = await read(at, BLOCK);
    if (isZero(block)) return members;
    const header = readHeader(block);
    const body = at + BLOCK;
    const { type } = header;
    if (type === 'x' || type === 'L' || type === 'K') {
      if (header.size > MOST_EXTENDED)
        throw new TransferError('unexpected', `${doing}: a header of ${header.size} bytes`);
      long = { ...long, ...extended(type, await read(body, header.size)) };
      at = body + padded(header.size);
      continue;
    }
    const size = type === '0' || type === '\0' || type === '7' ? (long.size ?? header.size) : header.size;
    if (size < 0 || body + size > end)
      throw new TransferError('unexpected', `${doing}: the archive ends in the middle of a file`);
    if (members.size === MOST_MEMBERS)
      throw new TransferError('unexpected', `${doing}: more than ${MOST_MEMBERS} files`);
    const name = normal(long.name ?? header.name);
    const member = memberOf(header, { at: body, size }, long.link ?? header.link, name);
    if (member) members.set(name, member);
    if (type !== 'g') long = {};
    at = body + padded(size);
  }
  throw new TransferError('unexpected', `${doing}: the archive ends in the middle: it has no end mark`);
}

function memberOf(
  header: RawHeader,
  place: { at: number; size: number },
  link: string,
  name: string,
): Member | undefined {
  const { type } = header;
  if (type === '0' || type === '\0' || type === '7') return place;
  if (type === '1') return { link: normal(link) };
  // Older `docker save` kept a layer once and linked to it.
  if (type === '2')
    return { link: normal(link.startsWith('/') ? link : posix.join(posix.dirname(name), link)) };
  return undefined;
}

function extended(type: string, body: Buffer): { name?: string; link?: string; size?: number } {
  const text = body.toString('latin1');
  if (type === 'L') return { name: cut(text) };
  if (type === 'K') return { link: cut(text) };
  const records = readRecords(text);
  const [name, link, size] = [records.get('path'), records.get('linkpath'), records.get('size')];
  return {
    ...(name === undefined ? {} : { name }),
    ...(link === undefined ? {} : { link }),
    ...(size !== undefined && /^\d{1,15}$/.test(size) ? { size: Number(size) } : {}),
  };
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

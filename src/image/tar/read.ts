import { TransferError } from '../../errors.ts';
import { type ByteText, fromBytes } from '../../job/byte-text.ts';
import type { Bytes } from '../../protocol.ts';
import { type Cursor, cursor, truncated } from './cursor.ts';
import { cut, isZero, malformed, numberAt, type RawHeader, readHeader } from './header.ts';
import { BLOCK, type Entry, type Extent, type Member, type MemberType } from './member.ts';
import { type Records, readRecords, seconds, wholeNumber } from './pax.ts';
import { checkedExtents, listedMap, OLD_REAL_SIZE, oldMap, storedMap, withHoles } from './sparse.ts';

/** The most bytes of extended headers and long names that one member may have, and the archive as a whole (Go's `archive/tar` has the same). */
const MOST_HEADER_BYTES = 1024 * 1024;

/** What the kernel takes as one, without the NUL (limits.h, `PATH_MAX`). */
const LONGEST_LINK = 4095;

export interface ReadTarOptions {
  /** Somebody else proves that the archive is whole (a digest): it may lack the zero blocks at its end. */
  readonly isProven?: boolean;
}

const TYPES: Readonly<Record<string, MemberType>> = {
  '0': 'file',
  '\0': 'file',
  // Contiguous: a file to everyone else.
  '7': 'file',
  S: 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  // GNU's directory with a list of its names as body.
  D: 'directory',
  '6': 'fifo',
};

/** What headers before the member's own say of it. */
interface Before {
  name?: ByteText;
  link?: ByteText;
  records?: Records;
  bytes: number;
}

/** Types whose size counts bytes behind the header, also where their name makes directories of them. */
const HAS_BODY = new Set(['0', '\0', '7', 'D']);

const ATTRIBUTE = 'SCHILY.xattr.';

/**
 * The members of a tar archive in their order, to its last byte: v7, ustar, pax, GNU and star, with long names, large
 * numbers, sparse files and extended attributes. Bodies are passed on as they come, those that nobody reads are skipped,
 * and one that is read after the next member was asked for rejects. Rejects with `invalid-request` for an archive that
 * is cut or broken, and `unsupported` for types of members that it does not know. Leaving the iteration releases `bytes`.
 */
export async function* readTar(bytes: Bytes, options: ReadTarOptions = {}): AsyncGenerator<Entry> {
  const from = cursor(bytes);
  const globals: Records = new Map();
  let before: Before = { bytes: 0 };
  try {
    for (;;) {
      const block = from.takeNow(BLOCK) ?? (await from.take(BLOCK, 'a header'));
      if (!block || isZero(block)) {
        if (before.bytes > 0) throw malformed('headers at its end that belong to no member');
        await readEnd(from, block !== undefined, options);
        return;
      }
      const header = readHeader(block);
      if (header.size < 0) throw malformed('a member with a negative size');
      if (await readAhead(header, before, globals, from)) continue;
      const { member, stored } = await describe(header, combined(globals, before), before, from);
      before = { bytes: 0 };
      const body = openBody(from, stored, member);
      yield { ...member, ...body.ways };
      await body.skip();
    }
  } finally {
    await from.close();
  }
}

/** Takes in a header that speaks of members to come. True when it was one. */
async function readAhead(
  header: RawHeader,
  before: Before,
  globals: Records,
  from: Cursor,
): Promise<boolean> {
  const { type } = header;
  // A volume's label.
  if (type === 'V') return true;
  if (!'xXgLK'.includes(type)) return false;
  if (type !== 'g') before.bytes += BLOCK + header.size;
  if (Math.max(before.bytes, header.size) > MOST_HEADER_BYTES) {
    throw malformed(`more than ${MOST_HEADER_BYTES} bytes of headers for one member`);
  }
  const body = await bodyText(header.size, from);
  if (type === 'L') before.name = cut(body);
  else if (type === 'K') before.link = cut(body);
  else if (type === 'g') {
    for (const [key, value] of readRecords(body)) globals.set(key, value);
    let total = 0;
    for (const [key, value] of globals) total += key.length + value.length;
    if (total > MOST_HEADER_BYTES) throw malformed(`more than ${MOST_HEADER_BYTES} bytes of global headers`);
  } else before.records = readRecords(body);
  return true;
}

async function bodyText(size: number, from: Cursor): Promise<ByteText> {
  if (size === 0) return '';
  const padded = Math.ceil(size / BLOCK) * BLOCK;
  const body = await from.take(padded, 'an extended header');
  if (!body) throw truncated('an extended header');
  return fromBytes(Buffer.from(body.buffer, body.byteOffset, size));
}

function combined(globals: Records, { records }: Before): Records {
  if (globals.size === 0) return records ?? globals;
  return records ? new Map([...globals, ...records]) : globals;
}

async function describe(
  header: RawHeader,
  records: Records,
  before: Before,
  from: Cursor,
): Promise<{ member: Member; stored: number }> {
  const said = (key: string): string | undefined => records.get(key) || undefined;
  const number = (key: string, other: number): number => {
    const value = said(key);
    return value === undefined ? other : wholeNumber(value, key);
  };
  const name = said('GNU.sparse.name') ?? said('path') ?? before.name ?? header.name;
  const type = typeOf(header, name);
  const time = said('mtime');
  const common = {
    name: named(name, 'name'),
    type,
    mode: header.mode & 0o7777,
    uid: number('uid', header.uid),
    gid: number('gid', header.gid),
    modified: time === undefined ? header.modified : seconds(time, 'mtime'),
    link:
      type === 'symlink' || type === 'hardlink' ? linked(said('linkpath') ?? before.link ?? header.link) : '',
    major: type === 'character' || type === 'block' ? header.major : 0,
    minor: type === 'character' || type === 'block' ? header.minor : 0,
    xattrs: attributes(records),
  };
  // Only files have bodies; what others say of their size means something else, as does Go's `archive/tar` take it.
  if (type !== 'file')
    return {
      member: { ...common, size: 0 },
      stored: HAS_BODY.has(header.type) ? number('size', header.size) : 0,
    };
  const stored = number('size', header.size);
  const sparse = await readSparse(header, said, stored, from);
  if (!sparse) return { member: { ...common, size: stored }, stored };
  return { member: { ...common, size: sparse.size, extents: sparse.extents }, stored: sparse.stored };
}

function typeOf(header: RawHeader, name: ByteText): MemberType {
  const type = TYPES[header.type];
  if (!type) {
    throw new TransferError(
      'unsupported',
      `reading the archive: a member of the unknown type ${JSON.stringify(header.type)}`,
    );
  }
  // As archives older than ustar mark directories.
  return type === 'file' && header.type !== 'S' && name.endsWith('/') ? 'directory' : type;
}

function linked(link: ByteText): ByteText {
  if (link.length > LONGEST_LINK) throw malformed(`a link of more than ${LONGEST_LINK} bytes`);
  return named(link, 'link');
}

function named(name: ByteText, what: string): ByteText {
  if (name === '' || name.includes('\0'))
    throw malformed(`a member whose ${what} is ${name === '' ? 'empty' : 'cut by a NUL'}`);
  return name;
}

const NONE: ReadonlyMap<ByteText, ByteText> = new Map();

function attributes(records: Records): ReadonlyMap<ByteText, ByteText> {
  let found: Map<ByteText, ByteText> | undefined;
  for (const [key, value] of records) {
    if (!key.startsWith(ATTRIBUTE)) continue;
    found ??= new Map();
    found.set(key.slice(ATTRIBUTE.length), value);
  }
  return found ?? NONE;
}

async function readSparse(
  header: RawHeader,
  said: (key: string) => string | undefined,
  bodyBytes: number,
  from: Cursor,
): Promise<{ size: number; extents: readonly Extent[]; stored: number } | undefined> {
  if (header.type === 'S') {
    const size = numberAt(header.block, OLD_REAL_SIZE, 'real size');
    return { size, extents: checkedExtents(await oldMap(header, from), size, bodyBytes), stored: bodyBytes };
  }
  const real = said('GNU.sparse.realsize') ?? said('GNU.sparse.size');
  if (real === undefined) return undefined;
  const size = wholeNumber(real, 'GNU.sparse.realsize');
  const listed = said('GNU.sparse.map');
  if (said('GNU.sparse.major') === '1') {
    const { extents, mapBytes } = await storedMap(from, bodyBytes);
    const stored = bodyBytes - mapBytes;
    return { size, extents: checkedExtents(extents, size, stored), stored };
  }
  return { size, extents: checkedExtents(listedMap(listed ?? ''), size, bodyBytes), stored: bodyBytes };
}

/** The ways to read a body of `stored` bytes, and how to get behind it whatever was read of it. */
function openBody(from: Cursor, stored: number, { type, extents, size }: Member) {
  let left = stored;
  let isOver = false;
  async function* rest(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (isOver) throw new TransferError('unexpected', 'reading the archive: a body was asked for too late');
      if (left === 0) return;
      const piece = await from.piece(left);
      if (!piece) throw truncated('the body of a member');
      left -= piece.length;
      yield piece;
    }
  }
  // What lies behind a directory's header is nobody's.
  const whole: Bytes = { [Symbol.asyncIterator]: type === 'file' ? rest : none };
  return {
    ways: {
      stored: whole,
      body: extents ? { [Symbol.asyncIterator]: () => withHoles(whole, extents, size) } : whole,
    },
    skip: async () => {
      for await (const _ of rest());
      isOver = true;
      const padding = -stored & (BLOCK - 1);
      if (padding > 0 && !from.takeNow(padding) && !(await from.take(padding, 'the body of a member'))) {
        throw truncated('the body of a member');
      }
    },
  };
}

async function* none(): AsyncGenerator<Uint8Array> {}

/** Reads what lies behind the members: a second zero block, and then whatever, as long as it goes. */
async function readEnd(
  from: Cursor,
  hasZeroBlock: boolean,
  { isProven = false }: ReadTarOptions,
): Promise<void> {
  if (!hasZeroBlock && !isProven) throw malformed('no end: the zero blocks that mark it are missing');
  const second = hasZeroBlock ? await from.take(BLOCK, 'its end') : undefined;
  if (second && !isZero(second)) throw malformed('one zero block between members');
  while (await from.piece(Number.MAX_SAFE_INTEGER));
}

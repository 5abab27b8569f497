import { isUtf8 } from 'node:buffer';
import { TransferError } from '../../errors.ts';
import { type ByteText, toBytes } from '../../job/byte-text.ts';
import { FIELDS, type Field } from './header.ts';
import { BLOCK, type Extent, type Member, type MemberType } from './member.ts';

/** A member to write: everything but its name has a value that says nothing about this machine or moment. */
export type MemberToWrite = Pick<Member, 'name'> & Partial<Member>;

/** Two blocks of zeros, which end an archive. */
export const END_OF_ARCHIVE = new Uint8Array(2 * BLOCK);

const NOTHING = new Uint8Array(0);

const TYPEFLAGS: Readonly<Record<MemberType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** What `size` and `mtime`, and ids, hold in octal digits: one byte of a field is its NUL. */
const MOST_OF_12 = 8 ** 11 - 1;
const MOST_OF_8 = 8 ** 7 - 1;

const EXECUTABLE = 0o755;
const PLAIN = 0o644;

/**
 * Everything in front of a member's body: a ustar header, behind an extended one (pax) where ustar has no room for the
 * name, the link, a size from 8 GiB, an id, a time, or attributes. The same member gives the same bytes. Without them:
 * a file of 0 bytes, mode 0644 (directories 0755), of root, from 1970. A name of a directory gets its `/`. With
 * `extents` the body is what these store (GNU's sparse form 1.0, whose map is part of what is returned); all but the last
 * have to be of whole blocks, as GNU tar begins each at a block and others do not. Throws `invalid-request` for what no
 * tar archive can say.
 */
export function memberHeader(given: MemberToWrite): Uint8Array {
  const type = given.type ?? 'file';
  const name = type === 'directory' && !given.name.endsWith('/') ? `${given.name}/` : given.name;
  const map = given.extents ? sparseMap(given.extents, given.size ?? 0) : undefined;
  const member = {
    type,
    name: map ? sparseName(name) : name,
    link: given.link ?? '',
    mode: given.mode ?? (type === 'directory' ? EXECUTABLE : PLAIN),
    uid: given.uid ?? 0,
    gid: given.gid ?? 0,
    size: type === 'file' ? (map ? map.length + storedBytes(given.extents) : (given.size ?? 0)) : 0,
    modified: given.modified ?? 0,
    major: given.major ?? 0,
    minor: given.minor ?? 0,
  };
  if (name === '' || /\0/.test(name) || /\0/.test(member.link)) {
    throw new TransferError(
      'invalid-request',
      `writing the archive: a name that no archive can hold: ${JSON.stringify(name)}`,
    );
  }
  const { header, records } = ustar(member);
  if (map) {
    records.push(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.name', name]);
    records.push(['GNU.sparse.realsize', String(given.size ?? 0)]);
  }
  for (const [key, value] of [...(given.xattrs ?? [])].sort(byKey))
    records.push([`SCHILY.xattr.${key}`, value]);
  const parts = records.length === 0 ? [header] : [...extended(records, name), header];
  return Buffer.concat(map ? [...parts, map] : parts);
}

/** The zeros behind a body of `size` bytes as stored. */
export function bodyPadding(size: number): Uint8Array {
  const count = -size & (BLOCK - 1);
  return count === 0 ? NOTHING : END_OF_ARCHIVE.subarray(0, count);
}

/** Bytes of a body with these extents as the archive stores it, without the map. */
export const storedBytes = (extents: readonly Extent[] = []): number =>
  extents.reduce((total, { length }) => total + length, 0);

type Pair = [key: ByteText, value: ByteText];

const byKey = ([one]: readonly [string, string], [other]: readonly [string, string]) =>
  one < other ? -1 : 1;

function ustar(member: Required<Omit<Member, 'xattrs' | 'extents'>>): { header: Buffer; records: Pair[] } {
  const records: Pair[] = [];
  const header = Buffer.alloc(BLOCK);
  const put = (field: Field, value: ByteText) =>
    header.write(value, FIELDS[field][0], FIELDS[field][1], 'latin1');
  const octal = (field: Field, value: number) =>
    put(field, value.toString(8).padStart(FIELDS[field][1] - 1, '0'));
  /** In octal where it fits, else in a record, and 0 in its place. */
  const number = (field: Field, key: string, value: number, most: number) => {
    const fits = Number.isInteger(value) && value >= 0 && value <= most;
    if (!fits) records.push([key, decimal(value)]);
    octal(field, fits ? value : 0);
  };
  const divided = split(member.name);
  if (!divided) records.push(['path', member.name]);
  put('name', divided?.name ?? member.name);
  put('prefix', divided?.prefix ?? '');
  if (member.link.length > FIELDS.link[1]) records.push(['linkpath', member.link]);
  put('link', member.link);
  octal('mode', member.mode & 0o7777);
  number('uid', 'uid', member.uid, MOST_OF_8);
  number('gid', 'gid', member.gid, MOST_OF_8);
  number('size', 'size', member.size, MOST_OF_12);
  number('modified', 'mtime', member.modified, MOST_OF_12);
  put('type', TYPEFLAGS[member.type]);
  put('magic', 'ustar\x0000');
  if (Math.max(member.major, member.minor) > MOST_OF_8) {
    throw new TransferError(
      'invalid-request',
      'writing the archive: a device number that no archive can hold',
    );
  }
  octal('major', member.major);
  octal('minor', member.minor);
  seal(header);
  return { header, records };
}

/** The sum of all bytes of the header, its own field as spaces: six digits, NUL, space. */
function seal(header: Buffer): void {
  header.fill(' ', FIELDS.checksum[0], FIELDS.checksum[0] + FIELDS.checksum[1]);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, FIELDS.checksum[0], 'latin1');
}

/** Prefix and name of ustar, divided at a `/`; undefined when that cannot be. */
function split(name: ByteText): { readonly prefix: ByteText; readonly name: ByteText } | undefined {
  const most = FIELDS.name[1];
  if (name.length <= most) return { prefix: '', name };
  // The first `/` that leaves a name short enough; the `/` at the end of a directory divides nothing.
  const at = name.indexOf('/', name.length - most - 1);
  if (at <= 0 || at === name.length - 1 || at > FIELDS.prefix[1]) return undefined;
  return { prefix: name.slice(0, at), name: name.slice(at + 1) };
}

/** An extended header, as a member of its own, with its records. */
function extended(records: Pair[], name: ByteText): Buffer[] {
  // Names in it are UTF-8 unless it says otherwise (POSIX.1-2017, `pax`, pax Extended Header Keyword Values).
  const isText = records.every(([key, value]) => key.startsWith('SCHILY.') || isUtf8(toBytes(value)));
  const all = isText ? records : [['hdrcharset', 'BINARY'] satisfies Pair, ...records];
  const body = toBytes(all.map(record).join(''));
  const { header } = ustar({
    name: `PaxHeaders/${name
      .replace(/\/+$/, '')
      .split('/')
      .pop()
      ?.slice(0, FIELDS.name[1] / 2)}`,
    type: 'file',
    link: '',
    mode: PLAIN,
    uid: 0,
    gid: 0,
    size: body.length,
    modified: 0,
    major: 0,
    minor: 0,
  });
  header.write('x', FIELDS.type[0], 'latin1');
  seal(header);
  return [header, body, Buffer.from(bodyPadding(body.length))];
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function record([key, value]: Pair): ByteText {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

const decimal = (value: number): string => {
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(6).replace(/0+$/, '');
};

/** The map of GNU's form 1.0. An empty extent says where a hole at the end ends. */
function sparseMap(extents: readonly Extent[], size: number): Buffer {
  const last = extents.at(-1);
  const isFull = last !== undefined && last.offset + last.length === size;
  const all = isFull ? extents : [...extents, { offset: size, length: 0 }];
  const lines = Buffer.from(
    [all.length, ...all.flatMap(({ offset, length }) => [offset, length])].map((n) => `${n}\n`).join(''),
  );
  return Buffer.concat([lines, bodyPadding(lines.length)]);
}

/** What readers that know nothing of the form call the file. */
function sparseName(name: ByteText): ByteText {
  const at = name.lastIndexOf('/') + 1;
  return `${name.slice(0, at)}GNUSparseFile.0/${name.slice(at)}`;
}

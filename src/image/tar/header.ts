import { TransferError } from '../../errors.ts';
import { type ByteText, fromBytes } from '../../job/byte-text.ts';

/** The fields of one header block as they stand, whatever the typeflag. */
export interface RawHeader {
  readonly block: Uint8Array;
  readonly type: string;
  readonly name: ByteText;
  readonly link: ByteText;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly modified: number;
  readonly major: number;
  readonly minor: number;
  readonly isGnu: boolean;
}

/** Offset and length of the fields (POSIX.1-2017, `pax`, ustar Interchange Format; GNU tar manual, "Basic Tar Format"). */
export const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  modified: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  link: [157, 100],
  magic: [257, 8],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
} as const;

export type Field = keyof typeof FIELDS;

/** The star program's own form of ustar has times behind a shorter prefix, and this at the end. */
const STAR_TRAILER = [508, 4] as const;
const STAR_PREFIX = [345, 131] as const;

const SPACE = 0x20;
const SIGN_BYTE = 0x80;

export const isZero = (block: Uint8Array): boolean => block.every((byte) => byte === 0);

/** The fields of a header block. Rejects one whose checksum is wrong, by the sum of signed as of unsigned bytes. */
export function readHeader(block: Uint8Array): RawHeader {
  verifyChecksum(block);
  const magic = text(block, FIELDS.magic);
  // Devices and prefix are there only where a magic says so; old archives have whatever in their place.
  const isPosix = magic.startsWith('ustar\0');
  const isGnu = magic === 'ustar  \0';
  const prefix = isPosix ? cut(text(block, isStar(block) ? STAR_PREFIX : FIELDS.prefix)) : '';
  const name = cut(text(block, FIELDS.name));
  const device = (field: Field) => (isPosix || isGnu ? readNumber(block, field) : 0);
  return {
    block,
    type: text(block, FIELDS.type),
    name: prefix === '' ? name : `${prefix}/${name}`,
    link: cut(text(block, FIELDS.link)),
    mode: readNumber(block, 'mode'),
    uid: readNumber(block, 'uid'),
    gid: readNumber(block, 'gid'),
    size: readNumber(block, 'size'),
    modified: readNumber(block, 'modified'),
    major: device('major'),
    minor: device('minor'),
    isGnu,
  };
}

const isStar = (block: Uint8Array): boolean => text(block, STAR_TRAILER) === 'tar\0';

/** The bytes of a field, NULs included. */
export function text(block: Uint8Array, [offset, length]: readonly [number, number]): ByteText {
  return fromBytes(Buffer.from(block.buffer, block.byteOffset + offset, length));
}

/** Up to the first NUL. */
export function cut(field: ByteText): ByteText {
  const end = field.indexOf('\0');
  return end === -1 ? field : field.slice(0, end);
}

function verifyChecksum(block: Uint8Array): void {
  const [from, length] = FIELDS.checksum;
  let unsigned = 0;
  let signed = 0;
  for (let at = 0; at < block.length; at += 1) {
    const byte = at >= from && at < from + length ? SPACE : (block[at] ?? 0);
    unsigned += byte;
    signed += byte >= SIGN_BYTE ? byte - 256 : byte;
  }
  const stored = readNumber(block, 'checksum');
  if (stored !== unsigned && stored !== signed) throw malformed('a header with a wrong checksum');
}

function readNumber(block: Uint8Array, field: Field): number {
  return numberAt(block, FIELDS[field], field);
}

/** Octal digits, or base 256 where the first bit is set (GNU tar manual, "Extensions"). 0 when blank. */
export function numberAt(
  block: Uint8Array,
  [offset, length]: readonly [number, number],
  field: string,
): number {
  const first = block[offset] ?? 0;
  if (first >= SIGN_BYTE) return base256(block.subarray(offset, offset + length), field);
  const digits = text(block, [offset, length]).replace(/^[ \0]+|[ \0][\s\S]*$/g, '');
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw malformed(`a header whose ${field} is no number`);
  return Number.parseInt(digits, 8);
}

function base256(bytes: Uint8Array, field: string): number {
  const isNegative = ((bytes[0] ?? 0) & 0x40) !== 0;
  // Two's complement without the bit that says so.
  let value = isNegative ? ((bytes[0] ?? 0) & 0x7f) - 0x80 : (bytes[0] ?? 0) & 0x7f;
  for (const byte of bytes.subarray(1)) value = value * 256 + byte;
  if (!Number.isSafeInteger(value)) throw malformed(`a header whose ${field} is out of range`);
  return value;
}

/** An archive that breaks its format. Permanent: its bytes are what they are. */
export const malformed = (what: string): TransferError =>
  new TransferError('invalid-request', `reading the archive: it has ${what}`);

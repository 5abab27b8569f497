import { TransferError } from '../errors.ts';

/** Message types of SFTP version 3 (draft-ietf-secsh-filexfer-02 §3). */
export const MESSAGE = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const;

/** Flags of an OPEN (draft-ietf-secsh-filexfer-02 §6.3). */
export const OPEN = { read: 1, write: 2, create: 8, truncate: 16, exclusive: 32 } as const;

/** A number is a uint32, a bigint a uint64, text and bytes a string with its length; `raw` goes as it is. */
export type Field = number | bigint | string | Uint8Array | { readonly raw: Uint8Array };

/** One whole packet: length, type, then the fields (the first of most is the request's id). */
export function encodePacket(type: number, fields: readonly Field[]): Buffer {
  const parts = fields.map(encodeField);
  const head = Buffer.allocUnsafe(5);
  head.writeUInt32BE(
    parts.reduce((sum, part) => sum + part.length, 1),
    0,
  );
  head[4] = type;
  return Buffer.concat([head, ...parts]);
}

function encodeField(field: Field): Uint8Array {
  if (typeof field === 'number') {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32BE(field >>> 0, 0);
    return bytes;
  }
  if (typeof field === 'bigint') {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigUInt64BE(field, 0);
    return bytes;
  }
  if (typeof field === 'object' && 'raw' in field) return field.raw;
  const bytes = typeof field === 'string' ? Buffer.from(field, 'utf8') : field;
  return Buffer.concat([encodeField(bytes.length), bytes]);
}

/** The beginning of a WRITE, up to its `length` bytes of data, which follow as they are (§6.4). */
export function encodeWriteHead(id: number, handle: Uint8Array, offset: number, length: number): Buffer {
  const head = Buffer.allocUnsafe(25 + handle.length);
  head.writeUInt32BE(21 + handle.length + length, 0);
  head[4] = MESSAGE.write;
  head.writeUInt32BE(id, 5);
  head.writeUInt32BE(handle.length, 9);
  head.set(handle, 13);
  head.writeBigUInt64BE(BigInt(offset), 13 + handle.length);
  head.writeUInt32BE(length, 21 + handle.length);
  return head;
}

/** Takes the fields of a packet one after the other. Each throws `unavailable` where the packet ends too early. */
export interface FieldReader {
  u32(): number;
  /** Throws for what no JavaScript number holds exactly. */
  u64(): number;
  bytes(): Buffer;
  text(): string;
  left(): number;
}

/** Reads the fields of `body`, which begins behind the packet's type and id. */
export function readFields(body: Buffer): FieldReader {
  let at = 0;
  const take = (length: number): number => {
    if (at + length > body.length) throw malformed('a packet ends before its fields do');
    at += length;
    return at - length;
  };
  const u32 = () => body.readUInt32BE(take(4));
  const bytes = () => {
    const length = u32();
    const start = take(length);
    return body.subarray(start, start + length);
  };
  return {
    u32,
    u64() {
      const value = body.readBigUInt64BE(take(8));
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('a number is too large');
      return Number(value);
    },
    bytes,
    text: () => bytes().toString('utf8'),
    left: () => body.length - at,
  };
}

/** What came is no SFTP; the session is of no use any more. */
export function malformed(what: string, hint?: string): TransferError {
  return new TransferError('unavailable', `sftp: ${what}`, hint === undefined ? {} : { hint });
}

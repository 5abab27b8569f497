import { isUtf8 } from 'node:buffer';

/**
 * Bytes as a string of one character a byte (latin1). Arguments, variables and file names are kept so until they are
 * written or shown: they need not be UTF-8, and a string is easier to take apart than a buffer.
 */
export type ByteText = string;

export const toBytes = (text: ByteText): Buffer => Buffer.from(text, 'latin1');

export const fromBytes = (bytes: Buffer): ByteText => bytes.toString('latin1');

/** The bytes of ordinary text in UTF-8. */
export const fromText = (text: string): ByteText => fromBytes(Buffer.from(text));

/** Well-formed sequences of UTF-8 (Unicode 15, table 3-7), or a byte that belongs to none. */
const SEQUENCES =
  /(?:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})+|[\s\S]/g;

/** As text; `stray` tells what stands for a byte that is no UTF-8. */
export function readable(bytes: ByteText, stray: (byte: string) => string = hexByte): string {
  const buffer = toBytes(bytes);
  if (isUtf8(buffer)) return buffer.toString('utf8');
  return bytes.replace(SEQUENCES, (piece) =>
    piece.length === 1 && piece > '\x7f' ? stray(piece) : toBytes(piece).toString('utf8'),
  );
}

/** `\xe9` for a byte. */
export const hexByte = (byte: string): string => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`;

/** As node's own calls take a path: text where it is UTF-8, bytes where it is not. */
export function toPath(bytes: ByteText): string | Buffer {
  const buffer = toBytes(bytes);
  return isUtf8(buffer) ? buffer.toString('utf8') : buffer;
}

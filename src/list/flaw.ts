import { isUtf8 } from 'node:buffer';
import { TransferError } from '../errors.ts';
import type { Chunk, ListInput } from './input.ts';

/** Why an input cannot be read on, and at which byte. */
export interface Flaw {
  readonly flaw: string;
  readonly offset: number;
  readonly hint?: string;
}

/** Bytes of one entry. A longer one is a broken list; its objects would take ten times that in memory. */
export const ENTRY_LIMIT = 16 * 1024 * 1024;

/** What is wrong with the bytes themselves: an encoding other than UTF-8, or NUL. */
export function findBinary({ bytes, offset }: Chunk): Flaw | undefined {
  if (offset === 0) {
    const [first, second] = bytes;
    const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
    const spaced = bytes.length > 1 && (first === 0) !== (second === 0);
    if (marked || spaced) {
      return {
        flaw: 'expected UTF-8, got UTF-16',
        offset: 0,
        hint: 'convert it with `iconv -f utf-16 -t utf-8`',
      };
    }
  }
  const nul = bytes.indexOf(0);
  return nul < 0 ? undefined : { flaw: 'expected text, got a NUL byte', offset: offset + nul };
}

/** The text of `bytes`, or where they stop being UTF-8. Replacing what does not decode would change a file's name. */
export function decode({ bytes, offset }: Chunk): string | Flaw {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString('utf8');
  if (isUtf8(buffer)) return text;
  // The text before the first replacement character was whole, unless that character was really there.
  const before = Buffer.from(text);
  const different = before.findIndex((byte, index) => byte !== buffer[index]);
  return { flaw: 'expected UTF-8, got bytes that are none', offset: offset + Math.max(different, 0) };
}

/** One byte of the input as a message shows it. */
export function describeByte(byte: number): string {
  return byte > 0x20 && byte < 0x7f
    ? `\`${String.fromCharCode(byte)}\``
    : `byte 0x${byte.toString(16).padStart(2, '0')}`;
}

/** `head` and `tail` as one; `tail` alone where nothing was kept from earlier chunks. */
export function joined(head: readonly Uint8Array[], tail: Uint8Array): Uint8Array {
  return head.length === 0 ? tail : Buffer.concat([...head, tail]);
}

/** The error for `flaw`, with line and column, for which `input` is read again up to there. */
export async function locate(flaw: Flaw, input: ListInput): Promise<TransferError> {
  let line = 1;
  let column = 1;
  for await (const { bytes, offset } of input.chunks()) {
    const before = bytes.subarray(0, Math.max(flaw.offset - offset, 0));
    for (const byte of before) {
      if (byte === 0x0a) {
        line++;
        column = 1;
      } else if ((byte & 0xc0) !== 0x80) {
        // Bytes that go on with a character are no column of their own.
        column++;
      }
    }
    if (before.length < bytes.length) break;
  }
  return new TransferError(
    'invalid-request',
    `reading ${input.name}: ${flaw.flaw}, at byte ${flaw.offset} (line ${line}, column ${column})`,
    flaw.hint === undefined ? {} : { hint: flaw.hint },
  );
}

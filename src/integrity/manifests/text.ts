import { isUtf8 } from 'node:buffer';
import { TransferError } from '../../errors.ts';
import { safeText } from '../../safe-text.ts';
import { quoted } from './names.ts';

const BOM = [0xef, 0xbb, 0xbf];
const CR = 0x0d;
const LF = 0x0a;
/** Characters of the longest path (4,096) escaped and a digest, with much room: what is longer is no line of ours. */
export const LONGEST_LINE = 64 * 1024;
const LONGEST_REASON = 160;

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without its end, LF or CR LF. */
  readonly text: string;
  readonly hasEnd: boolean;
  /** Byte of the whole that it begins at. */
  readonly at: number;
}

export interface BadLine {
  readonly number: number;
  readonly problem: string;
  readonly at: number;
}

/**
 * The lines of a text in UTF-8 that comes in blocks, one at a time, a byte order mark left out. A block is done with when
 * the next one is asked for. Throws `invalid-request` for UTF-16.
 */
export function* linesOf(blocks: Iterable<Uint8Array>): Generator<Line | BadLine> {
  let number = 0;
  let isFirst = true;
  /** Of a line whose end is still to come. */
  let begun: Buffer = Buffer.alloc(0);
  let begunAt = 0;
  let blockAt = 0;
  for (const block of blocks) {
    const bytes = isFirst
      ? withoutMark(block)
      : Buffer.from(block.buffer, block.byteOffset, block.byteLength);
    if (isFirst) {
      blockAt = block.length - bytes.length;
      begunAt = blockAt;
    }
    isFirst = false;
    const end = bytes.lastIndexOf(LF) + 1;
    if (end > 0) {
      for (const line of wholeLines(
        begun.length === 0 ? bytes.subarray(0, end) : Buffer.concat([begun, bytes.subarray(0, end)]),
      )) {
        number++;
        const { start, ...said } = line;
        // Of a line that began in an earlier block not all may be kept.
        const at = start === 0 ? begunAt : blockAt + start - begun.length;
        yield { number, ...said, at, hasEnd: true };
      }
      begun = Buffer.alloc(0);
      begunAt = blockAt + end;
    }
    // What is longer than any line is told, not kept.
    const room = LONGEST_LINE + 2 - begun.length;
    if (end < bytes.length && room > 0) begun = Buffer.concat([begun, bytes.subarray(end, end + room)]);
    blockAt += bytes.length;
  }
  if (begun.length > 0) yield { number: number + 1, ...readLine(begun, false), at: begunAt, hasEnd: false };
}

type LineText = { readonly text: string } | { readonly problem: string };

function* wholeLines(bytes: Buffer): Generator<LineText & { readonly start: number }> {
  // Asked of all at once, which most lists pass.
  const isText = isUtf8(bytes) && !bytes.includes(0);
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(LF, start);
    const line = bytes.subarray(start, bytes[end - 1] === CR && end > start ? end - 1 : end);
    yield { start, ...readLine(line, isText) };
    start = end + 1;
  }
}

function readLine(line: Buffer, isText: boolean): LineText {
  const problem = isText && line.length <= LONGEST_LINE ? undefined : lineProblem(line);
  return problem === undefined ? { text: line.toString('utf8') } : { problem };
}

function lineProblem(line: Buffer): string | undefined {
  if (line.length > LONGEST_LINE) return `longer than ${LONGEST_LINE} bytes`;
  if (line.includes(0)) return `holds a NUL: ${quoted(line.toString('latin1'))}`;
  if (!isUtf8(line)) return `not UTF-8, and names are never altered: ${quoted(line.toString('latin1'))}`;
  return undefined;
}

/** All of a document in UTF-8, a byte order mark left out. Throws `invalid-request` for what is no UTF-8, or too long. */
export function decodeDocument(bytes: Uint8Array, most: number): string {
  const buffer = withoutMark(bytes);
  if (buffer.length > most) throw refused(`expected at most ${most} bytes, got ${buffer.length}`);
  if (!isUtf8(buffer)) throw refused('expected UTF-8, and names are never altered');
  return buffer.toString('utf8');
}

/** How a text begins, to tell what it is. Throws `invalid-request` for UTF-16. */
export function headOf(bytes: Uint8Array, most: number): string {
  return withoutMark(bytes).subarray(0, most).toString('utf8');
}

/** As {@link decodeDocument}, parsed as JSON. */
export function decodeJson(bytes: Uint8Array, most: number): unknown {
  const text = decodeDocument(bytes, most);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed('JSON', error);
  }
}

/** The fields of a JSON object; none for anything else. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** A manifest that is refused as a whole. */
export function refused(problem: string, cause?: unknown): TransferError {
  return new TransferError(
    'invalid-request',
    `reading digests: ${problem}`,
    cause === undefined ? {} : { cause },
  );
}

/** The same for what the parser of that language says of it, which may repeat all of it. */
export function malformed(language: string, error: unknown): TransferError {
  if (error instanceof TransferError) return error;
  const why = error instanceof Error ? error.message : '';
  const short = why.length > LONGEST_REASON ? `${why.slice(0, LONGEST_REASON)}…` : why;
  return refused(`expected ${language}: ${safeText(short)}`, error);
}

/** A text in UTF-16 would be read as lines full of NULs. */
function withoutMark(bytes: Uint8Array): Buffer {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [first, second] = buffer;
  const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  const oneIsNul = buffer.length > 1 && (first === 0) !== (second === 0);
  if (marked || (oneIsNul && buffer.length % 2 === 0)) throw refused('expected UTF-8, got UTF-16');
  return BOM.every((byte, at) => buffer[at] === byte) ? buffer.subarray(BOM.length) : buffer;
}

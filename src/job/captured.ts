import fs from 'node:fs';
import { hexByte } from './byte-text.ts';
import { escapeText, MARKS } from './yaml-scalar.ts';

/** What is shown of a file: its last characters, or all of it. */
export interface Shown {
  readonly fd: number;
  /** Bytes of the file. */
  readonly size: number;
  /** Characters at most; undefined for all. */
  readonly most: number | undefined;
}

const READ_BYTES = 256 * 1024;
/** Bytes of the longest character in UTF-8. */
const LONGEST = 4;
/** Characters that tell whether one of {@link MARKS} begins before them. */
const LOOK_AHEAD = 64;

/** Everything that YAML 1.1 does not call printable (5.1), the byte order mark, and what stands for stray bytes. */
const UNPRINTABLE = /[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffc\u{10000}-\u{10ffff}]/gu;
/** What YAML 1.1 reads as the end of a line (5.4). */
const BREAK = /[\n\r\x85\u2028\u2029]/g;

/**
 * `data_truncated` and `data` of what a job wrote, in pieces: a literal block, each line of it further in than
 * `indent`. Stray bytes and what YAML cannot hold are left out, as are blanks before the first printable character. In
 * a text that looks like a record of ours, the block is a double-quoted scalar of the same value, so that no plain
 * search finds that.
 */
export function* capturedData(shown: Shown, indent: string): Generator<string> {
  const window = windowOf(shown);
  yield `${indent}data_truncated: ${window.cut}\n`;
  if (hasMark(cleaned(shown, window))) {
    yield `${indent}data: "`;
    yield* asQuoted(cleaned(shown, window), `${indent}  `);
    yield '"\n';
    return;
  }
  yield `${indent}data: |\n${indent}  `;
  for (const text of cleaned(shown, window)) yield text.replaceAll('\n', `\n${indent}  `);
  yield '\n';
}

interface Window {
  /** Where to begin to read. */
  readonly from: number;
  /** Characters to leave out there. */
  readonly skip: number;
  readonly cut: boolean;
}

function windowOf({ fd, size, most }: Shown): Window {
  if (most === undefined || size <= most) return { from: 0, skip: 0, cut: false };
  const from = Math.max(0, size - most * LONGEST);
  let characters = 0;
  for (const chunk of chunks(fd, from, size)) characters += countCharacters(chunk);
  const skip = Math.max(0, characters - most);
  return { from, skip, cut: from > 0 || skip > 0 };
}

/** Bytes that are no continuation of a character. */
function countCharacters(bytes: Buffer): number {
  let count = 0;
  for (const byte of bytes) if ((byte & 0xc0) !== 0x80) count += 1;
  return count;
}

function* chunks(fd: number, from: number, to: number): Generator<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(READ_BYTES, to - from)));
  for (let at = from; at < to; ) {
    const got = fs.readSync(fd, buffer, 0, Math.min(buffer.length, to - at), at);
    if (got === 0) return;
    yield buffer.subarray(0, got);
    at += got;
  }
}

/** The characters of a window that may stand in a record, every break of a line as `\n`. */
function* cleaned({ fd, size }: Shown, { from, skip }: Window): Generator<string> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let left = skip;
  let isStart = true;
  for (const chunk of chunks(fd, from, size)) {
    let bytes = chunk;
    if (left > 0) {
      const at = afterCharacters(bytes, left);
      left -= countCharacters(bytes.subarray(0, at));
      bytes = bytes.subarray(at);
    }
    let text = decoder.decode(bytes, { stream: true }).replace(UNPRINTABLE, '');
    if (isStart) {
      const first = text.search(/[^ \t\r\n\x85\u2028\u2029]/);
      const head = first < 0 ? text : text.slice(0, first);
      isStart = first < 0;
      text = head.replace(/[ \t\r]/g, '') + text.slice(head.length);
    }
    if (text !== '') yield text.replace(BREAK, '\n');
  }
}

/** Where `count` characters have gone by; what continues the last of them belongs to it. */
function afterCharacters(bytes: Buffer, count: number): number {
  let seen = 0;
  for (let at = 0; at < bytes.length; at++) {
    if (((bytes[at] as number) & 0xc0) === 0x80) continue;
    if (seen === count) return at;
    seen += 1;
  }
  return bytes.length;
}

function hasMark(pieces: Iterable<string>): boolean {
  let tail = '';
  for (const piece of pieces) {
    const text = tail + piece;
    if (text.search(MARKS) >= 0) return true;
    tail = text.slice(-LOOK_AHEAD);
  }
  return false;
}

/** The inside of a double-quoted scalar, a line of it for each line of the text (YAML 1.1, 7.3.1: `\` ends a line). */
function* asQuoted(pieces: Iterable<string>, indent: string): Generator<string> {
  let isLineStart = false;
  const put = (text: string): string =>
    text.replace(/\n|[^\n]+/g, (part) => {
      if (part === '\n') {
        isLineStart = true;
        return `\\n\\\n${indent}`;
      }
      // A blank at the beginning of a line would go with the indentation.
      const first = isLineStart && (part[0] === ' ' || part[0] === '\t') ? hexByte(part[0]) : '';
      isLineStart = false;
      return first + escapeText(first === '' ? part : part.slice(1));
    });
  let rest = '';
  for (const piece of pieces) {
    rest += piece;
    // Cut where no mark lies across: what begins before the cut is seen whole.
    const cut = cutBefore(rest, rest.length - LOOK_AHEAD);
    if (cut <= 0) continue;
    yield put(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  yield put(rest);
}

function cutBefore(text: string, at: number): number {
  if (at <= 0) return 0;
  const from = Math.max(0, at - LOOK_AHEAD);
  const before = text.slice(from).search(MARKS);
  return before >= 0 && from + before < at ? from + before : at;
}

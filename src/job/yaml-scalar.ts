import { type ByteText, hexByte, readable } from './byte-text.ts';

/**
 * Text that readers of invocation records look for with a plain search, wherever it stands: a job's own words must not
 * be taken for ours. Each is found from its first character.
 */
export const MARKS =
  /raw(?=:\s{0,8}-?\d)|<(?=status\s{1,8}raw=)|integrity_error(?=:)|-(?=-{14}pegasus-multipart)|-(?=\s{0,8}invocation:)|\[(?=cluster-|seqexec)/g;

/** A mark, so written that a double-quoted scalar still has the same value. */
export const disarmMark = (mark: string): string => hexByte(mark[0] as string) + mark.slice(1);

/** What YAML 1.1 does not count as printable (5.1), reads as a line break, or ends a double-quoted scalar. */
const ESCAPED = /["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g;
const SIMPLE = /^[\w ./+=,@%~:()-]*$/;

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
};

/** The inside of a double-quoted scalar on one line, for text. */
export function escapeText(text: string): string {
  if (SIMPLE.test(text) && text.search(MARKS) < 0) return text;
  return text.replace(ESCAPED, escapeCharacter).replace(MARKS, disarmMark);
}

function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0);
  return SHORT[character] ?? (code < 0x100 ? hexByte(character) : `\\u${code.toString(16).padStart(4, '0')}`);
}

/** A double-quoted YAML scalar on one line. A byte that is no UTF-8 is written, and read, as the character U+00NN. */
export function quoted(bytes: ByteText): string {
  if (SIMPLE.test(bytes) && bytes.search(MARKS) < 0) return `"${bytes}"`;
  const pieces: string[] = [];
  // Stray bytes are put in afterwards: an escaped backslash would not be theirs.
  const text = readable(bytes, (byte) => {
    pieces.push(hexByte(byte));
    return '\ud800';
  });
  if (pieces.length === 0) return `"${escapeText(text)}"`;
  return `"${text
    .split('\ud800')
    .map((part, at) => escapeText(part) + (pieces[at] ?? ''))
    .join('')}"`;
}

/** Plain scalars that cannot be taken for a number, a date, a truth value or nothing, and that end where they seem to. */
const PLAIN = /^(?:[A-Za-z_/]|\.{1,2}\/)(?:[\w./+=,@%~()-]|:(?! |$)| (?! |$))*$/;
const WORDS = /^(?:y|n|yes|no|on|off|true|false|null)$/i;

/** A scalar as it is where that reads as the same string, else double-quoted. */
export function plain(bytes: ByteText): string {
  return PLAIN.test(bytes) && !WORDS.test(bytes) && bytes.search(MARKS) < 0 ? bytes : quoted(bytes);
}

import fs from 'node:fs';
import { fromBytes } from './byte-text.ts';
import { quoted } from './yaml-scalar.ts';

/** One entry that a tool wrote for the record while the job ran. */
export interface ToolEntry {
  /** As the record's key, decoded; bytes. */
  readonly key: string;
  /** `key: value`, without what stands before them. */
  readonly lines: readonly string[];
}

export interface ToolEntries {
  readonly entries: readonly ToolEntry[];
  /** Lines that are none of the format, which the record leaves out. */
  readonly strange: number;
}

/** Bytes of the file that are read: 200,000 entries. */
const MOST_BYTES = 64 * 1024 * 1024;

const KEY = /^ {4}(?:"((?:[^"\\]|\\.)*)"|([^\s"'#&*!|>%@`{}[\],?-][^"#]*?)) *: *$/;
const LINE = /^ {6}([a-z][a-z0-9_-]*): (.*?) *$/;
/** What only the wrapper says: of a job, and of a digest that it could not make. */
const OURS: ReadonlySet<string> = new Set(['raw', 'integrity_error', 'data']);
const SIMPLE = /^[\w./+-][\w ./+=,@%~()-]*(?::[\w ./+=,@%~()-]+)*$/;

/**
 * The entries that transfer and integrity tools appended to the file `fd`, as far as they have the format. Jobs can
 * write there as well: what they write can be an entry, and nothing else.
 */
export function readToolEntries(fd: number, size: number): ToolEntries {
  const text = readWhole(fd, Math.min(size, MOST_BYTES));
  const entries: { key: string; lines: string[] }[] = [];
  let strange = size > MOST_BYTES ? 1 : 0;
  for (const line of text.split('\n')) {
    if (/^\s*$/.test(line)) continue;
    const key = KEY.exec(line);
    if (key) {
      entries.push({ key: key[1] === undefined ? (key[2] ?? '') : unescaped(key[1]), lines: [] });
      continue;
    }
    const [, name, value = ''] = LINE.exec(line) ?? [];
    const entry = entries.at(-1);
    if (name === undefined || OURS.has(name) || !entry) strange += 1;
    else entry.lines.push(`${name}: ${scalar(value)}`);
  }
  return { entries, strange };
}

function scalar(value: string): string {
  if (SIMPLE.test(value)) return value;
  const inside = /^"((?:[^"\\]|\\.)*)"$/.exec(value)?.[1];
  return quoted(inside === undefined ? value : unescaped(inside));
}

/** The bytes that a double-quoted scalar of ours stands for. */
function unescaped(inside: string): string {
  if (!inside.includes('\\')) return inside;
  try {
    const text = JSON.parse(
      `"${inside.replace(/\\x([0-9a-f]{2})/gi, '\\u00$1').replace(/\t/g, '\\t')}"`,
    ) as string;
    // What was no escape are bytes already.
    return [...text]
      .map((character) => (character > '\xff' ? fromBytes(Buffer.from(character)) : character))
      .join('');
  } catch {
    return inside;
  }
}

function readWhole(fd: number, size: number): string {
  const buffer = Buffer.alloc(size);
  let at = 0;
  for (let got = 1; at < size && got > 0; at += got) got = fs.readSync(fd, buffer, at, size - at, at);
  return fromBytes(buffer.subarray(0, at));
}

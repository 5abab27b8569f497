import fs from 'node:fs';
import { ALGORITHMS } from './integrity/digests.ts';
import type { PrefixDigest } from './integrity/prefix.ts';
import type { Algorithm } from './protocol.ts';

/** Files from this size on are journaled; smaller ones are just sent again. */
export const JOURNAL_BYTES = 8 * 1024 * 1024;
/** A prefix digest is written down each time this many bytes more have come. A kill costs at most these and what waits to be hashed. */
const BLOCK_BYTES = 4 * 1024 * 1024;
/** Prefix digests of one file, about: journals stay small enough to be read whole. */
const MOST_BLOCKS = 16 * 1024;

/** Bytes between two prefix digests of a file of `size` bytes: a power of two. */
export function blockBytes(size: number | undefined): number {
  let bytes = BLOCK_BYTES;
  while ((size ?? 0) / bytes > MOST_BLOCKS) bytes *= 2;
  return bytes;
}

/** What a partial is a part of. */
export interface JournalHeader {
  /** The source without secrets. */
  readonly source: string;
  /** The source's version when the write began. */
  readonly version: string;
  readonly size?: number;
  /** Digests that were being taken. */
  readonly algorithms: readonly Algorithm[];
  /** Where it was to be stored, without secrets; for partials that do not lie beside it. */
  readonly destination?: string;
}

export interface Journal {
  /** Writes down that the content up to `block.end` has this digest. */
  add(block: PrefixDigest): void;
  /** How many are written down. */
  blocks(): number;
  close(): void;
  /** Closes and removes: the partial has become a file. */
  remove(): void;
}

/**
 * The journal of one partial lies beside it, as lines of JSON: a header, then a digest of the whole prefix for each
 * block. It needs no fsync: what it says of the partial is proven against the partial's bytes before it is believed,
 * and a line that was cut off ends it.
 */
export function openJournal(
  partial: string,
  header: JournalHeader,
  blocks: readonly PrefixDigest[],
): Journal {
  const path = journalPath(partial);
  const { O_CREAT, O_WRONLY, O_NOFOLLOW } = fs.constants;
  const fd = fs.openSync(path, O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600);
  const write = (value: object) => void fs.writeSync(fd, lineOf(value));
  // Over what is there, in one call, and only then cut: whenever a kill comes, the file is a journal.
  fs.ftruncateSync(fd, fs.writeSync(fd, [{ bridle: 1, ...header }, ...blocks].map(lineOf).join('')));
  let written = blocks.length;
  let open = true;
  const close = () => {
    if (open) fs.closeSync(fd);
    open = false;
  };
  return {
    add: (block) => {
      if (!open) return;
      write(block);
      written += 1;
    },
    blocks: () => written,
    close,
    remove: () => {
      close();
      fs.rmSync(path, { force: true });
    },
  };
}

function lineOf(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

/** The journal beside `partial`, as far as it can be read; undefined when there is none to trust. */
export function readJournal(
  partial: string,
): { readonly header: JournalHeader; readonly blocks: readonly PrefixDigest[] } | undefined {
  let text: string;
  try {
    text = fs.readFileSync(journalPath(partial), 'utf8');
  } catch {
    return undefined;
  }
  const lines = text.split('\n').slice(0, -1).map(parseLine);
  const header = lines.shift();
  if (!isHeader(header)) return undefined;
  const blocks: PrefixDigest[] = [];
  for (const line of lines) {
    if (!isBlock(line) || line.end <= (blocks.at(-1)?.end ?? 0)) break;
    blocks.push(line);
  }
  return { header, blocks };
}

function journalPath(partial: string): string {
  return `${partial}.journal`;
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isHeader(value: unknown): value is JournalHeader & { readonly bridle: number } {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Partial<Record<string, unknown>>;
  return (
    fields.bridle === 1 &&
    typeof fields.source === 'string' &&
    typeof fields.version === 'string' &&
    Array.isArray(fields.algorithms) &&
    fields.algorithms.every((algorithm) => ALGORITHMS.includes(algorithm))
  );
}

function isBlock(value: unknown): value is PrefixDigest {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Partial<Record<string, unknown>>;
  return (
    Number.isSafeInteger(fields.end) &&
    typeof fields.sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(fields.sha256)
  );
}

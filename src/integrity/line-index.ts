import { randomInt } from 'node:crypto';
import type { ListLines } from './manifests/list-lines.ts';
import type { ManifestItem } from './manifests/manifest.ts';

/** Finds what a long list says of a name, by reading those lines again. */
export interface LineIndex {
  /** What the lines with this key say, in the order of the list. Throws `changed`, and as reading a file does. */
  find(key: string): readonly ManifestItem[];
  /** Groups of lines that may be of one key and whose marks allow it that they say different things. */
  quarrels(): Iterable<readonly ManifestItem[]>;
  close(): void;
}

export interface IndexRules {
  /** What an item is found by; undefined for what nobody asks for. */
  readonly keyOf: (item: ManifestItem) => string | undefined;
  /**
   * A whole number below 2^32. Equal upper four bits and other lower ones say that two items of one key differ; zero
   * says nothing, and {@link UNMARKED} that there is nothing to differ in.
   */
  readonly markOf?: (item: ManifestItem) => number;
  /** Given every item, as the list is gone through. */
  readonly onItem?: (item: ManifestItem) => void;
}

export const UNMARKED = 0xffffffff;

const SEED_LIMIT = 2 ** 32;
const HASH_BITS = 32;
/** Whole numbers that a double holds. */
const NUMBER_BITS = 53;

/**
 * Goes through a list once. Takes 20 bytes a line that has a key, 24 with a mark: a number of its key and of the line,
 * sorted, and where the line stands. The seed is drawn anew each time, so that no list is made of keys that are alike.
 */
export function indexLines(lines: ListLines, { keyOf, markOf, onItem }: IndexRules): LineIndex {
  const most = lines.count();
  const seed = randomInt(SEED_LIMIT);
  // Memory that is not written to is not taken.
  const keys = new Float64Array(most);
  const offsets = new Float64Array(most);
  const numbers = new Uint32Array(most);
  const marks = new Uint32Array(markOf ? most : 0);
  const lineBits = Math.max(1, Math.ceil(Math.log2(most)));
  const span = 2 ** lineBits;
  const drop = Math.max(0, HASH_BITS - (NUMBER_BITS - lineBits));
  const hash = (key: string) => hashOf(key, seed) >>> drop;
  let count = 0;
  const cursor = { at: 0, number: 0 };
  for (const item of lines.items(cursor)) {
    onItem?.(item);
    const key = keyOf(item);
    if (key === undefined) continue;
    keys[count] = hash(key) * span + count;
    offsets[count] = cursor.at;
    numbers[count] = cursor.number;
    if (markOf) marks[count] = markOf(item);
    count += 1;
  }
  const sorted = keys.subarray(0, count).sort();
  const open = lines.open();
  const itemAt = (at: number) => {
    const line = (sorted[at] ?? 0) % span;
    return open.itemAt({ at: offsets[line] ?? 0, number: numbers[line] ?? 0 });
  };
  return {
    close: () => open.close(),
    find(key) {
      const from = hash(key) * span;
      const found: ManifestItem[] = [];
      for (let at = firstFrom(sorted, from); (sorted[at] ?? Infinity) < from + span; at++) {
        const item = itemAt(at);
        if (keyOf(item) === key) found.push(item);
      }
      return found;
    },
    *quarrels() {
      for (let start = 0, end = 0; start < count; start = end) {
        const own = Math.floor((sorted[start] ?? 0) / span);
        end = start + 1;
        while (end < count && Math.floor((sorted[end] ?? 0) / span) === own) end++;
        if (end === start + 1) continue;
        const said = Array.from(sorted.subarray(start, end), (key) => marks[key % span] ?? 0);
        if (mayQuarrel(said)) yield Array.from(said, (_, at) => itemAt(start + at));
      }
    },
  };
}

function mayQuarrel(marks: readonly number[]): boolean {
  const known = new Map<number, number>();
  for (const mark of marks) {
    if (mark === UNMARKED) continue;
    const kind = mark >>> 28;
    if (mark === 0 || (known.get(kind) ?? mark) !== mark) return true;
    known.set(kind, mark);
  }
  return false;
}

function firstFrom(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function hashOf(text: string, seed: number): number {
  let hash = seed;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
}

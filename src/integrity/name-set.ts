import { randomInt } from 'node:crypto';

/** Texts that were added, told apart by 64 bits of each: no text is kept. */
export interface NameSet {
  /** False when it was there before, or, once in 10^19 times, one that is alike. */
  add(text: string): boolean;
  has(text: string): boolean;
}

const FEWEST = 1024;
const SEED_LIMIT = 2 ** 32;

/**
 * An empty set, of 8 bytes for each place of a table that is a third to two thirds full: a million names take 16 MiB. The
 * seeds are drawn anew each time, so that no list is made of names that are alike.
 */
export function createNameSet(): NameSet {
  const seeds = [randomInt(SEED_LIMIT), randomInt(SEED_LIMIT)] as const;
  let places = FEWEST;
  let table = new Uint32Array(2 * places);
  let count = 0;
  let low = 0;
  let high = 0;
  const digest = (text: string) => {
    let [one, other]: [number, number] = [...seeds];
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      one = Math.imul(one ^ unit, 0x9e3779b1);
      one ^= one >>> 15;
      other = Math.imul(other ^ unit, 0x85ebca6b);
      other ^= other >>> 13;
    }
    low = Math.imul(one ^ (one >>> 16), 0xc2b2ae35) >>> 0;
    high = Math.imul(other ^ (other >>> 16), 0x27d4eb2f) >>> 0;
    // Two zeros are an empty place.
    if (low === 0 && high === 0) low = 1;
  };
  /** Where these two numbers are, or belong. */
  const find = (into: Uint32Array, size: number, a: number, b: number): number => {
    for (let place = a & (size - 1); ; place = (place + 1) & (size - 1)) {
      const [x, y] = [into[2 * place], into[2 * place + 1]];
      if ((x === a && y === b) || (x === 0 && y === 0)) return 2 * place;
    }
  };
  const grow = () => {
    const larger = new Uint32Array(4 * places);
    for (let at = 0; at < table.length; at += 2) {
      const [a = 0, b = 0] = [table[at], table[at + 1]];
      if (a === 0 && b === 0) continue;
      const to = find(larger, 2 * places, a, b);
      larger[to] = a;
      larger[to + 1] = b;
    }
    table = larger;
    places *= 2;
  };
  return {
    add(text) {
      digest(text);
      const at = find(table, places, low, high);
      if (table[at] !== 0 || table[at + 1] !== 0) return false;
      table[at] = low;
      table[at + 1] = high;
      count += 1;
      if (3 * count > 2 * places) grow();
      return true;
    },
    has(text) {
      digest(text);
      const at = find(table, places, low, high);
      return table[at] !== 0 || table[at + 1] !== 0;
    },
  };
}

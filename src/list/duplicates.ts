import { LOCAL_SCHEMES } from '../location.ts';
import type { Place, TransferRequest } from '../request.ts';

/**
 * What two transfers must differ in. The local schemes write to the same disk; a query, secret or not, belongs to the
 * name, as in `https://host/put?file=a`. May hold a secret: for comparing only.
 */
export function destinationKey(request: TransferRequest): string {
  const place = request.destinations[0] as Place;
  const { scheme, authority, path, query } = place.location;
  if (LOCAL_SCHEMES.has(scheme)) return `\0${path.includes('//') ? path.replace(/\/{2,}/g, '/') : path}`;
  const tail =
    query === undefined && place.secret?.query === undefined ? '' : `?${query ?? place.secret?.query}`;
  return `${scheme}\0${authority}\0${path}${tail}`;
}

/** A set of numbers from {@link hashKey} in 8 bytes a slot: a `Set` of a million takes four times that. */
export interface HashSet {
  /** False when the number was there already. */
  add(hash: number): boolean;
}

/** An empty set; open addressing, at most half full. */
export function createHashSet(): HashSet {
  let slots = new Float64Array(1024);
  let size = 0;

  function place(table: Float64Array, hash: number): boolean {
    const mask = table.length - 1;
    let slot = hash % table.length;
    for (let found = table[slot]!; found !== 0; found = table[slot]!) {
      if (found === hash) return false;
      slot = (slot + 1) & mask;
    }
    table[slot] = hash;
    return true;
  }

  return {
    add(hash) {
      if (!place(slots, hash)) return false;
      if (++size * 2 > slots.length) {
        const grown = new Float64Array(slots.length * 2);
        for (const kept of slots) if (kept !== 0) place(grown, kept);
        slots = grown;
      }
      return true;
    },
  };
}

/** 1 to 2^53 - 1, the same for the same text; another text shares it by chance alone. */
export function hashKey(text: string): number {
  let low = 0x811c9dc5;
  let high = 0x2f0b4c47;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit, 0x5bd1e995);
    high ^= high >>> 15;
  }
  low ^= low >>> 16;
  low = Math.imul(low ^ high, 0x45d9f3b);
  low ^= low >>> 15;
  return (high & 0x1fffff) * 0x1_0000_0000 + (low >>> 0) || 1;
}

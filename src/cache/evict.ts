import { freeBytes } from '../local/disk.ts';
import { cleanClaims } from './claim.ts';
import { dropContent, listContent } from './content.ts';
import type { CachePlace } from './place.ts';

/** What a cache may keep. */
export interface CacheBounds {
  /** Bytes of content. */
  readonly mostBytes: number;
  /** Milliseconds since it was last used. */
  readonly mostAge: number;
}

export interface Evicted {
  readonly files: number;
  readonly bytes: number;
}

/**
 * Removes what was not used for too long, then, what was not used for longest first, what is more than may be kept, and
 * what broken off fetches of that age have left. Whoever reads a file meanwhile has it open and reads on.
 */
export function evict(place: CachePlace, bounds: CacheBounds, now: number): Evicted {
  const kept = listContent(place);
  let total = kept.reduce((sum, { size }) => sum + size, 0);
  let [files, bytes] = [0, 0];
  for (const { name, used, size } of kept) {
    if (total <= bounds.mostBytes && now - used <= bounds.mostAge) continue;
    dropContent(place, name);
    total -= size;
    files += 1;
    bytes += size;
  }
  cleanClaims(place, now - bounds.mostAge);
  return { files, bytes };
}

/** Removes what was not used for longest until the file system has room for `bytes` more, or nothing is left. */
export function makeRoom(place: CachePlace, bytes: number): void {
  for (const { name } of listContent(place)) {
    const free = freeBytes(place.directory);
    if (free === undefined || free >= bytes) return;
    dropContent(place, name);
  }
}

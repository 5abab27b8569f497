import type { Cache, Obtained } from '../cache/cache.ts';
import type { Wanted } from '../cache/fill.ts';

/** Milliseconds after which what nobody has written to is compared again: disks forget. */
const MOST_UNREAD = 7 * 86_400_000;

/**
 * Compares whole content of a cache by `prove` before it is linked or copied, unless that was done in the last week, by
 * whoever. What somebody wrote to since is not content any more, which its modification time shows.
 */
export async function proveOnceAWeek(
  {
    obtained,
    cache,
    subject,
    now,
  }: {
    readonly obtained: Obtained;
    readonly cache: Cache;
    readonly subject: Wanted['subject'];
    readonly now: number;
  },
  prove: () => Promise<void>,
): Promise<void> {
  const { provenAt, by } = obtained;
  if (provenAt !== undefined && now - provenAt <= MOST_UNREAD && provenAt <= now) return;
  // Written just now, of what was compared on its way.
  if (by !== 'fetch') await prove();
  cache.seal(subject, obtained, now);
}

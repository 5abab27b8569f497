import type { Cache, Obtained } from '../cache/cache.ts';
import type { Wanted } from '../cache/fill.ts';

/** Milliseconds after which what nobody has touched is compared again: disks forget. */
const MOST_UNREAD = 7 * 86_400_000;

/**
 * Uses whole content of a cache by `use`, which makes a link or a copy of it. It is compared by `prove` before that, unless
 * that was done in the last week, by whoever, and the file system shows that nobody has touched it since.
 */
export async function useProven(
  obtained: Obtained,
  {
    cache,
    subject,
    now,
  }: { readonly cache: Cache; readonly subject: Wanted['subject']; readonly now: number },
  { prove, use }: { readonly prove: () => Promise<void>; readonly use: () => Promise<void> },
): Promise<void> {
  let { provenAt } = obtained;
  if (provenAt === undefined || now - provenAt > MOST_UNREAD || provenAt > now) {
    // Written just now, of what was compared on its way.
    if (obtained.by !== 'fetch') await prove();
    provenAt = now;
  }
  await use();
  cache.seal(subject, obtained, provenAt);
}

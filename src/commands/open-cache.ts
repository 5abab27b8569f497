import { resolve } from 'node:path';
import type { Cache } from '../cache/cache.ts';
import { systemClock } from '../clock.ts';
import { badInput } from './failures.ts';
import type { RunValues } from './settings.ts';

type CacheValues = Pick<RunValues, 'cache' | 'cacheSize' | 'cacheAge' | 'stallTimeout'>;

/** The cache of `--cache`; none without it. Rejects as bad input where it cannot be one. */
export async function openCacheOf(values: CacheValues): Promise<Cache | undefined> {
  const { cache, cacheSize, cacheAge, stallTimeout } = values;
  if (cache === undefined) return undefined;
  const { openCache } = await import('../cache/cache.ts');
  return badInput(async () =>
    openCache({
      directory: resolve(cache),
      bounds: { mostBytes: cacheSize, mostAge: cacheAge * 1000 },
      clock: systemClock,
      patience: stallTimeout * 1000,
    }),
  );
}

import { dirname } from 'node:path';
import type { Cache, Obtained } from '../cache/cache.ts';
import { readContent } from '../cache/read.ts';
import { isMismatch, TransferError } from '../errors.ts';
import { createHasher } from '../integrity/hasher.ts';
import { giveBack } from '../slabs.ts';
import { type CachedSifCall, dropSif, obtainSif, sifSubject } from './cached-sif.ts';
import { type CachedImage, placeFile } from './keep-cached.ts';
import { proveOnceAWeek } from './proven-before.ts';

/** Finds of something wrong, or of something just dropped, before that is an error. */
const MOST_TRIES = 3;
const MODE = 0o755;

/**
 * Puts the SIF file of an image at `path`, out of the cache, as `keepCached` does with an archive: what the cache had is
 * compared with the digest that it was made with, and made anew when it differs. Resolves with its bytes.
 */
export async function keepCachedSif(
  image: CachedImage,
  call: Omit<CachedSifCall, 'scratch'> & { readonly path: string },
  cache: Cache,
): Promise<number> {
  const { path, signal, programs } = call;
  for (let tries = 1; ; tries += 1) {
    try {
      const kept = await obtainSif(image, { ...call, scratch: dirname(path) }, cache);
      try {
        const subject = sifSubject(image, kept.packer);
        const at = { obtained: kept, cache, subject, now: Date.now() };
        await proveOnceAWeek(at, () => proveKept(kept, signal));
        await placeFile(kept.path, path, { signal, mode: MODE });
      } finally {
        kept.close();
      }
      return kept.size;
    } catch (error) {
      if (tries === MOST_TRIES || signal.aborted || !(error instanceof TransferError)) throw error;
      if (isMismatch(error)) dropSif(image, programs, cache);
      // Dropped by another process between finding and linking it.
      else if (error.code !== 'not-found') throw error;
    }
  }
}

/** Rejects with `digest-mismatch` when whole content of a cache is not what it was kept as. */
export async function proveKept(kept: Obtained, signal: AbortSignal): Promise<void> {
  const { algorithm, value } = kept.digest;
  const hasher = await createHasher([algorithm], kept.size);
  try {
    for await (const chunk of readContent(kept, { signal }).bytes) {
      await hasher.update(chunk);
      giveBack(chunk);
    }
    const found = (await hasher.digests()).get(algorithm);
    if (found === value) return;
    throw new TransferError(
      'digest-mismatch',
      `read \`${kept.path}\`: expected ${algorithm} ${value}, it has ${found}`,
    );
  } finally {
    hasher.close();
  }
}

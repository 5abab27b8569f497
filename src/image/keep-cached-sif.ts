import { dirname } from 'node:path';
import type { Cache, Obtained } from '../cache/cache.ts';
import { readContent } from '../cache/read.ts';
import { TransferError } from '../errors.ts';
import { createHasher } from '../integrity/hasher.ts';
import { giveBack } from '../slabs.ts';
import { type CachedSifCall, obtainSif, sifSubject } from './cached-sif.ts';
import type { CachedImage } from './keep-cached.ts';
import { placeKept } from './place-kept.ts';
import { findPacker } from './sif/packer.ts';

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
  const keeping = {
    subject: sifSubject(image, findPacker(programs)),
    mode: MODE,
    obtain: () => obtainSif(image, { ...call, scratch: dirname(path) }, cache),
    prove: (kept: Obtained) => proveKept(kept, signal),
  };
  return placeKept(path, keeping, { cache, signal });
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

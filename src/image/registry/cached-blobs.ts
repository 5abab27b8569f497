import type { Cache, Obtained } from '../../cache/cache.ts';
import type { FillCall } from '../../cache/fill.ts';
import { readContent } from '../../cache/read.ts';
import { isMismatch } from '../../errors.ts';
import type { Bytes } from '../../protocol.ts';
import { skipping } from '../../skipping.ts';
import { giveBack } from '../../slabs.ts';
import { hexOf, type Pointer } from '../documents.ts';
import { requireBlob, startSeen, verified } from '../verified.ts';
import { type BlobReader, type BlobSource, createBlobReader, fetchBlob } from './blobs.ts';

/**
 * Reads blobs by way of the cache, which fetches each of them once for all processes of the machine and goes on where a
 * fetch broke off. What comes out of it is compared like a registry's bytes; what is wrong there is dropped.
 */
export function cachedBlobs(source: BlobSource, cache: Cache): BlobReader {
  const direct = createBlobReader(source);
  const obtain = (pointer: Pointer, call: FillCall) =>
    cache.obtain(
      {
        subject: subjectOf(pointer),
        name: pointer.digest,
        size: pointer.size,
        fetch: (start, signal) => fetchBlob(source, pointer, start, signal),
      },
      call,
    );

  return {
    async whole(pointer, limit, signal) {
      if (pointer.data || pointer.size > limit) return direct.whole(pointer, limit, signal);
      const obtained = await obtain(pointer, { signal });
      const bytes = await collect(obtained, signal);
      try {
        requireBlob(bytes, pointer, `read \`${obtained.path}\``);
        return bytes;
      } catch {
        cache.drop(subjectOf(pointer));
        return direct.whole(pointer, limit, signal);
      }
    },

    async from(pointer, start, signal, seen = startSeen()) {
      if (pointer.data) return direct.from(pointer, start, signal, seen);
      const obtained = await obtain(pointer, { signal });
      const { at } = seen;
      const { bytes } = readContent(obtained, { signal, range: { start: at } });
      const proven = verified(bytes, pointer, `read \`${obtained.path}\``, seen);
      const kept = dropping(proven, obtained, () => cache.drop(subjectOf(pointer)));
      return at === start ? kept : skipping(kept, start - at);
    },

    async store(pointer, { signal, onBytes }) {
      if (pointer.data) return onBytes?.(pointer.size);
      let shown = 0;
      const show = (bytes: number) => {
        onBytes?.(bytes - shown);
        shown = bytes;
      };
      const obtained = await obtain(pointer, { signal, onBytes: show });
      show(obtained.size);
      obtained.close();
    },
  };
}

function subjectOf({ digest }: Pointer) {
  return { digest: { algorithm: 'sha256', value: hexOf(digest) } } as const;
}

/** The bytes; `drop` is called when they turn out to be wrong. */
async function* dropping(bytes: Bytes, obtained: Obtained, drop: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes;
  } catch (error) {
    if (isMismatch(error)) drop();
    throw error;
  } finally {
    obtained.close();
  }
}

async function collect(obtained: Obtained, signal: AbortSignal): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  try {
    for await (const chunk of readContent(obtained, { signal }).bytes) {
      pieces.push(Buffer.from(chunk));
      giveBack(chunk);
    }
  } finally {
    obtained.close();
  }
  return Buffer.concat(pieces);
}

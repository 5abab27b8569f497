import { createHash, type Hash } from 'node:crypto';
import type { Cache, Obtained } from '../cache/cache.ts';
import { readContent } from '../cache/read.ts';
import type { Clock } from '../clock.ts';
import { TransferError } from '../errors.ts';
import { giveBack } from '../slabs.ts';
import { type ArchiveFormat, type Layout, layoutOf, type Piece } from './archive/members.ts';
import { archiveBytes } from './archive/stream.ts';
import { distinct, type FetchableLayer } from './blob-store.ts';
import type { Image } from './image.ts';
import { placeKept } from './place-kept.ts';
import { severalAtATime, whileItBrings } from './several.ts';

/** Goes up with every change to the bytes of an archive: those of another version are not found any more. */
const FORMAT_VERSION = 2;

export interface CacheLayersCall {
  readonly signal: AbortSignal;
  readonly onBytes?: ((bytes: number) => void) | undefined;
  readonly clock?: Clock;
}

export interface KeepCachedCall extends CacheLayersCall {
  readonly path: string;
  readonly format: ArchiveFormat;
}

export type CachedImage = Image & { readonly layers: readonly FetchableLayer[] };

/**
 * Puts the archive of an image at `path`: a hard link to the file of the cache where the file system is the same, else a
 * copy of it, in one step. What the cache has is compared, byte for byte or digest for digest, with what the manifest
 * says, and made anew when it differs; layers that the cache lacks are fetched into it first. Resolves with the archive's
 * bytes.
 */
export async function keepCached(image: CachedImage, call: KeepCachedCall, cache: Cache): Promise<number> {
  const { path, format, signal } = call;
  const layout = layoutOf(image, format);
  const { digest } = image.manifest.descriptor;
  const subject = { key: `image archive ${FORMAT_VERSION} ${format} ${image.name} ${digest}` };
  const wanted = {
    subject,
    name: path,
    size: layout.size,
    // Its bytes have no digest before they are all there: what a killed run left cannot be proven.
    wholly: true,
    fetch: async () => archiveBytes(layout, { start: 0 }, signal),
  };
  const keeping = {
    subject,
    mode: 0o644,
    obtain: async () => {
      const found = cache.find(subject);
      // Before the archive is claimed: whoever waits for it waits for its writing alone.
      if (!found) await cacheLayers(image.layers, call);
      found?.close();
      return cache.obtain(wanted, { signal });
    },
    prove: (kept: Obtained) => proveArchive(kept, layout, signal),
  };
  return placeKept(path, keeping, { cache, signal });
}

/** Fetches what the cache lacks of the layers into it, several at a time. */
export function cacheLayers(layers: readonly FetchableLayer[], call: CacheLayersCall): Promise<void> {
  const bounds = { signal: call.signal, doing: 'pull' };
  return severalAtATime(distinct(layers), bounds, (layer, signal) => storeLayer(layer, { ...call, signal }));
}

/** Again and again while each try brings something: the cache goes on with what came. */
function storeLayer(layer: FetchableLayer, call: CacheLayersCall): Promise<void> {
  const { signal } = call;
  let came = 0;
  const onBytes = (bytes: number) => {
    came += bytes;
    call.onBytes?.(bytes);
  };
  return whileItBrings(
    call,
    () => came,
    async () => {
      // What came before is counted again as it is read again.
      onBytes(-came);
      await layer.store?.({ signal, onBytes });
    },
  );
}

/** Rejects with `digest-mismatch` or `size-mismatch` when the file is not what the layout says. */
async function proveArchive(kept: Obtained, { pieces, size }: Layout, signal: AbortSignal): Promise<void> {
  if (kept.size !== size) throw mismatch('size-mismatch', kept, `${size} bytes, it has ${kept.size}`);
  let [index, at] = [0, 0];
  let hash: Hash = createHash('sha256');
  for await (const chunk of readContent(kept, { signal }).bytes) {
    for (let from = 0; from < chunk.length; ) {
      const piece = pieces[index];
      if (!piece) break;
      const to = Math.min(chunk.length, from + piece.at + piece.size - at);
      hash.update(chunk.subarray(from, to));
      at += to - from;
      from = to;
      if (at < piece.at + piece.size) break;
      requirePiece(piece, hash, kept);
      hash = createHash('sha256');
      index += 1;
    }
    giveBack(chunk);
  }
}

function requirePiece(piece: Piece, hash: Hash, kept: Obtained): void {
  const found = `sha256:${hash.digest('hex')}`;
  const expected =
    'bytes' in piece
      ? `sha256:${createHash('sha256').update(piece.bytes).digest('hex')}`
      : piece.layer.descriptor.digest;
  if (found === expected) return;
  throw mismatch('digest-mismatch', kept, `\`${expected}\` at byte ${piece.at}, it has \`${found}\``);
}

function mismatch(code: 'digest-mismatch' | 'size-mismatch', { path }: Obtained, what: string) {
  return new TransferError(code, `read \`${path}\`: expected ${what}`);
}

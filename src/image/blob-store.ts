import { constants } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { errnoOf, isMismatch, TransferError, toTransferError } from '../errors.ts';
import { diskCalls, diskKind, readAt, syncFile, writeAt } from '../local/disk.ts';
import { openSource } from '../local/source.ts';
import { writerId, writerLives } from '../local/writer.ts';
import type { Bytes } from '../protocol.ts';
import { giveBack, takeSlab } from '../slabs.ts';
import { hexOf } from './documents.ts';
import type { Descriptor, Layer } from './image.ts';
import type { StoreBlobCall } from './registry/blobs.ts';
import { severalAtATime, whileItBrings } from './several.ts';
import { type Seen, startSeen, verified } from './verified.ts';

/** Milliseconds after which what a killed run left is nobody's any more. */
const STALE_MS = 7 * 86_400_000;

/** A layer that can be fetched from any place on, its digest going on where `seen` was. */
export interface FetchableLayer extends Layer {
  readFrom(start: number, signal: AbortSignal, seen?: Seen): Promise<Bytes>;
  /** Fetches it into the cache; absent where there is none. */
  readonly store?: (call: StoreBlobCall) => Promise<void>;
}

/** Told as layers come. */
export interface StoreEvents {
  readonly onBytes?: (bytes: number) => void;
  readonly onResume?: (digest: string, start: number) => void;
}

export interface StoreCall extends StoreEvents {
  /** `blobs/` of an OCI layout: `sha256/HEX` below it. Made when absent. */
  readonly directory: string;
  /** Nothing is kept there for good: what a killed run left is removed in time. */
  readonly isSpool?: boolean;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/**
 * Fetches layers that are not in the directory yet, three at a time, each compared with its descriptor before it gets
 * its name there. One that breaks off goes on where it was, also after a kill: what was there is read again for its
 * digest. Resolves with the layers as files, which are compared once more whenever they are read.
 */
export async function storeLayers(
  layers: readonly FetchableLayer[],
  call: StoreCall,
): Promise<readonly Layer[]> {
  const folder = join(call.directory, 'sha256');
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await sweep(folder, call.isSpool ?? false);
  const bounds = { signal: call.signal, doing: 'pull' };
  await severalAtATime(distinct(layers), bounds, (layer, signal) =>
    storeLayer(layer, folder, { ...call, signal }),
  );
  return layers.map((layer) => storedLayer(layer, folder));
}

/** Each layer once: an image may have the same one several times. */
export function distinct<L extends Layer>(layers: readonly L[]): readonly L[] {
  return [...new Map(layers.map((layer) => [layer.descriptor.digest, layer])).values()];
}

/** The layer, its bytes from a folder; from where it came when somebody else has removed them there. */
function storedLayer(layer: Layer, folder: string): Layer {
  const { descriptor, diffId } = layer;
  const path = join(folder, hexOf(descriptor.digest));
  return {
    descriptor,
    diffId,
    async read(signal) {
      try {
        const { bytes } = await openSource(path, { signal });
        return verified(bytes, descriptor, `read \`${path}\``);
      } catch (error) {
        if (error instanceof TransferError && error.code === 'not-found') return layer.read(signal);
        throw error;
      }
    },
  };
}

async function storeLayer(layer: FetchableLayer, folder: string, call: StoreCall): Promise<void> {
  const { descriptor } = layer;
  const path = join(folder, hexOf(descriptor.digest));
  if ((await sizeOf(path)) === descriptor.size) {
    call.onBytes?.(descriptor.size);
    return;
  }
  const partial = `${path}.${writerId()}.part`;
  await claim(folder, hexOf(descriptor.digest), partial);
  const kind = diskKind(folder);
  const calls = diskCalls(kind);
  const fd = await calls.open(partial, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
  try {
    const seen = await look(fd, descriptor, kind);
    const left = seen.at;
    if (left > 0) call.onResume?.(descriptor.digest, left);
    call.onBytes?.(left);
    try {
      await fetchRest(layer, fd, seen, call);
    } catch (error) {
      // What was left here may be what is wrong.
      if (left === 0 || !isMismatch(error)) throw error;
      call.onBytes?.(-seen.at);
      await fetchRest(layer, fd, startSeen(), call);
    }
    await calls.ftruncate(fd, descriptor.size);
    await syncFile(fd, kind);
  } catch (error) {
    // Wrong bytes are of no use to the next try.
    if (isMismatch(error)) await rm(partial, { force: true });
    throw toTransferError(error, `write \`${partial}\``);
  } finally {
    await calls.close(fd);
  }
  await rename(partial, path);
}

/** Fetches what is missing, again and again while each try brings something. */
function fetchRest(layer: FetchableLayer, fd: number, seen: Seen, call: StoreCall): Promise<void> {
  const kind = diskKind(call.directory);
  return whileItBrings(
    call,
    () => seen.at,
    async () => {
      let { at } = seen;
      for await (const chunk of await layer.readFrom(at, call.signal, seen)) {
        await writeAt(fd, chunk, at, kind);
        at += chunk.length;
        call.onBytes?.(chunk.length);
        giveBack(chunk);
      }
    },
  );
}

/** What of the blob is in the file already, and its digest. More than the blob has is nothing of it. */
async function look(fd: number, descriptor: Descriptor, kind: ReturnType<typeof diskKind>): Promise<Seen> {
  const { size } = descriptor;
  const seen = startSeen();
  const slab = takeSlab();
  for (;;) {
    const count = await readAt(fd, slab, seen.at, kind);
    if (count === 0) break;
    seen.hash.update(slab.subarray(0, count));
    seen.at += count;
    if (seen.at >= size) break;
  }
  giveBack(slab);
  if (seen.at < size) return seen;
  return seen.at === size && seen.hash.copy().digest('hex') === hexOf(descriptor.digest) ? seen : startSeen();
}

/** Takes over the longest that a dead writer left of the blob: one rename, which only one process can do. */
async function claim(folder: string, hex: string, partial: string): Promise<void> {
  const left: { readonly path: string; readonly size: number }[] = [];
  for (const name of await readdir(folder)) {
    const writer = /^([0-9a-f]{64})\.([0-9a-f-]{30})\.part$/.exec(name);
    const path = join(folder, name);
    if (writer?.[1] !== hex || path === partial) continue;
    const facts = await stat(path).catch(() => undefined);
    if (facts && !writerLives(writer[2] ?? '', facts.mtimeMs, Date.now()))
      left.push({ path, size: facts.size });
  }
  const [longest] = left.sort((one, other) => other.size - one.size);
  if (longest) await rename(longest.path, partial).catch(() => undefined);
}

/** Removes what killed runs left a week ago. */
async function sweep(folder: string, isSpool: boolean): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.part') && !isSpool) continue;
    const path = join(folder, name);
    const facts = await stat(path).catch(() => undefined);
    if (facts && Date.now() - facts.mtimeMs > STALE_MS) await rm(path, { force: true });
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw toTransferError(error, `stat \`${path}\``);
  }
}

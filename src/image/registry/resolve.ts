import type { Cache } from '../../cache/cache.ts';
import { TransferError } from '../../errors.ts';
import type { Bytes, HttpClient, Secrets } from '../../protocol.ts';
import {
  digestOf,
  type Index,
  type Manifest,
  MOST_CONFIG,
  MOST_MANIFEST,
  type Pointer,
  parseConfig,
  parseDocument,
  requireImage,
} from '../documents.ts';
import type { Image, Layer, Platform } from '../image.ts';
import { ACCEPT, bareType } from '../media-types.ts';
import { choosePlatform, formatPlatform, hostPlatform, imagesIn, runsOn } from '../platform.ts';
import { archiveName, formatReference, manifestName, type Reference } from '../reference.ts';
import type { Seen } from '../verified.ts';
import { type BlobReader, createBlobReader, type StoreBlobCall } from './blobs.ts';
import { cachedBlobs } from './cached-blobs.ts';
import { createRegistry, type Registry } from './client.ts';
import { placesOf, type RegistrySettings } from './hosts.ts';
import type { PullLimit } from './limits.ts';
import { readUpTo } from './refusal.ts';

/** Indexes inside of indexes: real ones have one level, and a chain of them would be asked for without end. */
const MOST_DEPTH = 4;

/** What finding an image may use. */
export interface RegistryTools {
  readonly http: HttpClient;
  readonly settings: RegistrySettings;
  /** Logins for a registry, or a mirror of it, by its own name. */
  secretsFor(registry: string, repository: string, again: boolean): Promise<Secrets>;
  warn(key: string, message: string): void;
  /** Where blobs are looked for first, and kept. */
  readonly cache?: Cache | undefined;
}

/** A layer that can be read from any place on. */
export interface RemoteLayer extends Layer {
  /** As `read`, from byte `start` on; the whole is verified all the same. `seen` tells of what came before, and goes on. */
  readFrom(start: number, signal: AbortSignal, seen?: Seen): Promise<Bytes>;
  /** Fetches it into the cache; absent where there is none. */
  readonly store?: (call: StoreBlobCall) => Promise<void>;
}

/** An image of a registry. */
export interface Found {
  readonly image: Image & { readonly layers: readonly RemoteLayer[] };
  readonly reference: Reference;
  /** Of what the reference itself names: the index where there is one. Pinning it pins the image. */
  readonly digest: string;
  /** All that an index has. */
  readonly platforms?: readonly Platform[];
  /** Who answered: the registry or a mirror. */
  readonly from: string;
  readonly limit?: PullLimit;
  readonly notes: readonly string[];
}

/** One document as the registry gave it. */
export interface Document {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly parsed: Manifest | Index;
}

/** A registry, for as long as one image is looked for. */
export interface Search {
  readonly registry: Registry;
  readonly repository: string;
  readonly http: HttpClient;
  readonly doing: string;
  readonly signal: AbortSignal;
}

/**
 * The image that `reference` names, for `platform`, by default this machine's: its manifest and configuration, compared
 * with their digests; layers are read later. Mirrors are asked first, and whatever they fail in leads to the next one.
 * Rejects with `not-found` for a platform that is not there, naming those that are.
 */
export function findImage(
  reference: Reference,
  tools: RegistryTools,
  call: { readonly platform?: Platform | undefined; readonly signal: AbortSignal },
): Promise<Found> {
  return inPlaces(reference, tools, call.signal, (registry) => findIn(registry, reference, tools, call));
}

/** What `find` finds at the first place that has it: mirrors are asked first, and whatever they fail in leads to the next one. */
export async function inPlaces<T>(
  reference: Reference,
  tools: RegistryTools,
  signal: AbortSignal,
  find: (registry: Registry) => Promise<T>,
): Promise<T> {
  const places = placesOf(reference.registry, tools.settings);
  for (const [index, place] of places.entries()) {
    const registry = createRegistry({
      http: tools.http,
      place,
      secrets: (again = false) => tools.secretsFor(place.registry, reference.repository, again),
      warn: tools.warn,
    });
    try {
      return await find(registry);
    } catch (error) {
      if (signal.aborted || index === places.length - 1 || !(error instanceof TransferError)) throw error;
      tools.warn(
        `mirror ${place.registry}`,
        `the mirror \`${place.registry}\` is of no use: ${error.message}`,
      );
    }
  }
  throw new TransferError('unexpected', `pull \`${formatReference(reference)}\`: no registry to ask`);
}

async function findIn(
  registry: Registry,
  reference: Reference,
  { http, cache }: Pick<RegistryTools, 'http' | 'cache'>,
  call: { readonly platform?: Platform | undefined; readonly signal: AbortSignal },
): Promise<Found> {
  const { repository } = reference;
  const doing = `pull \`${formatReference(reference)}\``;
  const search: Search = { registry, repository, http, doing, signal: call.signal };
  const top = await fetchDocument(search, manifestName(reference));
  const wanted = call.platform ?? hostPlatform();
  const blobs = cache ? cachedBlobs(search, cache) : createBlobReader(search);
  const { document, offered } = await choose(top, wanted, search, 0);
  const { parsed } = document;
  if (parsed.kind !== 'manifest') throw new TransferError('unexpected', `${doing}: expected a manifest`);
  requireImage(parsed, doing);
  const config = await blobs.whole(parsed.config, MOST_CONFIG, call.signal);
  const { platform, diffIds } = parseConfig(config, parsed.layers.length, `${doing}: configuration`);
  const notes: string[] = [];
  if (!runsOn(platform, wanted)) {
    const text = `it is for ${formatPlatform(platform)}, not ${formatPlatform(wanted)}`;
    if (call.platform) throw new TransferError('not-found', `${doing}: ${text}`);
    notes.push(text);
  }
  const limit = registry.limit();
  return {
    image: {
      name: archiveName(reference),
      manifest: {
        descriptor: { mediaType: parsed.mediaType, digest: document.digest, size: document.bytes.length },
        bytes: document.bytes,
      },
      config: { descriptor: parsed.config, bytes: config },
      platform,
      layers: parsed.layers.map((pointer, index) => layerOf(pointer, diffIds[index] ?? '', blobs)),
    },
    reference,
    digest: top.digest,
    ...(offered ? { platforms: offered } : {}),
    from: registry.place.registry,
    ...(limit ? { limit } : {}),
    notes,
  };
}

function layerOf(pointer: Pointer, diffId: string, blobs: BlobReader): RemoteLayer {
  const { mediaType, digest, size, annotations } = pointer;
  const { store } = blobs;
  return {
    descriptor: { mediaType, digest, size, ...(annotations ? { annotations } : {}) },
    diffId,
    read: (signal) => blobs.from(pointer, 0, signal),
    readFrom: (start, signal, seen) => blobs.from(pointer, start, signal, seen),
    ...(store ? { store: (call) => store(pointer, call) } : {}),
  };
}

/** The manifest for `wanted`, through as many indexes as it takes. */
async function choose(
  document: Document,
  wanted: Platform,
  search: Search,
  depth: number,
): Promise<{ readonly document: Document; readonly offered?: readonly Platform[] }> {
  const { parsed } = document;
  if (parsed.kind === 'manifest') return { document };
  refuseDepth(depth, search);
  const images = imagesIn(parsed.entries);
  const offered = images.flatMap(({ platform }) => (platform ? [platform] : []));
  // An entry need not say what it is for: then what is behind it does.
  const best = choosePlatform(images, wanted);
  const candidates = best ? [best] : images.filter(({ platform }) => platform === undefined);
  for (const entry of candidates) {
    const next = await fetchDocument(search, entry.digest, entry);
    try {
      const found = await choose(next, wanted, search, depth + 1);
      if (best || candidates.length === 1) return { offered, ...found };
      if (await fits(found.document, wanted, search)) return { offered, ...found };
    } catch (error) {
      if (best || !(error instanceof TransferError) || error.code !== 'not-found') throw error;
    }
  }
  throw nothingFor(wanted, offered, search);
}

/** Throws `unexpected` for a chain of indexes that has no end. */
export function refuseDepth(depth: number, { doing }: Pick<Search, 'doing'>): void {
  if (depth < MOST_DEPTH) return;
  throw new TransferError('unexpected', `${doing}: indexes inside of indexes, more than ${MOST_DEPTH} deep`);
}

/** Why an index that has `offered` has nothing that is wanted. */
export function nothingFor(
  wanted: Platform,
  offered: readonly Platform[],
  { doing }: Pick<Search, 'doing'>,
): TransferError {
  const list = [...new Set(offered.map(formatPlatform))].join(', ');
  return new TransferError('not-found', `${doing}: it has nothing for ${formatPlatform(wanted)}`, {
    hint: list === '' ? 'its index names no platform' : `it has ${list}`,
  });
}

async function fits({ parsed }: Document, wanted: Platform, search: Search): Promise<boolean> {
  if (parsed.kind !== 'manifest') return false;
  const bytes = await createBlobReader(search).whole(parsed.config, MOST_CONFIG, search.signal);
  return runsOn(parseConfig(bytes, parsed.layers.length, `${search.doing}: configuration`).platform, wanted);
}

/** A manifest or index by tag or digest, its bytes compared with every digest that is known of it. */
export async function fetchDocument(search: Search, name: string, entry?: Pointer): Promise<Document> {
  const { registry, repository, doing, signal } = search;
  const asking = {
    method: 'GET',
    repository,
    at: `manifests/${name}`,
    headers: { accept: ACCEPT },
    actions: 'pull',
    doing,
    signal,
  } as const;
  const response = await registry.send(asking);
  if (response.status !== 200) {
    const what = name.startsWith('sha256:') ? 'no image of this digest is there' : `there is no \`${name}\``;
    throw await registry.refusal(response, asking, what);
  }
  const type = response.headers['content-type'];
  const told = response.headers['docker-content-digest'];
  const bytes = await readUpTo(response, MOST_MANIFEST, doing);
  const digest = digestOf(bytes);
  const expected = name.startsWith('sha256:') ? name : undefined;
  if (entry && entry.size !== bytes.length) {
    throw new TransferError(
      'size-mismatch',
      `${doing}: a manifest of ${entry.size} bytes was announced, got ${bytes.length}`,
    );
  }
  if (expected !== undefined && digest !== expected) throw mismatch(doing, 'asked for', expected, digest);
  if (told?.startsWith('sha256:') && told !== digest)
    throw mismatch(doing, 'the registry says', told, digest);
  return { bytes, digest, parsed: parseDocument(bytes, bareType(type), doing) };
}

function mismatch(doing: string, who: string, expected: string, found: string): TransferError {
  const text = `${doing}: ${who} \`${expected.slice(0, 80)}\`, the manifest has \`${found}\``;
  return new TransferError('digest-mismatch', text);
}

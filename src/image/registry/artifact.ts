import type { Bytes } from '../../protocol.ts';
import { hexOf, type Manifest, type Pointer, requireSif } from '../documents.ts';
import type { Platform } from '../image.ts';
import { choosePlatform, hostPlatform, imagesIn } from '../platform.ts';
import { formatReference, manifestName, type Reference } from '../reference.ts';
import type { RemoteSif } from '../sif-service/found.ts';
import { type BlobSource, fetchBlob } from './blobs.ts';
import type { Registry } from './client.ts';
import { describeLimit } from './limits.ts';
import {
  type Document,
  fetchDocument,
  inPlaces,
  nothingFor,
  type RegistryTools,
  refuseDepth,
  type Search,
} from './resolve.ts';

const TITLE = 'org.opencontainers.image.title';
const CREATED = 'org.opencontainers.image.created';

/**
 * The SIF file that `reference` names: the one blob of an artifact as apptainer pushes it. Its manifest is compared with
 * every digest that is known of it, mirrors are asked first. Rejects with `unsupported` for a container image, and
 * `not-found` for a platform that an index does not have.
 */
export function findArtifact(
  reference: Reference,
  tools: RegistryTools,
  call: { readonly platform?: Platform | undefined; readonly signal: AbortSignal },
): Promise<RemoteSif> {
  return inPlaces(reference, tools, call.signal, (registry) => findIn(registry, reference, tools, call));
}

async function findIn(
  registry: Registry,
  reference: Reference,
  { http }: RegistryTools,
  call: { readonly platform?: Platform | undefined; readonly signal: AbortSignal },
): Promise<RemoteSif> {
  const { repository } = reference;
  const name = `oras://${formatReference(reference)}`;
  const search: Search = { registry, repository, http, doing: `pull \`${name}\``, signal: call.signal };
  const top = await fetchDocument(search, manifestName(reference));
  const { document, manifest } = await choose(top, call.platform ?? hostPlatform(), search, 0);
  const layer = requireSif(manifest, search.doing);
  const title = layer.annotations?.[TITLE];
  const created = manifest.annotations?.[CREATED];
  const limit = registry.limit();
  return {
    name,
    pinned: `oras://${formatReference({ ...reference, digest: top.digest })}`,
    size: layer.size,
    digest: { algorithm: 'sha256', value: hexOf(layer.digest) },
    proven: {
      algorithm: 'sha256',
      value: hexOf(top.digest),
      by: 'manifest',
      isAskedFor: reference.digest !== undefined,
    },
    version: `sif ${layer.digest} of ${document.digest}`,
    note: `SIF file ${layer.digest} of ${top.digest}`,
    facts: [
      { label: 'digest', text: top.digest },
      ...(document === top ? [] : [{ label: 'manifest', text: document.digest }]),
      { label: 'content', text: layer.digest },
      ...(title === undefined ? [] : [{ label: 'title', text: title }]),
      ...(created === undefined ? [] : [{ label: 'created', text: created }]),
      { label: 'from', text: registry.place.registry },
      ...(limit ? [{ label: 'pulls', text: describeLimit(limit) }] : []),
    ],
    open: async ({ range, signal }) => ({
      bytes: lazily({ registry, repository, http }, layer, range?.start ?? 0, signal),
    }),
  };
}

/** Asked for with the first byte: bytes that nobody iterates hold no connection. */
async function* lazily(
  source: BlobSource,
  layer: Pointer,
  start: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const bytes: Bytes = await fetchBlob(source, layer, start, signal);
  yield* bytes;
}

async function choose(
  document: Document,
  wanted: Platform,
  search: Search,
  depth: number,
): Promise<{ readonly document: Document; readonly manifest: Manifest }> {
  const { parsed } = document;
  if (parsed.kind === 'manifest') return { document, manifest: parsed };
  refuseDepth(depth, search);
  const files = imagesIn(parsed.entries);
  const [only] = files;
  // A single entry need not say what it is for.
  const best = choosePlatform(files, wanted) ?? (files.length === 1 && !only?.platform ? only : undefined);
  if (best) return choose(await fetchDocument(search, best.digest, best), wanted, search, depth + 1);
  throw nothingFor(
    wanted,
    files.flatMap(({ platform }) => (platform ? [platform] : [])),
    search,
  );
}

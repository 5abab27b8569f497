import { systemClock } from '../../clock.ts';
import { TransferError } from '../../errors.ts';
import { retryUnit } from '../../layers.ts';
import type { Bytes } from '../../protocol.ts';
import type { Descriptor, Image } from '../image.ts';
import { isForeignLayer } from '../media-types.ts';
import { formatReference, parseReference, type Reference } from '../reference.ts';
import { severalAtATime } from '../several.ts';
import { type Asking, createRegistry, type Registry } from './client.ts';
import { placesOf } from './hosts.ts';
import type { RegistryTools } from './resolve.ts';

/** What became of the blobs of an image. */
export interface Pushed {
  /** Of the manifest, as the registry now has it. */
  readonly digest: string;
  readonly sent: number;
  /** Taken over from another repository of the registry. */
  readonly mounted: number;
  /** There already. */
  readonly skipped: number;
  readonly bytes: number;
}

interface Blob {
  readonly descriptor: Descriptor;
  open(signal: AbortSignal): Promise<Bytes>;
}

interface Target {
  readonly registry: Registry;
  readonly repository: string;
  /** A repository of the same registry that may have the blobs already. */
  readonly from: string | undefined;
  readonly doing: string;
}

type Counts = { sent: number; mounted: number; skipped: number; bytes: number };

/**
 * Puts an image under a name: its blobs first, each compared with its digest here and by the registry, and the manifest
 * once all are there, so that nobody ever finds half an image. What the registry has is not sent again. Rejects with
 * `invalid-request` for a name with a digest that is not the image's.
 */
export async function pushImage(
  image: Image,
  reference: Reference,
  tools: RegistryTools,
  call: { readonly signal: AbortSignal; readonly onBytes?: (bytes: number) => void },
): Promise<Pushed> {
  const doing = `push \`${formatReference(reference)}\``;
  const { digest } = image.manifest.descriptor;
  if (reference.digest !== undefined && reference.digest !== digest) {
    throw new TransferError('invalid-request', `${doing}: the image has the digest \`${digest}\``);
  }
  const place = placesOf(reference.registry, { ...tools.settings, mirrors: [] })[0];
  if (!place) throw new TransferError('unexpected', `${doing}: no registry to ask`);
  const registry = createRegistry({
    http: tools.http,
    place,
    secrets: (again = false) => tools.secretsFor(place.registry, reference.repository, again),
    warn: tools.warn,
  });
  const target: Target = {
    registry,
    repository: reference.repository,
    from: originOf(image, reference),
    doing,
  };
  const counts: Counts = { sent: 0, mounted: 0, skipped: 0, bytes: 0 };
  await pushBlobs(blobsOf(image), target, counts, call);
  await pushManifest(image, reference, target, call.signal);
  return { digest, ...counts };
}

/** Where on this registry the image comes from, when its own name says so. */
function originOf({ name }: Image, { registry, repository }: Reference): string | undefined {
  const own = parseReference(name);
  return own.registry === registry && own.repository !== repository ? own.repository : undefined;
}

function blobsOf({ config, layers }: Image): readonly Blob[] {
  const all = [
    ...layers
      .filter(({ descriptor }) => !isForeignLayer(descriptor.mediaType))
      .map((layer) => ({ descriptor: layer.descriptor, open: (signal: AbortSignal) => layer.read(signal) })),
    { descriptor: config.descriptor, open: async () => one(config.bytes) },
  ];
  return [...new Map(all.map((blob) => [blob.descriptor.digest, blob])).values()];
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function pushBlobs(
  blobs: readonly Blob[],
  target: Target,
  counts: Counts,
  call: { readonly signal: AbortSignal; readonly onBytes?: (bytes: number) => void },
): Promise<void> {
  const bounds = { signal: call.signal, doing: target.doing };
  await severalAtATime(blobs, bounds, async (blob, signal) => {
    const retry = retryUnit(systemClock, Math.random, signal);
    const how = await retry((within) => pushBlob(blob, target, within));
    counts[how] += 1;
    if (how === 'sent') counts.bytes += blob.descriptor.size;
    call.onBytes?.(blob.descriptor.size);
  });
}

async function pushBlob(
  blob: Blob,
  target: Target,
  signal: AbortSignal,
): Promise<'sent' | 'mounted' | 'skipped'> {
  const { digest, size } = blob.descriptor;
  const { registry, repository, from } = target;
  const doing = `${target.doing}: blob \`${digest}\``;
  const common = { repository, actions: 'pull,push', doing, signal } as const;
  if (await isThere(registry, { ...common, method: 'HEAD', at: `blobs/${digest}` }, size)) return 'skipped';
  const mount = from === undefined ? '' : `?mount=${digest}&from=${encodeURIComponent(from)}`;
  const begin: Asking = { ...common, method: 'POST', at: `blobs/uploads/${mount}`, from };
  const started = await registry.send(begin);
  if (started.status === 201 && from !== undefined) {
    await started.discard();
    return 'mounted';
  }
  if (started.status !== 202) throw await registry.refusal(started, begin, 'there is no such repository');
  const { location } = started.headers;
  await started.discard();
  const upload: Asking = {
    ...common,
    method: 'PUT',
    at: uploadUrl(location, started.url, digest, doing),
    headers: { 'content-type': 'application/octet-stream' },
    body: { size, open: () => blob.open(signal) },
  };
  const done = await registry.send(upload);
  if (done.status !== 201) throw await registry.refusal(done, upload, 'the registry forgot the upload');
  await done.discard();
  const told = done.headers['docker-content-digest'];
  if (told?.startsWith('sha256:') && told !== digest) {
    throw new TransferError('digest-mismatch', `${doing}: the registry stored \`${told.slice(0, 80)}\``);
  }
  return 'sent';
}

async function isThere(registry: Registry, asking: Asking, size: number): Promise<boolean> {
  const response = await registry.send(asking);
  await response.discard();
  if (response.status === 404) return false;
  if (response.status !== 200) throw await registry.refusal(response, asking, 'not found');
  const length = response.headers['content-length'];
  return length === undefined || Number(length) === size;
}

/** Where the bytes go, as the registry says, with the digest that it must compare them with. Never from https to http. */
function uploadUrl(location: string | undefined, asked: string, digest: string, doing: string): URL {
  const url = location !== undefined && URL.canParse(location, asked) ? new URL(location, asked) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new TransferError('unexpected', `${doing}: the registry does not say where to send it`);
  }
  if (url.protocol === 'http:' && asked.startsWith('https:')) {
    throw new TransferError(
      'permission-denied',
      `${doing}: refused to send it on by http to \`${url.host}\``,
    );
  }
  url.username = '';
  url.password = '';
  url.searchParams.set('digest', digest);
  return url;
}

async function pushManifest(
  image: Image,
  reference: Reference,
  target: Target,
  signal: AbortSignal,
): Promise<void> {
  const { registry, repository, doing } = target;
  const { bytes, descriptor } = image.manifest;
  const asking: Asking = {
    method: 'PUT',
    repository,
    at: `manifests/${reference.tag ?? reference.digest ?? 'latest'}`,
    headers: { 'content-type': descriptor.mediaType },
    body: { size: bytes.length, open: async () => one(bytes) },
    actions: 'pull,push',
    doing,
    signal,
  };
  const response = await registry.send(asking);
  if (response.status !== 201 && response.status !== 200) {
    throw await registry.refusal(response, asking, 'there is no such repository');
  }
  await response.discard();
  const told = response.headers['docker-content-digest'];
  if (told?.startsWith('sha256:') && told !== descriptor.digest) {
    throw new TransferError('digest-mismatch', `${doing}: the registry stored \`${told.slice(0, 80)}\``);
  }
}

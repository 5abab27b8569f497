import type { Clock } from '../../clock.ts';
import { TransferError } from '../../errors.ts';
import type { Image } from '../image.ts';
import { isForeignLayer } from '../media-types.ts';
import { formatReference, parseReference, type Reference } from '../reference.ts';
import { severalAtATime, whileItBrings } from '../several.ts';
import { type Asking, createRegistry } from './client.ts';
import { placesOf } from './hosts.ts';
import type { RegistryTools } from './resolve.ts';
import { type Blob, openUpload, PIECE_BYTES, type UploadTarget } from './upload.ts';
import { claimUpload, NO_NOTE } from './upload-notes.ts';

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

type Counts = { sent: number; mounted: number; skipped: number; bytes: number };

export interface PushCall {
  readonly signal: AbortSignal;
  /** Where it is written down how uploads that break off go on; nothing is without. */
  readonly notes?: string | undefined;
  /** Told of what the registry has, blob by blob and piece by piece; fewer than none when it lost some. */
  readonly onBytes?: (bytes: number) => void;
  /** Told of a blob that goes on behind what an earlier run has sent of it. */
  readonly onResume?: (digest: string, start: number) => void;
  /** Of one PATCH; blobs that are no larger go in one PUT. */
  readonly pieceBytes?: number;
  readonly clock?: Clock;
}

/**
 * Puts an image under a name: its blobs first, each compared with its digest here and by the registry, and the manifest
 * once all are there, so that nobody ever finds half an image. What the registry has is not sent again, and an upload that
 * broke off, also in an earlier run, goes on where the registry kept it. Rejects with `invalid-request` for a name with a
 * digest that is not the image's.
 */
export async function pushImage(
  image: Image,
  reference: Reference,
  tools: RegistryTools,
  call: PushCall,
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
  const target: UploadTarget = {
    registry,
    repository: reference.repository,
    from: originOf(image, reference),
    doing,
    pieceBytes: call.pieceBytes ?? PIECE_BYTES,
    isWhole: false,
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
  target: UploadTarget,
  counts: Counts,
  call: PushCall,
): Promise<void> {
  const bounds = { signal: call.signal, doing: target.doing };
  await severalAtATime(blobs, bounds, async (blob, signal) => {
    const how = await pushBlob(blob, target, counts, { ...call, signal });
    counts[how] += 1;
  });
}

async function pushBlob(
  blob: Blob,
  target: UploadTarget,
  counts: Counts,
  call: PushCall,
): Promise<'sent' | 'mounted' | 'skipped'> {
  const { digest, size } = blob.descriptor;
  const note = call.notes === undefined ? NO_NOTE : claimUpload(call.notes, placeOf(target), digest);
  let [at, furthest, resumed] = [0, 0, 0];
  const upload = openUpload(blob, target, note, {
    onBytes(bytes) {
      at += bytes;
      furthest = Math.max(furthest, at);
      if (bytes !== 0) call.onBytes?.(bytes);
    },
    onResume(start) {
      resumed = start;
      call.onResume?.(digest, start);
    },
  });
  try {
    const how = await whileItBrings(
      call,
      () => furthest,
      () => upload.send(call.signal),
    );
    note.remove();
    if (how === 'sent') counts.bytes += size - resumed;
    return how;
  } catch (error) {
    const mayPass = call.signal.aborted || (error instanceof TransferError && error.transient);
    if (!mayPass) await upload.cancel(call.signal);
    if (mayPass) note.release();
    else note.remove();
    throw error;
  }
}

function placeOf({ registry, repository }: UploadTarget): string {
  return `docker://${registry.place.registry}/${repository}`;
}

async function pushManifest(
  image: Image,
  reference: Reference,
  target: UploadTarget,
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

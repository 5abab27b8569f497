import { createHash } from 'node:crypto';
import { TransferError } from '../errors.ts';
import type { Descriptor, Platform } from './image.ts';
import {
  bareType,
  isImageConfig,
  isIndexType,
  isManifestType,
  isSifLayer,
  MEDIA,
  SCHEMA_1,
} from './media-types.ts';
import { DIGEST } from './reference.ts';

/** Bytes that a manifest or an index may have: registries must take 4 MiB, and few take more (OCI distribution specification, `Pushing manifests`). */
export const MOST_MANIFEST = 4 * 1024 * 1024;
/** Bytes that a configuration may have: history and environment, hardly ever 100 KiB. */
export const MOST_CONFIG = 8 * 1024 * 1024;
/** Docker stops at 127; entries of an index are fewer. */
const MOST_ENTRIES = 4096;

/** A descriptor with where else its bytes are. */
export interface Pointer extends Descriptor {
  /** Where a foreign layer may be had. */
  readonly urls?: readonly string[];
  /** The bytes themselves. */
  readonly data?: Uint8Array;
}

export interface Manifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly config: Pointer;
  readonly layers: readonly Pointer[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Index {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly entries: readonly Pointer[];
}

/** What the configuration of an image says that matters for moving it. */
export interface Config {
  readonly platform: Platform;
  readonly diffIds: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

/** The hexadecimal digits of a digest such as `sha256:9f86…`. */
export function hexOf(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** `sha256:` and the digest of the bytes. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/**
 * The manifest or index in `bytes`, which came as `contentType`; what the document says of its own type must agree.
 * Throws `unsupported` for manifests of the first generation and for what is no image, `unexpected` for anything malformed.
 */
export function parseDocument(
  bytes: Uint8Array,
  contentType: string | undefined,
  doing: string,
): Manifest | Index {
  const given = bareType(contentType);
  const json = parseJson(bytes, doing);
  if (SCHEMA_1.test(given) || json.schemaVersion === 1) {
    throw new TransferError('unsupported', `${doing}: its manifest is of the first generation (schema 1)`, {
      hint: 'push it again with a Docker or podman of today: that makes it schema 2',
    });
  }
  const own = typeof json.mediaType === 'string' ? json.mediaType : undefined;
  const known = isIndexType(given) || isManifestType(given);
  if (own !== undefined && known && own !== given) {
    throw new TransferError(
      'unexpected',
      `${doing}: came as \`${given}\` and says of itself \`${safe(own)}\``,
    );
  }
  const mediaType = own ?? (known ? given : 'manifests' in json ? MEDIA.ociIndex : MEDIA.ociManifest);
  // A document that could be both is how one digest is made to mean two images (CVE-2021-41190).
  if ('manifests' in json && ('layers' in json || 'config' in json)) {
    throw new TransferError('unexpected', `${doing}: it is a manifest and an index at once`);
  }
  if (isIndexType(mediaType)) {
    return { kind: 'index', mediaType, entries: pointers(json.manifests, `${doing}: manifests`) };
  }
  if (!isManifestType(mediaType)) {
    throw new TransferError('unsupported', `${doing}: \`${safe(mediaType)}\` is no manifest of an image`);
  }
  const config = pointer(json.config, `${doing}: config`);
  const layers = pointers(json.layers, `${doing}: layers`);
  const annotations = isObject(json.annotations) ? { annotations: texts(json.annotations) } : {};
  return { kind: 'manifest', mediaType, config, layers, ...annotations };
}

/** Throws `unsupported` for a manifest of something that is no container image, naming what it is. */
export function requireImage(manifest: Manifest, doing: string): void {
  const { config } = manifest;
  // Tools of old gave configurations of SIF files any type.
  const isSif = config.mediaType === MEDIA.sifConfig || sifLayerOf(manifest) !== undefined;
  if (isImageConfig(config.mediaType) && !isSif) return;
  const what = isSif ? 'a SIF file kept in a registry' : `an artifact (\`${safe(config.mediaType)}\`)`;
  throw new TransferError(
    'unsupported',
    `${doing}: it is ${what}, not a container image`,
    isSif ? { hint: 'a SIF file of a registry is named `oras://…`' } : {},
  );
}

/** The blob that is the SIF file of a manifest; undefined where it is of something else. */
export function sifLayerOf({ layers }: Manifest): Pointer | undefined {
  const [only] = layers;
  return layers.length === 1 && only && isSifLayer(only.mediaType) ? only : undefined;
}

/** The blob that is the SIF file of a manifest. Throws `unsupported` for a manifest of anything else, naming what it is. */
export function requireSif(manifest: Manifest, doing: string): Pointer {
  const layer = sifLayerOf(manifest);
  if (layer) return layer;
  const { mediaType } = manifest.config;
  if (isImageConfig(mediaType)) {
    throw new TransferError('unsupported', `${doing}: it is a container image, not a SIF file`, {
      hint: 'an image of layers is named `docker://…`',
    });
  }
  throw new TransferError(
    'unsupported',
    `${doing}: it is an artifact (\`${safe(mediaType)}\`), not a SIF file`,
  );
}

/** What the configuration in `bytes` says. Throws `unexpected` where it does not fit `layers` layers. */
export function parseConfig(bytes: Uint8Array, layers: number, doing: string): Config {
  const json = parseJson(bytes, doing);
  const rootfs = isObject(json.rootfs) ? json.rootfs : {};
  const diffIds = Array.isArray(rootfs.diff_ids) ? rootfs.diff_ids : [];
  if (!diffIds.every((id): id is string => typeof id === 'string' && DIGEST.test(id))) {
    throw new TransferError('unexpected', `${doing}: rootfs.diff_ids: expected sha256 digests`);
  }
  if (diffIds.length !== layers) {
    throw new TransferError(
      'unexpected',
      `${doing}: it tells of ${diffIds.length} layers, the manifest of ${layers}`,
    );
  }
  return { platform: platformOf(json) ?? { os: 'linux', architecture: 'unknown' }, diffIds };
}

/** The JSON object in `bytes`. Throws `unexpected` for anything else. */
export function parseJson(bytes: Uint8Array, doing: string): Json {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TransferError('unexpected', `${doing}: expected JSON, got something else`, { cause });
  }
  if (!isObject(json)) throw new TransferError('unexpected', `${doing}: expected a JSON object`);
  return json;
}

function pointers(value: unknown, doing: string): readonly Pointer[] {
  if (!Array.isArray(value)) throw new TransferError('unexpected', `${doing}: expected a list`);
  if (value.length > MOST_ENTRIES) {
    throw new TransferError('unexpected', `${doing}: expected at most ${MOST_ENTRIES}, got ${value.length}`);
  }
  return value.map((one, index) => pointer(one, `${doing}[${index}]`));
}

function pointer(value: unknown, doing: string): Pointer {
  if (!isObject(value)) throw new TransferError('unexpected', `${doing}: expected a descriptor`);
  const { mediaType, digest, size, urls, data, annotations } = value;
  if (typeof digest !== 'string' || !DIGEST.test(digest)) {
    throw new TransferError('unexpected', `${doing}.digest: expected \`sha256:\` and 64 hexadecimal digits`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new TransferError('unexpected', `${doing}.size: expected a number of bytes`);
  }
  const platform = isObject(value.platform) ? platformOf(value.platform) : undefined;
  return {
    mediaType: typeof mediaType === 'string' ? mediaType : '',
    digest,
    size,
    ...(platform ? { platform } : {}),
    ...(isObject(annotations) ? { annotations: texts(annotations) } : {}),
    ...(Array.isArray(urls) ? { urls: urls.filter((url) => typeof url === 'string').slice(0, 16) } : {}),
    ...(typeof data === 'string' ? { data: Buffer.from(data, 'base64') } : {}),
  };
}

function platformOf({ os, architecture, variant }: Json): Platform | undefined {
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined;
  const more = typeof variant === 'string' && variant !== '' ? { variant: safe(variant) } : {};
  return { os: safe(os), architecture: safe(architecture), ...more };
}

function texts(annotations: Json): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).filter((each): each is [string, string] => typeof each[1] === 'string'),
  );
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Text of a document for messages. */
function safe(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 100);
}

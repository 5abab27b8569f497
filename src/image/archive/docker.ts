import { createHash } from 'node:crypto';
import { TransferError } from '../../errors.ts';
import { giveBack } from '../../slabs.ts';
import { digestOf, MOST_CONFIG, MOST_MANIFEST, type Pointer, parseConfig } from '../documents.ts';
import type { Image, Layer } from '../image.ts';
import { MEDIA } from '../media-types.ts';
import { archiveName, parseReference } from '../reference.ts';
import { verified } from '../verified.ts';
import { type Files, readWhole } from './files.ts';
import { pickImages, type Which } from './which.ts';

export const GZIP = [0x1f, 0x8b];
export const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];

/** One entry of `manifest.json`. */
interface DockerEntry {
  readonly config: string;
  readonly names: readonly string[];
  readonly layers: readonly string[];
}

/**
 * The image of a docker-archive, which has no manifest: one is made for it, as a registry would have it. Layers are read
 * once, since their names tell nothing that must be true.
 */
export async function openDocker(
  files: Files,
  doing: string,
  call: { readonly signal: AbortSignal; readonly which?: Which | undefined },
): Promise<Image> {
  const bytes = await readWhole(files, 'manifest.json', MOST_MANIFEST, doing, call.signal);
  const entries = dockerEntries(bytes, doing);
  const { which } = call;
  const all = entries.map((one) => ({ entry: one, names: one.names }));
  const [entry, second] = pickImages(all, which, doing);
  if (!entry || second) {
    throw new TransferError(
      'unsupported',
      `${doing}: expected an archive of one image, it has ${entries.length}`,
    );
  }
  const asked = which && 'name' in which ? which.name : undefined;
  const config = await readWhole(files, entry.config, MOST_CONFIG, doing, call.signal);
  const { platform, diffIds } = parseConfig(
    config,
    entry.layers.length,
    `${doing}: \`${entry.config.slice(0, 80)}\``,
  );
  // A name may be anything: what the layers are is told by reading them.
  const layers: Layer[] = [];
  for (const [at, name] of entry.layers.entries()) {
    const pointer = await measure(files, name, doing, call.signal);
    layers.push(layerOf(files, pointer, name, diffIds[at] ?? ''));
  }
  const configPointer = { mediaType: MEDIA.dockerConfig, digest: digestOf(config), size: config.length };
  const manifest = madeManifest(configPointer, layers);
  return {
    name: nameOf(entry.names.find((name) => name === asked) ?? entry.names[0]),
    manifest: {
      descriptor: { mediaType: MEDIA.dockerManifest, digest: digestOf(manifest), size: manifest.length },
      bytes: manifest,
    },
    config: { descriptor: configPointer, bytes: config },
    platform,
    layers,
  };
}

function dockerEntries(bytes: Uint8Array, doing: string): readonly DockerEntry[] {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new TransferError('unexpected', `${doing}: \`manifest.json\`: expected JSON`, { cause });
  }
  if (!Array.isArray(json))
    throw new TransferError('unexpected', `${doing}: \`manifest.json\`: expected a list`);
  const isTexts = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((one) => typeof one === 'string');
  return json.map((entry: unknown) => {
    const { Config: config, RepoTags: names, Layers: layers } = (entry ?? {}) as Record<string, unknown>;
    if (typeof config !== 'string' || !isTexts(layers)) {
      throw new TransferError(
        'unexpected',
        `${doing}: \`manifest.json\`: expected \`Config\` and \`Layers\``,
      );
    }
    return { config, layers, names: isTexts(names) ? names : [] };
  });
}

async function measure(files: Files, name: string, doing: string, signal: AbortSignal): Promise<Pointer> {
  const size = await files.size(name);
  if (size === undefined)
    throw new TransferError('not-found', `${doing}: it has no \`${name.slice(0, 120)}\``);
  const hash = createHash('sha256');
  let magic: Buffer | undefined;
  for await (const chunk of await files.read(name, signal)) {
    magic ??= Buffer.from(chunk.subarray(0, 4));
    hash.update(chunk);
    giveBack(chunk);
  }
  const starts = (bytes: readonly number[]) => bytes.every((byte, index) => magic?.[index] === byte);
  const end = starts(GZIP) ? '.gzip' : starts(ZSTD) ? '.zstd' : '';
  return { mediaType: MEDIA.dockerLayer + end, digest: `sha256:${hash.digest('hex')}`, size };
}

/** What a registry would have had of the image: the same archive gives the same. */
function madeManifest(config: Pointer, layers: readonly Layer[]): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.dockerManifest,
      config,
      layers: layers.map(({ descriptor }) => descriptor),
    }),
  );
}

/** A name that says nothing of where it is from is of nowhere; one that is no name at all is none. */
export function nameOf(name: string | undefined): string {
  try {
    return name?.includes('/') ? archiveName(parseReference(name)) : `localhost/image:${name ?? 'latest'}`;
  } catch {
    return 'localhost/image:latest';
  }
}

/** A layer that is a file of `files`. */
export function layerOf(files: Files, pointer: Pointer, name: string, diffId: string): Layer {
  const { mediaType, digest, size } = pointer;
  const descriptor = { mediaType, digest, size };
  return {
    descriptor,
    diffId,
    read: async (signal) => verified(await files.read(name, signal), descriptor, `read \`${name}\``),
  };
}

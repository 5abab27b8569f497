import { TransferError } from '../../errors.ts';
import { parseJson } from '../../image/documents.ts';
import type { Image } from '../../image/image.ts';
import { formatPlatform } from '../../image/platform.ts';
import { formatReference } from '../../image/reference.ts';
import { describeLimit } from '../../image/registry/limits.ts';
import { formatSize, safeText } from '../../report/format.ts';
import { ofContent } from '../failures.ts';
import { inspectSifFile } from './inspect-sif.ts';
import { parseImage } from './order.ts';
import { serviceSif } from './service-sif.ts';
import { inspectSif } from './sif-actions.ts';
import { type Read, readImage, shownName, type Work } from './tools.ts';

/** `bridle image inspect REF|FILE`: what an image is, without reading its layers. */
export async function inspect([name, more]: readonly string[], work: Work): Promise<void> {
  if (name === undefined || more !== undefined) {
    throw new TransferError('invalid-request', 'expected the name of an image, or a file that holds one');
  }
  const sif = serviceSif(name);
  if (sif) return inspectSif(sif, work);
  const named = parseImage(name);
  const read = await readImage(named, work);
  if (read.kind === 'sif') return ofContent(() => inspectSifFile(read.path, shownName(named, name), work));
  const { values, io } = work;
  io.out(values.json ? `${JSON.stringify(described(read))}\n` : lines(read));
}

type ReadLayers = Exclude<Read, { readonly kind: 'sif' }>;

function facts(read: ReadLayers) {
  if (read.kind === 'registry') {
    const { image, digest, platforms, reference, from, limit } = read.found;
    return { image, digest, platforms, name: formatReference(reference), from, limit };
  }
  const { image, digest, platforms, keptAs } = read.opened;
  return { image, digest, platforms, name: image.name, keptAs };
}

function described(read: ReadLayers) {
  const { image, digest, platforms, ...more } = facts(read);
  return {
    ...more,
    digest,
    manifest: image.manifest.descriptor,
    config: image.config.descriptor,
    platform: image.platform,
    ...(platforms ? { platforms } : {}),
    layers: image.layers.map(({ descriptor, diffId }) => ({ ...descriptor, diffId })),
    configuration: configOf(image),
  };
}

function configOf({ config }: Image) {
  return parseJson(config.bytes, 'the configuration');
}

function lines(read: ReadLayers): string {
  const { image, digest, platforms, name, keptAs, limit, from } = facts(read);
  const run = (configOf(image).config ?? {}) as Record<string, unknown>;
  const total = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  const rows: [string, string | undefined][] = [
    ['name', name],
    ['digest', digest ?? 'none: an archive of this kind keeps no manifest'],
    ['manifest', digest === image.manifest.descriptor.digest ? undefined : image.manifest.descriptor.digest],
    ['image id', image.config.descriptor.digest],
    ['kept as', keptAs],
    ['from', from],
    ['platform', formatPlatform(image.platform)],
    ['platforms', platforms && [...new Set(platforms.map(formatPlatform))].join(', ')],
    ['created', textOf(configOf(image).created)],
    ['entrypoint', textOf(run.Entrypoint)],
    ['command', textOf(run.Cmd)],
    ['directory', textOf(run.WorkingDir)],
    ['user', textOf(run.User)],
    ['pulls', limit && describeLimit(limit)],
    ['layers', `${image.layers.length}, ${formatSize(total)}`],
  ];
  const shown = rows.flatMap(([label, text]) =>
    text === undefined ? [] : [`${label.padEnd(12)}${safeText(text)}\n`],
  );
  const layers = image.layers.map(
    ({ descriptor }) => `  ${descriptor.digest}  ${formatSize(descriptor.size).padStart(9)}\n`,
  );
  return shown.join('') + layers.join('');
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return Array.isArray(value) && value.length > 0 ? JSON.stringify(value) : undefined;
}

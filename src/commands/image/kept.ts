import type { Image } from '../../image/image.ts';
import type { KeepFormat } from '../../image/keep.ts';
import { formatPlatform } from '../../image/platform.ts';
import { formatSize, plural, safeText } from '../../report/format.ts';

/** Where and how an image was kept. */
export interface Kept {
  readonly path: string;
  readonly format: KeepFormat;
  readonly bytes: number;
}

/** The facts of a kept image for programs; `name` as it was asked for. */
export function keptFacts(image: Image, name: string, { path, format, bytes }: Kept) {
  return {
    name,
    manifest: image.manifest.descriptor.digest,
    platform: formatPlatform(image.platform),
    layers: image.layers.length,
    file: path,
    format,
    bytes,
  };
}

/** The same for people, in a line; `file` as it was given. */
export function keptLine(image: Image, file: string, { format, bytes }: Kept): string {
  const what = `${formatPlatform(image.platform)}, ${plural(image.layers.length, 'layer')}, ${formatSize(bytes)}`;
  return `${what} → ${safeText(file)} (${format})`;
}

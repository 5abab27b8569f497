import { TransferError } from '../../errors.ts';
import type { Algorithm } from '../../protocol.ts';
import { bagit } from './bagit.ts';
import { bsd } from './bsd.ts';
import { catalogText } from './catalog-text.ts';
import { catalogYaml } from './catalog-yaml.ts';
import { detectFormat, hintOf } from './detect.ts';
import { json } from './json.ts';
import type { FormatName, ManifestFormat } from './manifest.ts';
import { type Manifest, mergeItems } from './merge.ts';
import { meta } from './meta.ts';
import { metalink } from './metalink.ts';
import { registry } from './registry.ts';
import { roCrate } from './ro-crate.ts';
import { sums } from './sums.ts';

/** All formats, in the order of their help. What they need packages for is loaded when it is parsed. */
export const FORMATS: readonly ManifestFormat[] = [
  sums,
  bsd,
  json,
  meta,
  catalogYaml,
  catalogText,
  bagit,
  registry,
  metalink,
  roCrate,
];

/** The format of that name. Throws `invalid-request` for a name that is none. */
export function findFormat(name: string): ManifestFormat {
  const format = FORMATS.find((each) => each.name === name);
  if (format) return format;
  const names = FORMATS.map((each) => each.name).join(', ');
  throw new TransferError('invalid-request', `expected a format of ${names}, got \`${name}\``);
}

export interface ManifestOrigin {
  /** Its last part tells format and algorithm, where nothing else does. */
  readonly fileName: string;
  readonly format?: FormatName;
  readonly algorithm?: Algorithm;
}

/**
 * Everything that a manifest says, each name once. Throws `invalid-request` when nothing tells its format, and for what
 * is not of its format as a whole; `unsupported` for an algorithm that we do not have. A part that is wrong is one of
 * the `problems`, and never shortens or alters a digest or a name.
 */
export async function readManifest(bytes: Uint8Array, origin: ManifestOrigin): Promise<Manifest> {
  const format = findFormat(origin.format ?? detectFormat(origin.fileName, bytes));
  const hint = origin.algorithm
    ? { ...hintOf(origin.fileName), algorithm: origin.algorithm }
    : hintOf(origin.fileName);
  return { format: format.name, ...mergeItems(await format.parse(bytes, hint)) };
}

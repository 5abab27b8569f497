import { findFormat, readManifest } from '../../../src/integrity/manifests/formats.ts';
import type { FormatName, ManifestEntry, ManifestHint } from '../../../src/integrity/manifests/manifest.ts';
import type { Manifest } from '../../../src/integrity/manifests/merge.ts';
import type { Algorithm, Digest } from '../../../src/protocol.ts';

export const A = 'a'.repeat(64);
export const B = 'b'.repeat(64);
export const MD5 = 'c'.repeat(32);
export const SHA512 = 'd'.repeat(128);

export const sha256 = (value: string): Digest => ({ algorithm: 'sha256', value });

/** What `text`, or these bytes, say in that format. */
export function read(
  format: FormatName,
  text: string | Uint8Array,
  algorithm?: Algorithm,
): Promise<Manifest> {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return readManifest(bytes, { fileName: 'list', format, ...(algorithm ? { algorithm } : {}) });
}

/** Names and digests, `name: algorithm value`, and the problems, `where: problem`. */
export function inShort({ entries, problems }: Manifest): {
  readonly files: string[];
  readonly problems: string[];
} {
  return {
    files: entries.flatMap(({ name, digests }) =>
      digests.map(({ algorithm, value }) => `${name}: ${algorithm} ${value}`),
    ),
    problems: problems.map(({ where, problem }) => `${where}: ${problem}`),
  };
}

export function write(
  format: FormatName,
  entries: readonly Omit<ManifestEntry, 'where'>[],
  hint: ManifestHint = {},
): string {
  const writer = findFormat(format).write?.(hint);
  if (!writer) throw new Error(`${format} is not written`);
  return [writer.begin(), ...entries.map(writer.entry), writer.end()].join('');
}

import { appendFileSync } from 'node:fs';
import { toTransferError } from '../../errors.ts';
import { quotedWord, word } from '../../integrity/manifests/catalog-text.ts';
import type { OutputFile } from '../../job/reading/invocation.ts';
import { openPartialFile } from '../../report/partial-file.ts';

/** Of the fields of a record: what a `.meta` file calls them, in the order of the original. */
const FIELDS = [
  ['user', 'user'],
  ['size', 'size'],
  ['ctime', 'ctime'],
  ['sha256', 'checksum.value'],
  ['checksum_timing', 'checksum.timing'],
] as const;

/** Writes what is known of the outputs as a `.meta` file, whole or not at all; without outputs it holds an empty list. */
export function writeMetadata(path: string, outputs: readonly OutputFile[]): void {
  const entries = outputs.map((output) => ({
    _type: 'file',
    _attributes: attributesOf(output),
    _id: output.lfn,
  }));
  const file = openPartialFile(path);
  file.append(JSON.stringify(entries, undefined, 2));
  file.publish();
}

/** Appends the outputs to a replica catalog in its file form. Where they are is not known yet: `@@PFN@@` stands for it. */
export function appendToCatalog(path: string, outputs: readonly OutputFile[]): void {
  const lines = outputs.map((output) => {
    const { lfn } = output;
    const attributes = Object.entries(attributesOf(output)).map(
      ([key, value]) => ` ${key}=${quotedWord(value, lfn)}`,
    );
    return `${word(lfn, lfn)} @@PFN@@${attributes.join('')}\n`;
  });
  if (lines.length === 0) return;
  try {
    appendFileSync(path, lines.join(''));
  } catch (error) {
    throw toTransferError(error, `write \`${path}\``);
  }
}

function attributesOf({ attributes }: OutputFile): Readonly<Record<string, string>> {
  const known: Record<string, string> = {};
  for (const [field, name] of FIELDS) {
    const value = attributes.get(field);
    if (value === undefined) continue;
    if (field === 'sha256') known['checksum.type'] = 'sha256';
    known[name] = value;
  }
  return known;
}

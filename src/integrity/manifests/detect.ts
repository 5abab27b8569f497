import { TransferError } from '../../errors.ts';
import { readTaggedLine } from './bsd.ts';
import { findAlgorithm } from './digest-text.ts';
import type { FormatName, ManifestHint, Said } from './manifest.ts';
import { quoted } from './names.ts';
import { readRegistryLine } from './registry.ts';
import { headOf } from './text.ts';

/** How much of a document is looked at. */
const HEAD_BYTES = 64 * 1024;

const BY_NAME: readonly (readonly [RegExp, FormatName])[] = [
  [/^(?:tag)?manifest-[a-z0-9-]+\.txt$/i, 'bagit'],
  [/(?:^|-)ro-crate-metadata\.json(?:ld)?$/i, 'ro-crate'],
  [/\.(?:meta4|metalink)$/i, 'metalink'],
  [/\.meta$/i, 'meta'],
];

const SPELLED =
  '(md5|sha-?1|sha-?224|sha-?256|sha-?384|sha-?512|blake3|b3|blake2b?|b2|xxh3|crc32c|crc32|crc64nvme|adler32)';
/** `SHA256SUMS`, `sha512sum.txt`, `tool-1.2-MD5SUMS`. */
const SUMS_NAME = new RegExp(`(?:^|[-_.])${SPELLED}sums?(?:\\.txt)?$`, 'i');
/** `x.iso.sha256`, `x.md5.txt`, `x.sha1sum`. */
const SUFFIX = new RegExp(`^(.+)\\.${SPELLED}(?:sums?)?(?:\\.txt)?$`, 'i');
const BAG_NAME = /^(?:tag)?manifest-([a-z0-9-]+)\.txt$/i;

const SUMS_LINE =
  /^[ \t]*\\?(?:[0-9a-f]{8}|[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})[ \t]/i;
const BARE_LINE = /^[ \t]*[0-9a-f]{8,128}[ \t]*$/i;
const CATALOG_LINE = /[ \t](?:site|pool|checksum\.type|checksum\.value)="?[^ \t]/;

/**
 * What the name of a manifest says without a word: its algorithm, and the file that a lone digest is of. Throws
 * `unsupported` when it names an algorithm that we do not have.
 */
export function hintOf(fileName: string): ManifestHint {
  const base = baseName(fileName);
  const suffixed = SUFFIX.exec(base);
  const spelled = BAG_NAME.exec(base)?.[1] ?? suffixed?.[2] ?? SUMS_NAME.exec(base)?.[1];
  if (spelled === undefined) return {};
  const algorithm = findAlgorithm(spelled.toLowerCase() === 'b3' ? 'blake3' : spelled);
  if (algorithm === undefined) {
    throw new TransferError(
      'unsupported',
      `reading ${quoted(base)}: there is no ${spelled.toLowerCase()} here`,
    );
  }
  return { algorithm, ...(suffixed?.[1] === undefined ? {} : { subject: suffixed[1] }) };
}

/**
 * The format of a manifest, by its name and else by how it begins. Throws `invalid-request`, with what was looked at,
 * when that fits none or more than one: nothing is guessed.
 */
export function detectFormat(fileName: string, bytes: Uint8Array): FormatName {
  const base = baseName(fileName);
  const named = BY_NAME.find(([pattern]) => pattern.test(base))?.[1];
  if (named) return named;
  const isOfSums = SUMS_NAME.test(base) || SUFFIX.test(base);
  if (bytes.length === 0 && isOfSums) return 'sums';
  const head = headOf(bytes, HEAD_BYTES);
  const first = firstLine(head);
  if (first === undefined) throw undecided(base, 'and it is empty');
  const found = isOfSums
    ? sumsFormats(first, base)
    : [...documentFormats(first, head), ...lineFormats(first, head)];
  const [format, other] = found;
  if (format !== undefined && other === undefined) return format;
  if (format === undefined) throw undecided(base, `and its first line is ${quoted(first)}`);
  throw undecided(base, `and its first line may be of ${found.join(' or ')}: ${quoted(first)}`);
}

function firstLine(head: string): string | undefined {
  return head.split(/\r\n|\n/).find((line) => !line.startsWith('#') && line.trim() !== '');
}

function documentFormats(first: string, head: string): FormatName[] {
  const start = first.trimStart();
  if (start.startsWith('<')) return /<(?:[\w.-]+:)?metalink[\s>]/.test(head) ? ['metalink'] : [];
  if (start.startsWith('{')) {
    const formats: FormatName[] = [];
    if (head.includes('"bridle-checksums"')) formats.push('json');
    if (/"@(?:graph|context)"/.test(head)) formats.push('ro-crate');
    return formats;
  }
  if (start.startsWith('[')) return /"_(?:id|type)"/.test(head) ? ['meta'] : [];
  const isYaml = /^(?:---|%YAML|(?:x-)?pegasus[ \t]*:|replicas[ \t]*:)/.test(first);
  return isYaml && /^replicas[ \t]*:/m.test(head) ? ['catalog-yaml'] : [];
}

function sumsFormats(first: string, base: string): FormatName[] {
  if (isEntry(readTaggedLine(first))) return ['bsd'];
  // A list of sums by its name is one whose first line is broken, too: that line is told, the others count.
  if (SUMS_LINE.test(first) || SUMS_NAME.test(base)) return ['sums'];
  return BARE_LINE.test(first) && hintOf(base).subject !== undefined ? ['sums'] : [];
}

function lineFormats(first: string, head: string): FormatName[] {
  const formats: FormatName[] = [];
  if (SUMS_LINE.test(first)) formats.push('sums');
  // OpenSSL's lines are two words, too: `SHA256(name)= hex`.
  if (isEntry(readTaggedLine(first))) formats.push('bsd');
  else if (isEntry(readRegistryLine(first))) formats.push('registry');
  if (CATALOG_LINE.test(formats.length === 0 ? head : first)) formats.push('catalog-text');
  return formats;
}

function isEntry(said: Said | undefined): boolean {
  return said !== undefined && !('problem' in said);
}

function baseName(fileName: string): string {
  return fileName.slice(fileName.lastIndexOf('/') + 1);
}

function undecided(base: string, what: string): TransferError {
  return new TransferError(
    'invalid-request',
    `reading digests: nothing tells the format: the name ${quoted(base)} is of none, ${what}`,
    { hint: 'say which it is with --format' },
  );
}

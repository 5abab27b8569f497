import { readDigest, sha256ToWrite } from './digest-text.ts';
import { checked } from './lines.ts';
import { type ManifestFormat, type ManifestItem, type Said, wrong } from './manifest.ts';
import { decodeJson, fieldsOf, refused } from './text.ts';

/** Files of this size and less hold no entry: Pegasus leaves such behind. */
const EMPTY_BYTES = 2;
const MOST_BYTES = 256 * 1024 * 1024;

/**
 * What Pegasus passes from job to job: a list of files with attributes, all of them strings. Its own reader takes
 * `checksum.value` for sha256 whatever `checksum.type` says, so nothing else is written.
 */
export const meta: ManifestFormat = {
  name: 'meta',
  text: "Pegasus's .meta files (sha256 only when written)",
  parse: (bytes) => parseMeta(bytes),
  write: () => {
    let separator = '\n';
    return {
      begin: () => '[',
      entry: (entry) => {
        const attributes = {
          ...(entry.size === undefined ? {} : { size: String(entry.size) }),
          'checksum.type': 'sha256',
          'checksum.value': sha256ToWrite(entry),
        };
        const line = JSON.stringify({ _type: 'file', _id: entry.name, _attributes: attributes });
        const text = `${separator}${line}`;
        separator = ',\n';
        return text;
      },
      end: () => '\n]\n',
    };
  },
};

/** The files of a `.meta` file that have a checksum, one item each. Throws `invalid-request` for what is no list. */
export function* parseMeta(bytes: Uint8Array): Generator<ManifestItem> {
  if (bytes.length <= EMPTY_BYTES) return;
  const entries = decodeJson(bytes, MOST_BYTES);
  if (!Array.isArray(entries)) throw refused('expected a list');
  for (const [index, entry] of entries.entries()) {
    const said = checked(readEntry(entry));
    if (said) yield { ...said, where: `entry ${index}` };
  }
}

/** An entry without a checksum says nothing here: files have other meta data, too. */
function readEntry(entry: unknown): Said | undefined {
  const { _id: name, _attributes: attributes } = fieldsOf(entry);
  if (typeof name !== 'string') return wrong('expected a string as `_id`');
  const { 'checksum.type': type = 'sha256', 'checksum.value': value, size } = fieldsOf(attributes);
  if (value === undefined) return undefined;
  if (typeof type !== 'string' || typeof value !== 'string')
    return wrong('expected strings as checksum', name);
  const digest = readDigest(type, value);
  return typeof digest === 'string' ? wrong(digest, name) : { name, digests: [digest], ...sizeOf(size) };
}

/** A size where one is told; in meta data anyone may write anything. */
export function sizeOf(value: unknown): { readonly size?: number } {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string' || !/^\d{1,16}$/.test(text)) return {};
  const size = Number(text);
  return Number.isSafeInteger(size) ? { size } : {};
}

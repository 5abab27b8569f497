import type { BlockDigests } from '../block-digests.ts';
import { digestsToWrite, readDigests } from './digest-text.ts';
import { checked } from './lines.ts';
import { type ManifestFormat, type ManifestItem, type Said, wrong } from './manifest.ts';
import { decodeJson, fieldsOf, refused } from './text.ts';

const VERSION = 1;
const MOST_BYTES = 256 * 1024 * 1024;

/**
 * Our own: one document, one file a line, `{"bridle-checksums": 1, "files": [{"name", "size", "digests": {"sha256": hex}}]}`.
 * A document rather than JSON lines, because a list that was cut between two lines would look whole; it can be written as
 * it comes all the same.
 */
export const json: ManifestFormat = {
  name: 'json',
  text: 'one JSON document with name, size and all digests',
  parse: (bytes) => parseJson(bytes),
  write: (hint) => {
    let separator = '\n';
    return {
      begin: () => `{"bridle-checksums": ${VERSION}, "files": [`,
      entry: ({ name, size, places, digests, blocks, reused }) => {
        const chosen = digestsToWrite({ name, digests }, hint).map(({ algorithm, value }) => [
          algorithm,
          value,
        ]);
        const line = JSON.stringify({
          name,
          size,
          digests: Object.fromEntries(chosen),
          places,
          blocks,
          reused,
        });
        const text = `${separator}${line}`;
        separator = ',\n';
        return text;
      },
      end: () => '\n]}\n',
    };
  },
};

function* parseJson(bytes: Uint8Array): Generator<ManifestItem> {
  const { 'bridle-checksums': version, files } = fieldsOf(decodeJson(bytes, MOST_BYTES));
  if (version !== VERSION) throw refused(`expected \`"bridle-checksums": ${VERSION}\``);
  if (!Array.isArray(files)) throw refused('expected a list as `files`');
  for (const [index, file] of files.entries()) {
    const said = checked(readFile(file));
    if (said) yield { ...said, where: `files[${index}]` };
  }
}

function readFile(file: unknown): Said {
  const { name, size, digests, places = [], blocks } = fieldsOf(file);
  if (typeof name !== 'string') return wrong('expected a string as `name`');
  if (size !== undefined && !isSize(size)) return wrong('expected a number of bytes as `size`', name);
  if (!isStrings(places)) return wrong('expected a list of strings as `places`', name);
  if (blocks !== undefined && !isBlocks(blocks, size)) {
    return wrong('expected `blocks` with a `size` and as many `sha256` as the file has blocks', name);
  }
  const spelled = Object.entries(fieldsOf(digests));
  const values = spelled.map(([, value]) => value);
  if (Array.isArray(digests) || !isStrings(values))
    return wrong('expected algorithms and digests as `digests`', name);
  const read = readDigests(spelled.map(([algorithm], at) => [algorithm, values[at] ?? '']));
  if (typeof read === 'string') return wrong(read, name);
  return {
    name,
    digests: read,
    ...(size === undefined ? {} : { size }),
    ...(places.length > 0 ? { places } : {}),
    ...(blocks === undefined ? {} : { blocks }),
  };
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

const SHA256 = /^[0-9a-f]{64}$/;

function isBlocks(value: unknown, bytes: number | undefined): value is BlockDigests {
  const { size, sha256 } = fieldsOf(value);
  if (!isSize(size) || size === 0 || bytes === undefined || !isStrings(sha256)) return false;
  return sha256.length === Math.ceil(bytes / size) && sha256.every((digest) => SHA256.test(digest));
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

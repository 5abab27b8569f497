import { findAlgorithm, readDigests } from './digest-text.ts';
import { checked } from './lines.ts';
import { type ManifestFormat, type ManifestItem, type Said, wrong } from './manifest.ts';
import { sizeOf } from './meta.ts';
import { quoted } from './names.ts';
import { decodeJson, fieldsOf, refused } from './text.ts';

const MOST_BYTES = 256 * 1024 * 1024;
const URL_START = /^[a-z][a-z0-9+.-]*:/i;
/** `1560B` stands in crates, too, though a number of bytes is what schema.org's `contentSize` holds here. */
const BYTES = /^(\d+) ?(?:B|bytes)?$/i;

/**
 * The files that an RO-Crate (1.1, 1.2) tells a digest of. The specification has no word for one; in use are `md5`,
 * `sha1`, `sha256` and `sha512` (https://w3id.org/ro/terms/workflow-run) and schema.org's `sha256`. A crate need not
 * list all of its files.
 */
export const roCrate: ManifestFormat = {
  name: 'ro-crate',
  text: 'ro-crate-metadata.json (read only)',
  parse: (bytes) => parseCrate(bytes),
};

function* parseCrate(bytes: Uint8Array): Generator<ManifestItem> {
  const { '@graph': graph } = fieldsOf(decodeJson(bytes, MOST_BYTES));
  if (!Array.isArray(graph)) throw refused('expected a list as `@graph`');
  for (const [index, entity] of graph.entries()) {
    const said = checked(readEntity(fieldsOf(entity)));
    if (said) yield { ...said, where: `@graph[${index}]` };
  }
}

/** What is no file, or has no digest, says nothing here. */
function readEntity(entity: Readonly<Record<string, unknown>>): Said | undefined {
  const types = listOf(entity['@type']).map(termOf);
  if (!types.includes('File') && !types.includes('MediaObject')) return undefined;
  const spelled = Object.entries(entity).flatMap(([key, value]) => {
    const algorithm = findAlgorithm(termOf(key));
    return algorithm === undefined ? [] : listOf(value).map((each) => [algorithm, textOf(each)] as const);
  });
  if (spelled.length === 0) return undefined;
  const id = entity['@id'];
  if (typeof id !== 'string') return wrong('expected text as `@id`');
  const name = nameOf(id);
  if (name === undefined)
    return wrong(`expected a path, percent-encoded, or a URL as \`@id\`, got ${quoted(id)}`);
  const digests = readDigests(spelled);
  if (typeof digests === 'string') return wrong(digests, name);
  const places = listOf(entity.contentUrl)
    .map(textOf)
    .filter((place) => URL_START.test(place));
  const size = sizeOf(BYTES.exec(textOf(listOf(entity.contentSize)[0]))?.[1]);
  return { name, digests, ...size, ...(places.length > 0 ? { places } : {}) };
}

/** A relative `@id` is a URI reference (RO-Crate 1.1, "Encoding file paths"), and a fragment is no file. */
function nameOf(id: string): string | undefined {
  if (URL_START.test(id)) return id;
  if (id.startsWith('#')) return undefined;
  try {
    return decodeURIComponent(id);
  } catch {
    return undefined;
  }
}

/** `sha256` of `sha256`, `schema:sha256`, `https://w3id.org/ro/terms/workflow-run#sha256`. */
function termOf(key: unknown): string {
  return typeof key === 'string'
    ? key.slice(Math.max(...['#', '/', ':'].map((mark) => key.lastIndexOf(mark))) + 1)
    : '';
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return value === undefined || value === null ? [] : [value];
}

/** JSON-LD writes a value as itself or as an object around it; empty for what is no text and no number. */
function textOf(value: unknown): string {
  const { '@value': inner = value } = fieldsOf(value);
  return typeof inner === 'string' || typeof inner === 'number' ? String(inner) : '';
}

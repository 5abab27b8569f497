import type { XMLParser } from 'fast-xml-parser';
import { safeText } from '../../safe-text.ts';
import { readDigests } from './digest-text.ts';
import { checked } from './lines.ts';
import { type ManifestFormat, type ManifestItem, type Said, wrong } from './manifest.ts';
import { decodeDocument, malformed, refused } from './text.ts';

const MOST_BYTES = 64 * 1024 * 1024;
/** RFC 5854 §4.2.16.2: a URL without a priority comes last. */
const LAST = 999_999;

/**
 * Metalink 4 (RFC 5854): files with name, size, digests of the whole and URLs, best first. Digests of pieces are passed
 * over. Version 3, of before the standard, is read as well: `files`, `verification`, `resources`.
 */
export const metalink: ManifestFormat = {
  name: 'metalink',
  text: 'Metalink 4 or 3 (read only)',
  parse: parseMetalink,
};

async function parseMetalink(bytes: Uint8Array): Promise<Iterable<ManifestItem>> {
  const text = decodeDocument(bytes, MOST_BYTES);
  const root = await loadXml(text);
  // Elements of other vocabularies may stand anywhere (RFC 5854 §5); they have another prefix.
  const [prefix = ''] = /^(?:.*:)?/.exec(root.tag) ?? [];
  const files = [root, ...children(root, `${prefix}files`)].flatMap((each) =>
    children(each, `${prefix}file`),
  );
  return readFiles(files, prefix);
}

function* readFiles(files: readonly Element[], prefix: string): Generator<ManifestItem> {
  for (const [index, file] of files.entries()) {
    const said = checked(readFile(file, prefix));
    if (said) yield { ...said, where: `file ${index + 1}` };
  }
}

/** A file without a digest says nothing here. */
function readFile(file: Element, prefix: string): Said | undefined {
  const within = (parent: string, tag: string) =>
    [file, ...children(file, `${prefix}${parent}`)].flatMap((each) => children(each, `${prefix}${tag}`));
  const hashes = within('verification', 'hash');
  if (hashes.length === 0) return undefined;
  const { name } = file.attributes;
  if (name === undefined) return wrong('expected an attribute `name`');
  const digests = readDigests(hashes.map(({ attributes, text }) => [attributes.type ?? '', text.trim()]));
  if (typeof digests === 'string') return wrong(digests, name);
  const written = children(file, `${prefix}size`)[0]?.text.trim();
  const size = written === undefined ? undefined : Number(written);
  if (written !== undefined && !(/^\d+$/.test(written) && Number.isSafeInteger(size))) {
    return wrong('expected a number of bytes as `size`', name);
  }
  const places = within('resources', 'url')
    .map((url) => ({ place: url.text.trim(), rank: rankOf(url.attributes) }))
    .filter(({ place }) => place !== '')
    .sort((one, other) => one.rank - other.rank)
    .map(({ place }) => place);
  return { name, digests, ...(size === undefined ? {} : { size }), ...(places.length > 0 ? { places } : {}) };
}

/** Version 4 counts up from the best, version 3 down from 100. */
function rankOf({ priority, preference }: Element['attributes']): number {
  if (preference !== undefined && priority === undefined)
    return LAST - (Number.parseInt(preference, 10) || 0);
  return Number.parseInt(priority ?? '', 10) || LAST;
}

interface Element {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Of the element itself. */
  readonly text: string;
  readonly content: Nodes;
}

type Nodes = readonly Readonly<Record<string, unknown>>[];

/**
 * The root element. No document type, so no entities of anyone's making; nesting is bounded by the parser (100), and
 * nothing is fetched.
 */
async function loadXml(text: string): Promise<Element> {
  if (/<!(?:DOCTYPE|ENTITY)/i.test(text)) throw refused('expected no document type in a Metalink');
  const encoding = /^<\?xml[^>]{1,200}?encoding=["']([^"']{1,40})["']/.exec(text)?.[1];
  if (encoding !== undefined && !/^(?:utf-8|us-ascii)$/i.test(encoding)) {
    throw refused(`expected UTF-8, got ${safeText(encoding)}`);
  }
  const parser = await createParser();
  let nodes: Nodes;
  try {
    nodes = listOf(parser.parse(text, true));
  } catch (error) {
    throw malformed('XML', error);
  }
  const root = nodes.flatMap((node) => elementsOf(node)).find(({ tag }) => /^(?:[^:]*:)?metalink$/.test(tag));
  if (!root) throw refused('expected an element `metalink`');
  return root;
}

async function createParser(): Promise<XMLParser> {
  const { XMLParser } = await import('fast-xml-parser');
  return new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    cdataPropName: '#cdata',
    parseTagValue: false,
    parseAttributeValue: false,
    // The five of XML and the numeric ones are decoded by us, after the markup is known.
    processEntities: false,
    trimValues: false,
  });
}

function children(parent: Element, tag: string): Element[] {
  return parent.content.filter((node) => tag in node).flatMap((node) => elementsOf(node));
}

function elementsOf(node: Readonly<Record<string, unknown>>): Element[] {
  const tag = Object.keys(node).find((key) => !/^[#:?]/.test(key));
  if (tag === undefined) return [];
  const content = listOf(node[tag]);
  const attributes = Object.entries((node[':@'] ?? {}) as Readonly<Record<string, unknown>>).map(
    ([name, value]) => [name, decoded(String(value))] as const,
  );
  return [{ tag, attributes: Object.fromEntries(attributes), text: content.map(ownText).join(''), content }];
}

function listOf(nodes: unknown): Nodes {
  return Array.isArray(nodes) ? nodes : [];
}

function ownText(node: Readonly<Record<string, unknown>>): string {
  if (typeof node['#text'] === 'string') return decoded(node['#text']);
  // Nothing is decoded inside CDATA.
  return listOf(node['#cdata'])
    .map((part) => String(part['#text'] ?? ''))
    .join('');
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w{1,8}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return NAMED[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0x10ffff ? whole : String.fromCodePoint(code);
  });
}

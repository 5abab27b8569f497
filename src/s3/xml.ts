import { TransferError } from '../errors.ts';

/** One element: its text, or its children by name. */
export type Xml = string | { readonly [name: string]: Xml | readonly Xml[] | undefined };

/** An element on its way. */
interface Open {
  readonly name: string;
  text: string;
  children: Record<string, Xml | Xml[]> | undefined;
}

/** Nothing of S3's is nested deeper than a few. */
const MOST_DEPTH = 64;

const NAMES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/**
 * The root element of a document. Rejects with `unexpected` for what is no XML or was cut, without repeating it. What S3
 * answers has no use for attributes and for text between children: both are passed over. A document type is refused.
 */
export function parseXml(text: string, doing: string): { readonly name: string; readonly root: Xml } {
  const found = readDocument(text);
  if (typeof found !== 'string') return found;
  throw new TransferError('unexpected', `${doing}: ${found}`);
}

const NO_XML = 'the answer is not XML';

/** The root, or what is wrong. A listing is megabytes: it is gone through once, from bracket to bracket. */
function readDocument(text: string): { readonly name: string; readonly root: Xml } | string {
  const open: Open[] = [];
  let root: { readonly name: string; readonly root: Xml } | undefined;
  for (let at = 0; ; ) {
    const begin = text.indexOf('<', at);
    const between = text.slice(at, begin < 0 ? undefined : begin);
    const inside = open.at(-1);
    if (inside) inside.text += decode(between);
    else if (between.trim().replace('\ufeff', '') !== '') return NO_XML;
    if (begin < 0) break;
    const closing = closingOf(text, begin);
    const end = text.indexOf(closing, begin);
    if (end < 0) return NO_XML;
    const tag = text.slice(begin + 1, end);
    at = end + closing.length;
    if (closing === ']]>') {
      if (!inside) return NO_XML;
      inside.text += text.slice(begin + '<![CDATA['.length, end);
    } else if (closing !== '>') continue;
    else if (tag.startsWith('!')) return NO_XML;
    else if (tag.startsWith('/')) {
      const done = open.pop();
      if (!done || done.name !== tag.slice(1).trimEnd()) return NO_XML;
      root ??= settle(done, open.at(-1));
    } else {
      const name = /^[^\s/<>"'=&]+/.exec(tag)?.[0];
      if (name === undefined || root || open.length === MOST_DEPTH) return NO_XML;
      const started: Open = { name, text: '', children: undefined };
      if (tag.endsWith('/')) root ??= settle(started, open.at(-1));
      else open.push(started);
    }
  }
  if (open.length > 0) return NO_XML;
  return root ?? 'the answer is empty';
}

/** What the mark-up that begins there ends with. */
function closingOf(text: string, at: number): string {
  if (text.startsWith('<?', at)) return '?>';
  if (text.startsWith('<!--', at)) return '-->';
  return text.startsWith('<![CDATA[', at) ? ']]>' : '>';
}

/** Puts a finished element where it belongs. The root is given back. */
function settle({ name, text, children }: Open, above: Open | undefined) {
  const element: Xml = children ?? text;
  if (!above) return { name, root: element };
  above.children ??= Object.create(null) as Record<string, Xml | Xml[]>;
  const there = above.children[name];
  if (there === undefined) above.children[name] = element;
  else if (Array.isArray(there)) there.push(element);
  else above.children[name] = [there, element];
  return undefined;
}

function decode(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(\w{2,4}));/g, (given, hex, decimal, name) => {
    if (name !== undefined) return NAMES[name as string] ?? given;
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : given;
  });
}

/** Every child of that name, in order. */
export function childrenOf(element: Xml | undefined, name: string): readonly Xml[] {
  if (typeof element !== 'object') return [];
  const found = element[name];
  if (found === undefined) return [];
  return isMany(found) ? found : [found];
}

function isMany(found: Xml | readonly Xml[]): found is readonly Xml[] {
  return Array.isArray(found);
}

/** The text of the first child of that name; undefined when there is none. */
export function textOf(element: Xml | undefined, name: string): string | undefined {
  const [first] = childrenOf(element, name);
  return typeof first === 'string' ? first : undefined;
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** `text` as the content of an element. Control characters become references: a parser would change or refuse them. */
export function escapeXml(text: string): string {
  return text
    .replace(/[&<>"]/g, (mark) => ESCAPES[mark] ?? mark)
    .replace(/[\x00-\x1f\x7f]/g, (mark) => `&#x${mark.charCodeAt(0).toString(16)};`);
}

import { XMLParser } from 'fast-xml-parser';
import { TransferError } from '../errors.ts';

/** One element: its text, or its children by name. */
export type Xml = string | { readonly [name: string]: Xml | readonly Xml[] | undefined };

const PARSER = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  // A key may be `007` or ` x `.
  parseTagValue: false,
  trimValues: false,
  // Character references beyond the five of XML.
  htmlEntities: true,
});

/** The root element of a document. Rejects with `unexpected` for what is no XML, without repeating it. */
export function parseXml(text: string, doing: string): { readonly name: string; readonly root: Xml } {
  try {
    const parsed = PARSER.parse(text, true) as Readonly<Record<string, Xml>>;
    const name = Object.keys(parsed)[0];
    const root = name === undefined ? undefined : parsed[name];
    if (name !== undefined && root !== undefined) return { name, root };
  } catch (cause) {
    throw new TransferError('unexpected', `${doing}: the answer is not XML`, { cause });
  }
  throw new TransferError('unexpected', `${doing}: the answer is empty`);
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

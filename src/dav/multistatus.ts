import { XMLParser } from 'fast-xml-parser';
import { TransferError } from '../errors.ts';
import type { Bytes } from '../protocol.ts';
import { child, children, type Element, elementOf } from './xml.ts';

/** One resource in the answer to a request about many (RFC 4918 §14.24). */
export interface DavResponse {
  /** As given: a path or a URL, percent-encoded. */
  readonly href: string;
  /** Of the resource as a whole; absent where there are properties. */
  readonly status: number | undefined;
  /** Those that were found, by `namespace name`. */
  readonly properties: ReadonlyMap<string, Element>;
}

/** Characters up to the root element, and those of one response. What is longer is no answer to our questions. */
const MAX_PROLOG = 64 * 1024;
const MAX_RESPONSE = 1024 * 1024;

const ROOT = /<((?:[\w.-]+:)?multistatus)(?:\s[^>]*)?>/;
const BEGIN = /<(?:[\w.-]+:)?response[\s>]/;
const END = /<\/(?:[\w.-]+:)?response\s*>/;
/** Longer than any end tag, which may come in two pieces. */
const END_LENGTH = 128;

/**
 * The responses of a multistatus body, one at a time, so that a directory of a million members needs no more memory
 * than one of two. Rejects with `unexpected` for what is no multistatus or declares a document type (entities are how
 * XML attacks its readers), with `unavailable` when it ends early.
 */
export async function* readMultistatus(body: Bytes, doing: string): AsyncGenerator<DavResponse> {
  const decoder = new TextDecoder();
  let text = '';
  let root: { readonly open: string; readonly close: string } | undefined;
  let searched = 0;
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    if (!root) {
      const found = ROOT.exec(text);
      refuseDoctype(found ? text.slice(0, found.index) : text, doing);
      if ((found?.index ?? text.length) > MAX_PROLOG) throw malformed(doing, 'it is no multistatus');
      if (!found) continue;
      if (found[0].endsWith('/>')) return;
      root = { open: found[0], close: `</${found[1]}>` };
      text = text.slice(found.index + found[0].length);
    }
    for (;;) {
      const end = END.exec(text.slice(searched));
      if (!end) break;
      const after = searched + end.index + end[0].length;
      const begin = text.search(BEGIN);
      if (begin < 0 || begin >= after) throw malformed(doing, 'a response ends that never began');
      yield parseResponse(`${root.open}${text.slice(begin, after)}${root.close}`, doing);
      text = text.slice(after);
      searched = 0;
    }
    searched = Math.max(0, text.length - END_LENGTH);
    if (text.length > MAX_RESPONSE) throw malformed(doing, `a response is longer than ${MAX_RESPONSE} bytes`);
  }
  if (!root) throw malformed(doing, 'it is no multistatus');
  if (!text.includes(root.close)) {
    throw new TransferError('unavailable', `${doing}: the answer ended early`);
  }
}

function refuseDoctype(prolog: string, doing: string): void {
  if (/<!(?:DOCTYPE|ENTITY)/i.test(prolog)) throw malformed(doing, 'it declares a document type');
}

function malformed(doing: string, what: string): TransferError {
  return new TransferError('unexpected', `${doing}: the server's answer cannot be read: ${what}`);
}

const parser = new XMLParser({
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

function parseResponse(text: string, doing: string): DavResponse {
  let root: Element | undefined;
  try {
    root = elementOf(parser.parse(text, true));
  } catch (error) {
    throw new TransferError('unexpected', `${doing}: the server's answer is no XML`, { cause: error });
  }
  const response = root && child(root, 'DAV: response');
  const href = response && child(response, 'DAV: href');
  if (!response || !href) throw malformed(doing, 'a response without a href');
  const properties = new Map<string, Element>();
  for (const propstat of children(response, 'DAV: propstat')) {
    const status = statusOf(child(propstat, 'DAV: status'));
    if (status !== undefined && (status < 200 || status > 299)) continue;
    for (const each of child(propstat, 'DAV: prop')?.children ?? []) properties.set(each.name, each);
  }
  return { href: href.text.trim(), status: statusOf(child(response, 'DAV: status')), properties };
}

/** `HTTP/1.1 423 Locked`. */
function statusOf(element: Element | undefined): number | undefined {
  const status = element && /^\s*HTTP\/\d\S* (\d{3})\b/.exec(element.text)?.[1];
  return status === undefined ? undefined : Number(status);
}

/** Bytes that a response head may have, all fields together; the same for a trailer section. */
export const MAX_HEAD_BYTES = 64 * 1024;

/** Start line and fields of a response. */
export interface Head {
  readonly status: number;
  readonly isHttp11: boolean;
  /** Lower-case names; repeated fields joined by `, `. */
  readonly headers: Record<string, string>;
}

/** What is wrong with an answer of another protocol. */
export const NO_HTTP = 'the answer does not begin like HTTP/1.1';

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [^\x00-\x08\x0a-\x1f\x7f]*)?$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

/** The head in `text` (everything before the empty line), or what is wrong with it. */
export function parseHead(text: string): Head | string {
  const lineEnd = text.indexOf('\r\n');
  const status = STATUS_LINE.exec(lineEnd < 0 ? text : text.slice(0, lineEnd));
  if (!status) return NO_HTTP;
  const headers = parseFields(lineEnd < 0 ? '' : text.slice(lineEnd + 2));
  if (typeof headers === 'string') return headers;
  return { status: Number(status[2]), isHttp11: status[1] === '1', headers };
}

/** Fields of a head or a trailer section, or what is wrong with them. Lines end in CR LF; folded lines are refused. */
export function parseFields(text: string): Record<string, string> | string {
  // A field named `__proto__` must be a field.
  const headers: Record<string, string> = Object.create(null);
  let at = 0;
  while (at < text.length) {
    let end = text.indexOf('\r\n', at);
    if (end < 0) end = text.length;
    const colon = text.indexOf(':', at);
    if (colon < 0 || colon >= end) return 'the answer has a header line without a colon';
    const name = text.slice(at, colon);
    // Also refuses folded lines (they begin with a space) and a space before the colon: RFC 9112 §5.1, §5.2.
    if (!TOKEN.test(name)) return 'the answer has a malformed header name';
    const value = text.slice(colon + 1, end).trim();
    if (CONTROL.test(value)) return 'the answer has control characters in a header';
    const key = name.toLowerCase();
    const before = headers[key];
    headers[key] = before === undefined ? value : `${before}, ${value}`;
    at = end + 2;
  }
  return headers;
}

/** How the end of a body is told: after `length` bytes, by the last chunk, or by the end of the connection. */
export type Framing =
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' };

const EMPTY: Framing = { kind: 'length', length: 0 };
const CHUNKED: Framing = { kind: 'chunked' };
const CLOSE: Framing = { kind: 'close' };

/** Framing of the body behind `head` (RFC 9112 §6.3), or what is wrong with it. */
export function framingOf(head: Head, method: string): Framing | string {
  if (method === 'HEAD' || head.status === 204 || head.status === 304) return EMPTY;
  const coding = head.headers['transfer-encoding'];
  if (coding !== undefined) {
    return coding.toLowerCase() === 'chunked' ? CHUNKED : 'the answer has an unknown transfer coding';
  }
  const declared = head.headers['content-length'];
  if (declared === undefined) return CLOSE;
  const length = /^\d{1,16}$/.test(declared) ? Number(declared) : repeatedLength(declared);
  if (length === undefined || !Number.isSafeInteger(length)) {
    return 'the answer has a malformed or contradictory Content-Length';
  }
  return { kind: 'length', length };
}

/** Some proxies repeat the field; the same number twice is still one number (RFC 9110 §8.6). */
function repeatedLength(declared: string): number | undefined {
  const values = new Set(declared.split(',').map((value) => value.trim()));
  const [only = ''] = values;
  return values.size === 1 && /^\d{1,16}$/.test(only) ? Number(only) : undefined;
}

/** True when the connection may carry another request after this answer. */
export function isReusable(head: Head, framing: Framing): boolean {
  if (framing.kind === 'close') return false;
  // Both framings at once is how requests are smuggled: the chunks decide, and the connection ends (RFC 9112 §6.1).
  if (framing.kind === 'chunked' && head.headers['content-length'] !== undefined) return false;
  const connection = head.headers.connection?.toLowerCase() ?? '';
  if (connection.includes('close')) return false;
  return head.isHttp11 || connection.includes('keep-alive');
}

/** Seconds that the other side keeps an idle connection, when it says so. */
export function keepAliveSeconds(head: Head): number | undefined {
  const field = head.headers['keep-alive'];
  const timeout = field === undefined ? undefined : /(?:^|[\s,;])timeout=(\d{1,6})/i.exec(field)?.[1];
  return timeout === undefined ? undefined : Number(timeout);
}

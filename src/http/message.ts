import { TransferError } from '../errors.ts';
import { formatTarget, type Target } from './target.ts';

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const METHOD = /^[A-Z]{1,32}$/;

/** Control characters would end the field and begin another; beyond latin1 nothing can be sent. */
const UNSENDABLE = /[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/;

/** Fields that are the client's to set. */
const OURS: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
]);

export interface Message {
  readonly method: string;
  readonly target: Target;
  /** The request goes to a proxy, which wants the whole URL (RFC 9112 §3.2.2). */
  readonly isAbsolute: boolean;
  readonly userAgent: string;
  /** The caller's, credentials included. */
  readonly headers: Readonly<Record<string, string>>;
  readonly proxyAuthorization?: string | undefined;
  readonly fresh: boolean;
  readonly takesGzip?: boolean | undefined;
}

/** What is behind the method in a request line. */
export function requestTarget(message: Message): string {
  return message.isAbsolute ? formatTarget(message.target, { withQuery: true }) : message.target.path;
}

/**
 * Every field of the request but those about its body, in order. Rejects with `invalid-request` for names and values
 * that cannot be sent, without repeating the value.
 */
export function requestFields(message: Message): [name: string, value: string][] {
  if (!METHOD.test(message.method)) {
    throw new TransferError('invalid-request', 'expected an HTTP method in upper case');
  }
  const fields: [string, string][] = [
    ['host', message.target.origin.hostHeader],
    ['user-agent', message.userAgent],
    // Stored bytes are the bytes that were sent: nothing here undoes a coding.
    ['accept-encoding', message.takesGzip ? 'gzip' : 'identity'],
  ];
  if (message.method === 'GET') fields.push(['te', 'trailers']);
  if (message.fresh) fields.push(['cache-control', 'no-cache'], ['pragma', 'no-cache']);
  if (message.proxyAuthorization !== undefined) {
    fields.push(['proxy-authorization', message.proxyAuthorization]);
  }
  for (const name in message.headers) {
    const value = message.headers[name];
    if (value === undefined || OURS.has(name) || (message.fresh && /^(cache-control|pragma)$/.test(name)))
      continue;
    if (!TOKEN.test(name)) {
      throw new TransferError('invalid-request', `expected a header name, got \`${JSON.stringify(name)}\``);
    }
    if (UNSENDABLE.test(value)) {
      throw new TransferError(
        'invalid-request',
        `expected a value without control characters for the header \`${name}\``,
      );
    }
    fields.push([name, value]);
  }
  return fields;
}

/** Request line and fields, ready for the fields about the body and the empty line. */
export function requestHead(message: Message): string {
  const fields = requestFields(message);
  let head = `${message.method} ${requestTarget(message)} HTTP/1.1\r\n`;
  for (const [name, value] of fields) head += `${name}: ${value}\r\n`;
  return head;
}

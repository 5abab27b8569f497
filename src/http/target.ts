import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { TransferError } from '../errors.ts';

/** Who is spoken to: scheme, host and port. Two targets share an origin exactly when their `key` is equal. */
export interface Origin {
  /** `https://host:port`, lower case, the port always written. */
  readonly key: string;
  readonly secure: boolean;
  /** Without brackets, in the form that name resolution takes (an IPv6 zone as `%eth0`). */
  readonly host: string;
  readonly port: number;
  /** Value of the Host field: brackets around IPv6, no zone, no default port (RFC 9110 §7.2). */
  readonly hostHeader: string;
}

/** What is asked for: an origin and the path with its query, encoded as given. */
export interface Target {
  readonly origin: Origin;
  readonly path: string;
}

/** Origins are few and requests many: parsing one costs more than finding it. */
const KNOWN_ORIGINS = 1024;
const knownOrigins = new Map<string, Origin>();

/**
 * The target of an absolute http or https URL, its fragment dropped. The path is kept as given: no dot segments
 * removed, no escapes changed; only spaces and characters beyond ASCII are encoded. Rejects with `invalid-request` for
 * userinfo, control characters and anything that names no host, without repeating what may be a secret.
 */
export function parseTarget(url: string): Target {
  const begin = url.indexOf('://') + 3;
  const cut = begin < 3 ? -1 : url.slice(begin).search(/[/?#]/);
  const prefix = cut < 0 ? url : url.slice(0, begin + cut);
  let origin = knownOrigins.get(prefix);
  if (!origin) {
    origin = parseOrigin(prefix);
    if (knownOrigins.size >= KNOWN_ORIGINS) knownOrigins.clear();
    knownOrigins.set(prefix, origin);
  }
  return { origin, path: cut < 0 ? '/' : encodePath(url.slice(begin + cut)) };
}

const ORIGIN_SHAPE = /^(https?):\/\/(?:\[([0-9a-f:.]+)(?:%25([\w.-]+))?\]|([^\s:@[\]\\]+))(?::(\d{1,5}))?$/i;

function parseOrigin(prefix: string): Origin {
  const shape = ORIGIN_SHAPE.exec(prefix);
  if (!shape) throw invalid('expected a URL such as `https://host/path` without user and password');
  const secure = shape[1]?.toLowerCase() === 'https';
  const address = shape[2]?.toLowerCase();
  if (address !== undefined && isIP(address) !== 6) throw invalid('expected an IPv6 address in brackets');
  const name = address ?? domainToASCII(shape[4] ?? '').toLowerCase();
  if (name === '' || name.startsWith('-')) throw invalid('expected a host name in the URL');
  const port = shape[5] === undefined ? defaultPort(secure) : Number(shape[5]);
  if (port < 1 || port > 65535) throw invalid(`expected a port from 1 to 65535, got \`${port}\``);
  const shown = address === undefined ? name : `[${address}]`;
  return {
    key: `${secure ? 'https' : 'http'}://${shown}:${port}`,
    secure,
    host: address !== undefined && shape[3] !== undefined ? `${address}%${shape[3]}` : name,
    port,
    hostHeader: port === defaultPort(secure) ? shown : `${shown}:${port}`,
  };
}

function defaultPort(secure: boolean): number {
  return secure ? 443 : 80;
}

function encodePath(text: string): string {
  const hash = text.indexOf('#');
  let path = hash < 0 ? text : text.slice(0, hash);
  if (/[\x00-\x1f\x7f]/.test(path)) {
    throw invalid('expected a URL path without control characters');
  }
  if (/[^\x21-\x7e]/.test(path)) path = path.replace(/[^\x21-\x7e]+/gu, (part) => encodeURIComponent(part));
  return path.startsWith('/') ? path : `/${path}`;
}

/** The target as a URL for messages: without its query when `withQuery` is false. */
export function formatTarget(target: Target, options: { readonly withQuery: boolean }): string {
  const query = target.path.indexOf('?');
  const path = options.withQuery || query < 0 ? target.path : target.path.slice(0, query);
  return `${target.origin.secure ? 'https' : 'http'}://${target.origin.hostHeader}${path}`;
}

function invalid(message: string): TransferError {
  return new TransferError('invalid-request', message);
}

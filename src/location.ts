import { TransferError } from './errors.ts';

/**
 * Where a file is. For URL schemes `path` is the encoded path exactly as given; for file, symlink and moveto (and later
 * sftp, s3, gs) it is plain. Holds no secrets: they are split off on parsing.
 */
export interface Location {
  readonly scheme: string;
  /** `host[:port]`, IPv6 in brackets; empty for local schemes. */
  readonly authority: string;
  readonly path: string;
  /** Without the leading `?`. */
  readonly query?: string;
  /** Site label as given (`-` kept). Empty when there is none. */
  readonly site: string;
}

/** What a URL carried that must not travel in a {@link Location}. */
export interface UrlSecret {
  readonly username?: string;
  readonly password?: string;
  /** Secret query parameters, encoded, without `?`. Sent with every request to this URL, never shown. */
  readonly query?: string;
}

export interface ParsedUrl {
  readonly location: Location;
  readonly secret?: UrlSecret;
}

/** Schemes whose path is a path of this machine. */
export const LOCAL_SCHEMES: ReadonlySet<string> = new Set(['file', 'symlink', 'moveto']);

/** Query parameters that grant access (presigned URLs, tokens). Lower case; `x-amz-` and `x-goog-` are matched by prefix. */
const SECRET_PARAMETERS: ReadonlySet<string> = new Set([
  'access_token',
  'api_key',
  'apikey',
  'auth',
  'authz',
  'awsaccesskeyid',
  'code',
  'credential',
  'googleaccessid',
  'key',
  'key-pair-id',
  'password',
  'policy',
  'secret',
  'sig',
  'signature',
  'token',
  'x-access-token',
  'xrdhttptk',
]);

/** True for a query parameter whose value must never be shown. */
export function isSecretParameter(name: string): boolean {
  const lower = safeDecode(name).toLowerCase();
  return SECRET_PARAMETERS.has(lower) || lower.startsWith('x-amz-') || lower.startsWith('x-goog-');
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const URL_SHAPE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?$/s;
const HOST_SHAPE = /^(\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\]|[^\s:@[\]/?#]*)(?::(\d*))?$/;
const VARIABLE = /\$\{?([a-zA-Z][a-zA-Z0-9_]+)\}?/g;

export interface ParseOptions {
  readonly site?: string;
  /** Variables for `$NAME` and `${NAME}` in file, symlink and moveto URLs (names of two characters and more). */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Runs of `/` in a URL's path become one, as transfer lists have always had it. Elsewhere the path stays as given. */
  readonly collapseSlashes?: boolean;
}

/**
 * The location that `text` names, its secrets apart. Text without a `:` is a local path. Environment variables are
 * expanded in local schemes only; an undefined one is the empty string.
 * Rejects with `invalid-request` for anything that cannot name a file; the message never repeats a password.
 */
export function parseUrl(text: string, options: ParseOptions = {}): ParsedUrl {
  const site = options.site ?? '';
  if (text === '') throw invalid('expected a URL, got an empty string');
  if (text.includes('\0')) throw invalid('expected a URL without NUL bytes');
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1]?.toLowerCase();
  if (!text.includes(':')) return { location: local('file', expand(text, options.env), site) };
  if (scheme !== undefined && LOCAL_SCHEMES.has(scheme)) {
    return { location: local(scheme, expand(stripLocalScheme(text), options.env), site) };
  }
  const shape = URL_SHAPE.exec(text);
  if (!shape || scheme === undefined) {
    throw invalid(
      `expected a URL such as \`https://host/path\` or \`file:///path\`, got \`${safeText(text)}\``,
    );
  }
  return parseRemote(shape, scheme, options);
}

/** A location on this machine; `path` is plain and taken as it is. */
export function localLocation(path: string, site = ''): Location {
  return local('file', path, site);
}

function local(scheme: string, path: string, site: string): Location {
  if (path === '') throw invalid(`expected a path after \`${scheme}:\`, got none`);
  if (path.includes('\0')) throw invalid('expected a path without NUL bytes');
  return { scheme, authority: '', path, site };
}

function stripLocalScheme(text: string): string {
  const rest = text.slice(text.indexOf(':') + 1);
  if (rest.startsWith('//localhost/')) return rest.slice('//localhost'.length);
  return rest.startsWith('//') ? rest.slice(2) : rest;
}

function expand(text: string, env: ParseOptions['env']): string {
  return text.includes('$') ? text.replace(VARIABLE, (_, name: string) => env?.[name] ?? '') : text;
}

function parseRemote(shape: RegExpExecArray, scheme: string, options: ParseOptions): ParsedUrl {
  const authorityText = shape[2] ?? '';
  const at = authorityText.lastIndexOf('@');
  const host = HOST_SHAPE.exec(authorityText.slice(at + 1));
  if (!host?.[1])
    throw invalid(`expected a host in the \`${scheme}\` URL, got \`${authorityText.slice(at + 1)}\``);
  if (host[1].startsWith('-')) throw invalid(`expected a host name, got \`${host[1]}\` (starts with a dash)`);
  if (host[2] !== undefined) {
    const port = Number(host[2]);
    if (host[2] === '' || port < 1 || port > 65535) {
      throw invalid(`expected a port from 1 to 65535 in the \`${scheme}\` URL, got \`${host[2]}\``);
    }
  }
  const userinfo = at < 0 ? undefined : splitUserinfo(authorityText.slice(0, at));
  const { open, secret } = splitQuery(shape[4]);
  const path = (options.collapseSlashes ? collapse(shape[3] ?? '') : (shape[3] ?? '')) || '/';
  if (/[\s\x00-\x1f\x7f]/.test(path.replaceAll(' ', ''))) {
    throw invalid(`expected a URL path without control characters, got \`${JSON.stringify(path)}\``);
  }
  const location: Location = {
    scheme,
    authority: host[0].toLowerCase(),
    path: path.replaceAll(' ', '%20'),
    ...(open === undefined ? {} : { query: open }),
    site: options.site ?? '',
  };
  if (!userinfo && secret === undefined) return { location };
  return { location, secret: { ...userinfo, ...(secret === undefined ? {} : { query: secret }) } };
}

function collapse(path: string): string {
  return path.includes('//') ? path.replace(/\/{2,}/g, '/') : path;
}

function splitUserinfo(text: string): { readonly username: string; readonly password?: string } {
  const colon = text.indexOf(':');
  if (colon < 0) return { username: safeDecode(text) };
  return { username: safeDecode(text.slice(0, colon)), password: safeDecode(text.slice(colon + 1)) };
}

function splitQuery(query: string | undefined): { readonly open?: string; readonly secret?: string } {
  if (query === undefined) return {};
  const parts = query.split('&');
  // One secret parameter makes the whole query secret: signatures cover the order and the rest of the parameters.
  return parts.some((part) => isSecretParameter(part.split('=', 1)[0] ?? ''))
    ? { secret: query }
    : { open: query };
}

/** `text` cut before anything that could be a password, for messages about URLs that do not parse. */
function safeText(text: string): string {
  const shown = text.replace(/\/\/[^/@]*@/, '//***@').replace(/\?.*$/s, '?…');
  return shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
}

function invalid(message: string): TransferError {
  return new TransferError('invalid-request', message);
}

/** The location as a URL. Local paths become `scheme://path`. Never holds a secret. */
export function formatLocation(location: Location): string {
  const query = location.query === undefined ? '' : `?${location.query}`;
  return `${location.scheme}://${location.authority}${location.path}${query}`;
}

/** What limits and breakers count by: one host under one scheme, or `local`. */
export function hostKey(location: Location): string {
  return location.authority === '' ? 'local' : `${location.scheme}://${location.authority}`;
}

/** Site label as environment names and statistics have it: `-` becomes `_`. */
export function siteKey(site: string): string {
  return site.replaceAll('-', '_');
}

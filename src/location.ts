import { TransferError } from './errors.ts';

/**
 * Where a file is. For URL schemes `path` is the encoded path as given, what no request line can carry percent-encoded;
 * for the local schemes and for {@link PLAIN_SCHEMES} it is plain. Holds no secrets: they are split off on parsing.
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

/** Schemes of services whose names are no URLs: `%`, `?` and `#` in a path stand for themselves. */
export const PLAIN_SCHEMES: ReadonlySet<string> = new Set([
  'docker',
  'gs',
  'gsiscp',
  'irods',
  'library',
  'oci',
  'oras',
  's3',
  's3s',
  'scp',
  'sftp',
  'shub',
]);

/** Schemes whose authority is the first part of an image reference, as in `docker://ubuntu:22.04`. */
export const IMAGE_SCHEMES: ReadonlySet<string> = new Set(['docker', 'library', 'oci', 'oras', 'shub']);

/** Schemes that mean nothing without a host. Others, `osdf:///namespace/file` among them, may leave it out. */
const HOST_SCHEMES: ReadonlySet<string> = new Set([
  'dav',
  'davs',
  'ftp',
  'ftps',
  'gs',
  'gsidav',
  'gsidavs',
  'gsiftp',
  'gsiscp',
  'http',
  'https',
  'irods',
  'root',
  's3',
  's3s',
  'scp',
  'sftp',
  'srm',
  'sshftp',
  'webdav',
  'webdavs',
]);

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

const URL_SHAPE = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?$/s;
const PLAIN_SHAPE = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/]*)(.*)$/s;
const HOST_SHAPE = /^(\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\]|[\p{L}\p{N}\p{M}_.-]*)(?::(\d*))?$/u;
const IMAGE_SHAPE = /^[\p{L}\p{N}_.-]*(?::[\w.-]+)?(?:@\w+:[0-9A-Fa-f]+)?$/u;
const CONTROL = /[\x00-\x1f\x7f]/;
const LONE_SURROGATE = /\p{Surrogate}/u;
/** What a request line cannot carry as it is. */
const UNSENDABLE = /[^\x21-\x7e]+/gu;
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
  if (LONE_SURROGATE.test(text))
    throw invalid('expected a URL of whole characters, got half a surrogate pair');
  if (!text.includes(':')) return { location: local('file', expand(text, options.env), site) };
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined && LOCAL_SCHEMES.has(scheme)) {
    return { location: local(scheme, expand(stripLocalScheme(text), options.env), site) };
  }
  const plain = scheme !== undefined && PLAIN_SCHEMES.has(scheme);
  const shape = (plain ? PLAIN_SHAPE : URL_SHAPE).exec(text);
  if (!shape || scheme === undefined) {
    throw invalid(
      `expected a URL such as \`https://host/path\` or \`file:///path\`, got \`${maskUrl(text)}\``,
      'a path of this machine with a colon in it is written `file:///path`',
    );
  }
  if (!plain && CONTROL.test(text)) {
    throw invalid(`expected a URL without control characters, got \`${JSON.stringify(maskUrl(text))}\``);
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
  if (!text.includes('$')) return text;
  // A name such as `constructor` must not find what every object inherits.
  return text.replace(
    VARIABLE,
    (_, name: string) => (env && Object.hasOwn(env, name) ? env[name] : undefined) ?? '',
  );
}

function parseRemote(shape: RegExpExecArray, scheme: string, options: ParseOptions): ParsedUrl {
  const [, authorityText = '', givenPath = '', givenQuery, fragment = ''] = shape;
  if (fragment !== '' && (HOST_SCHEMES.has(scheme) || fragment.includes('?'))) {
    throw invalid(
      `expected a URL without a fragment, got \`${maskUrl(fragment)}\``,
      'a `#` that belongs to a name is written `%23`',
    );
  }
  // Elsewhere (`go://user#endpoint/path`) it is part of the name.
  const pathText = givenQuery === undefined ? givenPath + fragment : givenPath;
  const queryText = givenQuery === undefined ? undefined : givenQuery + fragment;
  const isImage = IMAGE_SCHEMES.has(scheme);
  const at = isImage ? authorityText.search(/@(?!\w+:[0-9A-Fa-f]+$)/) : authorityText.lastIndexOf('@');
  const authority = authorityText.slice(at + 1);
  if (isImage) checkImage(authority, pathText);
  else checkHost(authority, scheme);
  const userinfo = at < 1 ? undefined : splitUserinfo(authorityText.slice(0, at));
  const { open, secret } = splitQuery(queryText && sendable(queryText));
  const path = options.collapseSlashes ? collapse(pathText) : pathText;
  const location: Location = {
    scheme,
    // Image references have tags in this place, and tags have upper case.
    authority: isImage ? authority : authority.toLowerCase(),
    path: isImage ? path : PLAIN_SCHEMES.has(scheme) ? path || '/' : sendable(path || '/'),
    ...(open === undefined ? {} : { query: open }),
    site: options.site ?? '',
  };
  if (!userinfo && secret === undefined) return { location };
  return { location, secret: { ...userinfo, ...(secret === undefined ? {} : { query: secret }) } };
}

function checkHost(authority: string, scheme: string): void {
  const shape = HOST_SHAPE.exec(authority);
  const host = shape?.[1];
  if (host === undefined || (host === '' && (authority !== '' || HOST_SCHEMES.has(scheme)))) {
    throw invalid(
      `expected a host in the \`${scheme}\` URL, got ${authority === '' ? 'none' : `\`${beforeColon(authority)}\``}`,
    );
  }
  if (host.startsWith('-')) throw invalid(`expected a host name, got \`${host}\` (starts with a dash)`);
  const port = shape?.[2];
  if (port === undefined) return;
  if (port === '' || Number(port) < 1 || Number(port) > 65535) {
    throw invalid(`expected a port from 1 to 65535 in the \`${scheme}\` URL, got \`${port}\``);
  }
}

function checkImage(first: string, rest: string): void {
  if ((first === '' && /^\/*$/.test(rest)) || first.startsWith('-') || !IMAGE_SHAPE.test(first)) {
    throw invalid(`expected the name of an image, got \`${beforeColon(first)}\``);
  }
}

/** What follows a colon, or precedes an `@`, may be part of a password that holds a `/` or an `@`. */
function beforeColon(text: string): string {
  return text.replace(/.*@/s, '***@').replace(/:.*$/s, ':…');
}

function sendable(text: string): string {
  return text.replace(UNSENDABLE, encodeURIComponent);
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

/** `text` without what could be a password, a token or a signature, for messages about URLs that do not parse. */
export function maskUrl(text: string): string {
  const shown = text.replace(/^([A-Za-z][A-Za-z0-9+.-]*:\/*)?.*@/s, '$1***@').replace(/\?.*$/s, '?…');
  return shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
}

function invalid(message: string, hint?: string): TransferError {
  return new TransferError('invalid-request', message, hint === undefined ? {} : { hint });
}

/** The location as a URL. Local paths become `scheme://path`. Never holds a secret. */
export function formatLocation(location: Location): string {
  const query = location.query === undefined ? '' : `?${location.query}`;
  return `${location.scheme}://${location.authority}${location.path}${query}`;
}

/** The path that an endpoint is asked for: for URL schemes the query is part of what names the file. */
export function pathOf({ path, query }: Location): string {
  return query === undefined ? path : `${path}?${query}`;
}

/** What limits and breakers count by: one host under one scheme, left out where an image's name has none, or `local`. */
export function hostKey({ scheme, authority, path }: Location): string {
  const isHost = !IMAGE_SCHEMES.has(scheme) || (path.length > 1 && /[.:]|^localhost$/.test(authority));
  return LOCAL_SCHEMES.has(scheme) ? 'local' : `${scheme}://${isHost ? authority : ''}`;
}

/** Site label as environment names and statistics have it: `-` becomes `_`. */
export function siteKey(site: string): string {
  return site.replaceAll('-', '_');
}

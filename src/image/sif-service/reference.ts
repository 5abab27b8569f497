import { TransferError } from '../../errors.ts';

/** An image of a library: where it is asked for, and as what. */
export interface LibraryReference {
  /** `host[:port]`; undefined for the library that is set up. */
  readonly host: string | undefined;
  /** `entity/collection/container`, or the last two or one of them. */
  readonly path: string;
  /** A tag, or `sha256.HEX` for exactly that file. */
  readonly tag: string;
}

/** A container of Singularity Hub, or of a server with its API. */
export interface ShubReference {
  readonly host: string | undefined;
  readonly path: string;
  readonly tag: string | undefined;
  /** Of the file (md5) or of the commit that it was built of. */
  readonly pin: string | undefined;
}

/** Where images of Sylabs' public library are. */
export const SYLABS_LIBRARY = 'https://library.sylabs.io';
/** Where Singularity Hub was, until 2021. */
export const SINGULARITY_HUB = 'https://singularity-hub.org';

const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?$/i;
/** Names as the library's own client takes them; upper case is of older users. */
const PART = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/i;
const TAG = /^[a-z0-9_][a-z0-9._-]{0,127}$/i;
const HASH = /^sha256\.[0-9a-f]{64}$/;
/** As apptainer reads it: an md5 of the file, or a commit. */
const PIN = /^(?:[0-9a-f]{32}|[0-9a-f]{40})$/;

/**
 * The image that `[HOST/]ENTITY/COLLECTION/CONTAINER[:TAG]` names, with or without `library:` and slashes before it.
 * With four parts the first one is a host; of several tags the first counts; `@sha256:HEX` is the same as the tag
 * `sha256.HEX`. Throws `invalid-request`.
 */
export function parseLibraryReference(text: string): LibraryReference {
  const doing = `image \`library://${shown(withoutScheme(text))}\``;
  const [, name = '', digest] = /^(.*?)(?:@(sha256:[0-9a-fA-F]+))?$/s.exec(withoutScheme(text)) ?? [];
  const { host, parts, tag } = split(name, 3, doing);
  const [first = ''] = (tag ?? 'latest').split(',');
  const wanted = digest === undefined ? first : digest.toLowerCase().replace(':', '.');
  if (!TAG.test(wanted) || (wanted.startsWith('sha256.') && !HASH.test(wanted))) {
    throw invalid(
      doing,
      `expected a tag, or \`sha256.\` and 64 hexadecimal digits, got \`${shown(wanted)}\``,
    );
  }
  return { host, path: parts.join('/'), tag: wanted };
}

/** The container that `[HOST/]USER/CONTAINER[:TAG][@PIN]` names. Throws `invalid-request`. */
export function parseShubReference(text: string): ShubReference {
  const name = withoutScheme(text);
  const doing = `image \`shub://${shown(name)}\``;
  const at = name.indexOf('@');
  const pin = at < 0 ? undefined : name.slice(at + 1).toLowerCase();
  if (pin !== undefined && !PIN.test(pin)) {
    throw invalid(doing, `expected an md5 or a commit behind the \`@\`, got \`${shown(pin)}\``);
  }
  const { host, parts, tag } = split(at < 0 ? name : name.slice(0, at), 2, doing);
  if (parts.length !== 2) throw invalid(doing, 'expected `USER/CONTAINER`');
  if (tag !== undefined && !TAG.test(tag)) throw invalid(doing, `expected a tag, got \`${shown(tag)}\``);
  const wanted = tag ?? (pin === undefined ? 'latest' : undefined);
  return { host, path: parts.join('/'), tag: wanted, pin };
}

function split(name: string, most: number, doing: string) {
  const all = name.split('/');
  const [first = ''] = all;
  const hasHost = all.length > most || (all.length > 1 && first.includes(':'));
  if (hasHost && !HOST.test(first)) throw invalid(doing, `expected a host, got \`${shown(first)}\``);
  const named = hasHost ? all.slice(1) : all;
  const last = named.at(-1) ?? '';
  const colon = last.indexOf(':');
  const parts = colon < 0 ? named : [...named.slice(0, -1), last.slice(0, colon)];
  const wrong = parts.find((part) => !PART.test(part));
  if (parts.length > most || wrong !== undefined) {
    throw invalid(
      doing,
      `expected ${most === 3 ? '`ENTITY/COLLECTION/CONTAINER`' : '`USER/CONTAINER`'}, got \`${shown(parts.join('/'))}\``,
    );
  }
  return {
    host: hasHost ? first.toLowerCase() : undefined,
    parts,
    tag: colon < 0 ? undefined : last.slice(colon + 1),
  };
}

/** The name complete; parsing it gives the same reference. */
export function formatLibrary({ host, path, tag }: LibraryReference): string {
  return `library://${host === undefined ? '' : `${host}/`}${path}:${tag}`;
}

export function formatShub({ host, path, tag, pin }: ShubReference): string {
  const tagged = tag === undefined ? '' : `:${tag}`;
  return `shub://${host === undefined ? '' : `${host}/`}${path}${tagged}${pin === undefined ? '' : `@${pin}`}`;
}

/** `host[:port]` of the library that an image is asked for at; `base` is the one that is set up. */
export function libraryAuthority({ host }: LibraryReference, base: string): string {
  return host ?? new URL(base).host;
}

/**
 * A base URL from a variable, without the slash at its end; `initial` without one. Throws `invalid-request` for anything
 * but an http URL without login and query.
 */
export function baseUrl(variable: string, text: string | undefined, initial: string): string {
  if (text === undefined || text === '') return initial;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  if (isPlain && url.search === '' && url.hash === '') return url.href.replace(/\/+$/, '');
  throw new TransferError(
    'invalid-request',
    `${variable}: expected a URL such as \`${initial}\`, without user, password and query`,
  );
}

function withoutScheme(text: string): string {
  return text.replace(/^(?:library|shub):/i, '').replace(/^\/+/, '');
}

function shown(text: string): string {
  const safe = text.replace(/[^\x20-\x7e]|`/g, '?').replace(/^[^/@]*:[^/@]*@(?!sha256:)/, '***@');
  return safe.length > 120 ? `${safe.slice(0, 120)}…` : safe;
}

function invalid(doing: string, problem: string): TransferError {
  return new TransferError('invalid-request', `${doing}: ${problem}`);
}

import { existsSync } from 'node:fs';
import { TransferError } from '../errors.ts';
import { LOCAL_SCHEMES, type Location, localLocation, PLAIN_SCHEMES, parseUrl } from '../location.ts';
import type { Place } from '../request.ts';

const LOCAL_URL = /^([A-Za-z]+):(?:\/\/localhost(?=\/)|\/\/)?(.*)$/s;

/**
 * The place that an argument names: a URL, or a path of this machine, also one with a `:` in it when it exists or
 * begins with `/`, `./` or `../`. Nothing is expanded: the shell has done that. Throws `invalid-request`.
 */
export function parseArgument(text: string): Place {
  if (text === '')
    throw new TransferError('invalid-request', 'expected a path or URL, got an empty argument');
  if (!text.includes(':') || /^\.{0,2}\//.test(text)) return { location: localLocation(absolute(text)) };
  const [, scheme = '', path = ''] = LOCAL_URL.exec(text) ?? [];
  if (LOCAL_SCHEMES.has(scheme.toLowerCase())) {
    return { location: { ...localLocation(path), scheme: scheme.toLowerCase() } };
  }
  if (!text.includes('://') && existsSync(text)) return { location: localLocation(absolute(text)) };
  return parseUrl(text);
}

/** Not normalized: `tree/.` and `tree/` say more than `tree`. */
function absolute(path: string): string {
  return path === '' || path.startsWith('/')
    ? path
    : `${process.cwd()}/${path.replace(/^(?:\.\/+)+(?=.)/, '')}`;
}

/** The place that `-` stands for: standard input as a source, standard output as a destination. */
export const STANDARD_STREAM: Place = { location: { scheme: 'stdio', authority: '', path: '-', site: '' } };

export function isStandardStream({ location }: Place): boolean {
  return location.scheme === 'stdio';
}

/** True when the path of the location is percent-encoded. */
export function isEncoded(location: Location): boolean {
  return !LOCAL_SCHEMES.has(location.scheme) && !PLAIN_SCHEMES.has(location.scheme);
}

/** The plain last name of a location's path; empty when it has none. Throws for one that cannot be decoded. */
export function lastName(location: Location): string {
  const name = /([^/]*)\/*$/.exec(location.path)?.[1] ?? '';
  return isEncoded(location) ? decodeName(name) : name;
}

/** One part of an encoded path, plain. Throws `invalid-request` for one that cannot be decoded. */
export function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch (cause) {
    throw new TransferError('invalid-request', `\`${name}\`: expected percent-encoded UTF-8`, { cause });
  }
}

/** The place of `name`, plain and `/`-separated, below a directory. Keeps the directory's secret. */
export function below(directory: Place, name: string): Place {
  if (name === '') return directory;
  const { location } = directory;
  const encoded = isEncoded(location) ? name.split('/').map(encodeURIComponent).join('/') : name;
  const slash = location.path === '' || location.path.endsWith('/') ? '' : '/';
  return { ...directory, location: { ...location, path: `${location.path}${slash}${encoded}` } };
}

/** Why no file of this name may be made below a directory, from a listing that somebody else wrote; undefined for a good name. */
export function escapes(name: string): string | undefined {
  if (name.includes('\0')) return 'it has a NUL byte';
  const parts = name.split('/');
  if (parts.includes('..')) return 'it would leave the destination';
  if (parts.includes('') || parts.includes('.')) return 'it has an empty part';
  return undefined;
}

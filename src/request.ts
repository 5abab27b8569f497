import { TransferError } from './errors.ts';
import { isAlgorithm, parseDigest } from './integrity/expected.ts';
import { type Location, maskUrl, parseUrl, type UrlSecret } from './location.ts';
import type { Digest } from './protocol.ts';

/** One URL of a request, its secrets apart. */
export interface Place {
  readonly location: Location;
  readonly secret?: UrlSecret;
  /** Higher is tried first. Without one the order among equals is drawn at random. */
  readonly priority?: number;
  /** Container format asked for (`docker`, `singularity`, …). */
  readonly format?: string;
}

export interface TransferRequest {
  readonly kind: 'transfer';
  /** Position in the input, from 0. */
  readonly index: number;
  readonly lfn: string;
  readonly linkage: string;
  readonly sources: readonly Place[];
  readonly destinations: readonly Place[];
  readonly generateChecksum: boolean;
  readonly verifyRemote: boolean;
  readonly verifySymlinkSource: boolean;
  /** Digests that the content must have. */
  readonly expected: readonly Digest[];
  /** Bytes that the content must have. */
  readonly size?: number;
}

export interface MkdirRequest {
  readonly kind: 'mkdir';
  readonly index: number;
  readonly target: Place;
}

export interface RemoveRequest {
  readonly kind: 'remove';
  readonly index: number;
  readonly target: Place;
  readonly recursive: boolean;
}

/** What a user asked for, in the order of the input. */
export type Request = TransferRequest | MkdirRequest | RemoveRequest;

/** Variables that `$NAME` in local URLs may name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One source and one destination of the text format, and the lines they stand on. */
export interface TextPair {
  readonly source: TextUrl;
  readonly destination: TextUrl;
}

export interface TextUrl {
  readonly url: string;
  readonly site: string;
  /** From 1. */
  readonly line: number;
}

type Entry = Readonly<Record<string, unknown>>;

/**
 * The request that one entry of a JSON list asks for. Keys that are not known are ignored, as they always were.
 * Throws `invalid-request` that names the field: ``requests[3].src_urls[0].url: expected a URL, got `12` ``.
 */
export function parseEntry(entry: unknown, index: number, env: Environment): Request {
  try {
    if (!isObject(entry)) throw unlike('', 'an object', entry);
    switch (entry.type) {
      case 'transfer':
        return parseTransfer(entry, index, env);
      case 'mkdir':
        return { kind: 'mkdir', index, target: at('.target', () => parseTarget(entry.target, env)) };
      case 'remove':
        return parseRemove(entry, index, env);
      default:
        throw unlike('.type', '`transfer`, `mkdir` or `remove`', entry.type);
    }
  } catch (error) {
    throw prefixed(error, `requests[${index}]`);
  }
}

/** The request that a pair of the text format asks for. Throws `invalid-request` that names the line. */
export function parsePair(pair: TextPair, index: number, env: Environment): TransferRequest {
  return {
    kind: 'transfer',
    index,
    lfn: '',
    linkage: 'unknown',
    sources: [parseTextUrl(pair.source, env)],
    destinations: [parseTextUrl(pair.destination, env)],
    generateChecksum: false,
    verifyRemote: false,
    verifySymlinkSource: true,
    expected: [],
  };
}

function parseTextUrl({ url, site, line }: TextUrl, env: Environment): Place {
  try {
    return parseUrl(url, { site, env, collapseSlashes: true });
  } catch (error) {
    throw prefixed(error, `line ${line}: `);
  }
}

function parseTransfer(entry: Entry, index: number, env: Environment): TransferRequest {
  const size = parseSize(entry.size);
  return {
    kind: 'transfer',
    index,
    lfn: optionalString('.lfn', entry.lfn) ?? '',
    linkage: optionalString('.linkage', entry.linkage) ?? 'unknown',
    sources: parsePlaces('.src_urls', entry.src_urls, env),
    destinations: parsePlaces('.dest_urls', entry.dest_urls, env),
    generateChecksum: isTruthy(entry.generate_checksum),
    verifyRemote: isTruthy(entry.verify_checksum_remote),
    verifySymlinkSource: entry.verify_symlink_source === undefined || isTruthy(entry.verify_symlink_source),
    expected: parseChecksum(entry.checksum),
    ...(size === undefined ? {} : { size }),
  };
}

function parseRemove(entry: Entry, index: number, env: Environment): RemoveRequest {
  const target = at('.target', () => parseTarget(entry.target, env));
  const given = isObject(entry.target) ? entry.target.recursive : undefined;
  return { kind: 'remove', index, target, recursive: parseRecursive(given) };
}

function parsePlaces(field: string, value: unknown, env: Environment): Place[] {
  if (!Array.isArray(value)) throw unlike(field, 'a list of URLs', value);
  if (value.length === 0) throw unlike(field, 'at least one URL', value);
  const places: Place[] = [];
  for (const item of value) {
    try {
      places.push(parsePlace(item, env));
    } catch (error) {
      throw prefixed(error, `${field}[${places.length}]`);
    }
  }
  return places;
}

function parsePlace(value: unknown, env: Environment): Place {
  const place = parseTarget(value, env);
  const { priority, type } = value as Entry;
  const format = optionalString('.type', type);
  if (priority === undefined && format === undefined) return place;
  return {
    ...place,
    ...(priority === undefined ? {} : { priority: parsePriority(priority) }),
    ...(format === undefined ? {} : { format }),
  };
}

function parseTarget(value: unknown, env: Environment): Place {
  if (!isObject(value)) throw unlike('', 'an object with `site_label` and `url`', value);
  const { site_label: site, url } = value;
  if (typeof site !== 'string') throw unlike('.site_label', 'a string', site);
  if (typeof url !== 'string') throw unlike('.url', 'a URL', url);
  try {
    return parseUrl(url, { site, env, collapseSlashes: true });
  } catch (error) {
    throw prefixed(error, '.url: ');
  }
}

/** Spaces around the digits and a sign were always accepted in strings. */
const WHOLE_NUMBER = /^\s*[+-]?\d+\s*$/;

function parseWhole(value: unknown): number | undefined {
  const number = typeof value === 'string' && WHOLE_NUMBER.test(value) ? Number(value) : value;
  // `-0` is a number of JSON; adding zero makes it the 0 that it means.
  return Number.isSafeInteger(number) ? (number as number) + 0 : undefined;
}

function parsePriority(value: unknown): number {
  const priority = parseWhole(value);
  if (priority === undefined) throw unlike('.priority', 'a whole number', value);
  return priority;
}

function parseSize(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  const size = parseWhole(value);
  if (size === undefined || size < 0) throw unlike('.size', 'a number of bytes', value);
  return size;
}

const YES: ReadonlySet<string> = new Set(['yes', 'true', 't', '1']);
const NO: ReadonlySet<string> = new Set(['no', 'false', 'f', '0']);

function parseRecursive(value: unknown): boolean {
  if (value === undefined) return false;
  if (typeof value === 'boolean') return value;
  const word = typeof value === 'string' || typeof value === 'number' ? String(value).toLowerCase() : '';
  if (YES.has(word)) return true;
  if (NO.has(word)) return false;
  throw unlike('.target.recursive', 'true, false, yes, no, 1 or 0', value);
}

/** `{"sha256": "…"}` or `{"type": "sha256", "value": "…"}`. */
function parseChecksum(value: unknown): readonly Digest[] {
  if (value === undefined || value === null) return NO_DIGESTS;
  if (!isObject(value)) throw unlike('.checksum', 'an object such as `{"sha256": "…"}`', value);
  if (!('type' in value || 'value' in value)) {
    return Object.entries(value).map(([name, digest]) =>
      parseNamedDigest(`.checksum.${name.slice(0, 40)}`, name, digest),
    );
  }
  if (typeof value.type !== 'string') throw unlike('.checksum.type', 'the name of an algorithm', value.type);
  const field = isAlgorithm(value.type) ? '.checksum.value' : '.checksum.type';
  return [parseNamedDigest(field, value.type, value.value)];
}

const NO_DIGESTS: readonly Digest[] = [];

function parseNamedDigest(field: string, algorithm: string, value: unknown): Digest {
  if (typeof value !== 'string') throw unlike(field, 'hexadecimal digits', value);
  try {
    return parseDigest(algorithm, value);
  } catch (error) {
    throw prefixed(error, `${field}: `);
  }
}

const LONE_SURROGATE = /\p{Surrogate}/u;

function optionalString(field: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw unlike(field, 'a string', value);
  if (LONE_SURROGATE.test(value)) throw unlike(field, 'whole characters', value);
  return value;
}

/** Python's rule, which the lists were written for: the string `"false"` is true. */
function isTruthy(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return Boolean(value);
  return Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0;
}

function isObject(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Errors are built from the inside out: each level puts its part of the field's name in front. */
function prefixed(error: unknown, prefix: string): unknown {
  if (!(error instanceof TransferError)) return error;
  const details = error.hint === undefined ? {} : { hint: error.hint };
  return new TransferError(error.code, prefix + error.message, details);
}

function at<T>(prefix: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw prefixed(error, prefix);
  }
}

function unlike(field: string, expected: string, given: unknown): TransferError {
  return new TransferError('invalid-request', `${field}: expected ${expected}, got ${describe(given)}`);
}

/** Objects and lists are not shown: what stands in the wrong place may be a secret of the right one. */
function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const literal = typeof value === 'string' ? JSON.stringify(maskUrl(value)) : String(value);
  return `\`${literal.length > 80 ? `${literal.slice(0, 80)}…` : literal}\``;
}

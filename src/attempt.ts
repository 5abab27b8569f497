import { identicalAlready, sameFile } from './already.ts';
import type { Cache } from './cache/cache.ts';
import { throughCache } from './caching.ts';
import type { Clock } from './clock.ts';
import { isMismatch } from './errors.ts';
import { copy, isMet, link, met, move } from './in-place.ts';
import type { BlockDigests } from './integrity/block-digests.ts';
import { asksForDigest, NO_REQUIREMENT, type Requirement, reaches } from './integrity/policy.ts';
import type { Trusted } from './integrity/trusted.ts';
import { retryUnit } from './layers.ts';
import { formatLocation, hostKey, IMAGE_SCHEMES, LOCAL_SCHEMES, pathOf } from './location.ts';
import type { RouteKind, Verification, Versions } from './outcome.ts';
import { partialKey } from './partial-key.ts';
import type { Pair, TransferStep } from './plan.ts';
import type { Algorithm, Digest, Endpoint } from './protocol.ts';
import type { RemoteJournals } from './remote-journals.ts';
import type { Place } from './request.ts';
import { chooseRoute, type Route } from './route.ts';
import { type Side, type StreamCall, type StreamEvents, stream } from './stream.ts';

/** What the engine lends to every attempt. */
export interface AttemptTools {
  readonly open: (place: Place) => Promise<Endpoint>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly limiter: StreamCall['limiter'];
  readonly lend: StreamCall['lend'];
  readonly options: AttemptOptions;
  /** Where it is written down what lies unfinished on services. */
  readonly journals?: RemoteJournals;
  /** Where digests of unchanged local files may be taken from. */
  readonly trusted?: Trusted;
  /** Where content whose digest is known is kept for others. */
  readonly cache?: Cache;
}

export interface AttemptOptions {
  /** Digests to take of every file. */
  readonly checksums: readonly Algorithm[];
  readonly verifyWritten: boolean;
  /** The least that both sides must be verified by; what falls short fails. */
  readonly require?: Requirement;
  /** Keeps mode and modification time. */
  readonly preserve: boolean;
  /** Leaves destinations alone that are identical by version or digest. */
  readonly update: boolean;
  /** File to file pairs become symbolic links. */
  readonly symlink: boolean;
  /** Digests of the blocks of every file whose bytes pass through, for `repair`. */
  readonly blocks?: boolean;
  /** Nothing that exists is replaced, where the service can decide that. */
  readonly onlyNew?: boolean;
  /** Draws the text to spoil a destination with; undefined for most. */
  readonly fault?: () => string | undefined;
}

export interface AttemptCall {
  readonly step: TransferStep;
  readonly pair: Pair;
  /** Digests that the content must have: the step's own and those found for it. */
  readonly expected: readonly Digest[];
  readonly fresh: boolean;
  readonly signal: AbortSignal;
  readonly events: StreamEvents;
  /** Waits, before the commit, until all of a group may be committed. */
  readonly hold?: () => Promise<void>;
}

export interface AttemptResult {
  readonly route: RouteKind;
  readonly bytes: number;
  readonly resumedFrom: number;
  readonly digests: ReadonlyMap<Algorithm, string>;
  readonly blocks?: BlockDigests;
  readonly source: Verification;
  readonly destination: Verification;
  readonly notes: readonly string[];
  readonly versions?: Versions;
}

/** Both sides of a pair, opened. */
export interface Ends {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly source: Place;
  readonly destination: Place;
}

/** Links and moves need a file at the other end; a link's or a move's place is taken by a file when the bytes come from elsewhere. */
export function effectivePair({ source, destination }: Pair): Pair {
  const from = LOCAL_SCHEMES.has(source.location.scheme) ? asFile(source) : source;
  return from.location.scheme === 'file'
    ? { source: from, destination }
    : { source, destination: asFile(destination) };
}

function asFile(place: Place): Place {
  if (place.location.scheme === 'file' || !LOCAL_SCHEMES.has(place.location.scheme)) return place;
  return { ...place, location: { ...place.location, scheme: 'file' } };
}

/** The hosts whose slots one attempt of the pair takes. */
export function hostsOf({ source, destination }: Pair): readonly string[] {
  return [hostKey(source.location), hostKey(destination.location)];
}

/** The route that a pair would take, and why. */
export async function routeOf(pair: Pair, step: TransferStep, tools: AttemptTools): Promise<Route> {
  const ends = await openEnds(pair, tools);
  return route(ends, step, step.expected, tools);
}

async function openEnds(pair: Pair, tools: AttemptTools): Promise<Ends> {
  const { source, destination } = effectivePair(pair);
  const from = await tools.open(asWanted(source, destination));
  return { from, to: await tools.open(destination), source, destination };
}

/** What an image becomes is said where it goes to: a type of the source is not heeded, as ever. */
function asWanted(source: Place, { format }: Place): Place {
  if (!IMAGE_SCHEMES.has(source.location.scheme)) return source;
  const { format: _, ...bare } = source;
  return format === undefined ? bare : { ...bare, format };
}

function route(ends: Ends, step: TransferStep, expected: readonly Digest[], tools: AttemptTools): Route {
  const { options, limiter } = tools;
  return chooseRoute(ends.from, ends.to, {
    destinationScheme: ends.destination.location.scheme,
    digest:
      expected.length > 0 ||
      step.generateChecksum ||
      step.verifyRemote ||
      options.checksums.length > 0 ||
      options.verifyWritten ||
      options.blocks === true ||
      (options.require !== undefined && asksForDigest(options.require)),
    symlink: options.symlink,
    touchesBytes: limiter !== undefined || options.fault !== undefined,
  });
}

/** Tries one pair once, by the route that suits it. */
export async function attempt(call: AttemptCall, tools: AttemptTools): Promise<AttemptResult> {
  const ends = await openEnds(call.pair, tools);
  const chosen = route(ends, call.step, call.expected, tools);
  const required = tools.options.require ?? NO_REQUIREMENT;
  const same = await sameFile(ends, call, chosen.kind, required);
  if (same) return met(same, ends, call, required);
  if (tools.options.update) {
    // A digest that was not taken now proves no grade above `size`.
    const trusted = isMetBySize(required) ? tools.trusted : undefined;
    const identical = await identicalAlready(ends, call, trusted);
    // What is not proven as well as it must be is sent again.
    if (identical && isMet(identical, required)) return identical;
  }
  const how = { required, preserve: tools.options.preserve };
  if (chosen.kind === 'link') return link(ends, call, how);
  if (chosen.kind === 'move') return move(ends, call, how);
  if (chosen.kind === 'copy') return copy(ends, call, how);
  return streamThrough(ends, call, tools);
}

function isMetBySize({ source, destination }: Requirement): boolean {
  return reaches('size', source) && reaches('size', destination);
}

async function streamThrough(ends: Ends, call: AttemptCall, tools: AttemptTools): Promise<AttemptResult> {
  const from = sideOf(ends.from, ends.source);
  // Past every cache means past this one, too.
  const cached =
    tools.cache && !call.fresh ? await throughCache(from, cachedCall(call, tools), tools.cache) : undefined;
  if (!cached) return streamFrom(from, ends, call, tools);
  try {
    const result = await streamFrom(cached.side, ends, call, tools);
    // The version that was read is one of the cache's file.
    const versions = { destination: result.versions?.destination };
    return { ...result, versions, notes: [...result.notes, cached.note] };
  } catch (error) {
    if (isMismatch(error)) cached.drop();
    throw error;
  } finally {
    cached.close();
  }
}

function cachedCall({ step, expected, signal, events }: AttemptCall, { options }: AttemptTools) {
  const { onProgress } = events;
  return { expected, size: step.size, signal, preserve: options.preserve, onProgress };
}

function streamFrom(from: Side, ends: Ends, call: AttemptCall, tools: AttemptTools): Promise<AttemptResult> {
  const { options, limiter } = tools;
  const { step, signal } = call;
  const verifyWritten = options.verifyWritten || step.verifyRemote;
  const own: readonly Algorithm[] =
    step.generateChecksum || verifyWritten || options.blocks || needsDigest(ends, call, options)
      ? ['sha256']
      : [];
  const algorithms = own.length === 0 ? options.checksums : [...new Set([...own, ...options.checksums])];
  return stream({
    from,
    to: sideOf(ends.to, ends.destination),
    key: partialKey(ends.to, ends.destination.location),
    algorithms,
    expected: call.expected,
    size: step.size,
    verifyWritten,
    require: options.require,
    fresh: call.fresh,
    preserve: options.preserve,
    onlyNew: options.onlyNew ?? false,
    blocks: options.blocks ?? false,
    fault: options.fault?.(),
    signal,
    retry: retryUnit(tools.clock, tools.random, signal),
    journals: tools.journals,
    limiter,
    lend: tools.lend,
    events: call.events,
    ...(call.hold ? { hold: call.hold } : {}),
  });
}

/** The destination is to be proven, and no digest is taken for another reason. */
function needsDigest(
  { to }: Ends,
  { expected }: AttemptCall,
  { require, checksums }: AttemptOptions,
): boolean {
  if (require === undefined || !reaches(require.destination, 'wire')) return false;
  return expected.length === 0 && checksums.length === 0 && to.digestsOnWrite === undefined;
}

function sideOf(endpoint: Endpoint, place: Place): Side {
  return { endpoint, path: pathOf(place.location), name: formatLocation(place.location) };
}

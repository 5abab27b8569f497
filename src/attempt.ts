import { resolve } from 'node:path';
import { digestSourceOf, identicalAlready, nothingMoved, sameFile } from './already.ts';
import type { Clock } from './clock.ts';
import { TransferError } from './errors.ts';
import { retryUnit } from './layers.ts';
import { formatLocation, hostKey, LOCAL_SCHEMES } from './location.ts';
import type { RouteKind, Verification } from './outcome.ts';
import { partialKey } from './partial-key.ts';
import type { Pair, TransferStep } from './plan.ts';
import type { Algorithm, Digest, Endpoint, Stat } from './protocol.ts';
import type { RemoteJournals } from './remote-journals.ts';
import type { Place } from './request.ts';
import { chooseRoute, type Route } from './route.ts';
import { type StreamCall, type StreamEvents, stream } from './stream.ts';

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
}

export interface AttemptOptions {
  /** Digests to take of every file. */
  readonly checksums: readonly Algorithm[];
  readonly verifyWritten: boolean;
  /** Keeps mode and modification time. */
  readonly preserve: boolean;
  /** Leaves destinations alone that are identical by version or digest. */
  readonly update: boolean;
  /** File to file pairs become symbolic links. */
  readonly symlink: boolean;
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
}

export interface AttemptResult {
  readonly route: RouteKind;
  readonly bytes: number;
  readonly resumedFrom: number;
  readonly digests: ReadonlyMap<Algorithm, string>;
  readonly source: Verification;
  readonly destination: Verification;
  readonly notes: readonly string[];
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
  return { from: await tools.open(source), to: await tools.open(destination), source, destination };
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
      options.verifyWritten,
    symlink: options.symlink,
    touchesBytes: limiter !== undefined || options.fault !== undefined,
  });
}

/** Tries one pair once, by the route that suits it. */
export async function attempt(call: AttemptCall, tools: AttemptTools): Promise<AttemptResult> {
  const ends = await openEnds(call.pair, tools);
  const chosen = route(ends, call.step, call.expected, tools);
  const same = await sameFile(ends, call, chosen.kind);
  if (same) return same;
  if (tools.options.update) {
    const identical = await identicalAlready(ends, call);
    if (identical) return identical;
  }
  if (chosen.kind === 'link') return link(ends, call);
  if (chosen.kind === 'move') return move(ends, call, tools);
  if (chosen.kind === 'copy') return copy(ends, call, tools);
  return streamThrough(ends, call, tools);
}

async function link(ends: Ends, call: AttemptCall): Promise<AttemptResult> {
  const target = resolve(ends.source.location.path);
  const path = ends.destination.location.path;
  const verify = call.step.verifySymlinkSource || call.expected.length > 0 || call.step.generateChecksum;
  const stat = verify ? await requireReadable(ends, call) : undefined;
  const digests = verify ? await digestSourceOf(ends, call) : new Map<Algorithm, string>();
  await ends.to.link?.(target, path, {
    kind: 'symbolic',
    key: partialKey(ends.to, ends.destination.location),
    signal: call.signal,
  });
  const result = nothingMoved(stat ?? { type: 'file' }, digests, call.expected, 'linked');
  return { ...result, route: 'link', notes: [] };
}

/** Permissions may lie (CVMFS does): only opening tells. A directory may be linked to. */
async function requireReadable(ends: Ends, call: AttemptCall): Promise<Stat> {
  const { path } = ends.source.location;
  const stat = await ends.from.stat(path, { signal: call.signal });
  if (stat.type === 'file') await (await ends.from.read(path, { signal: call.signal })).discard?.();
  return stat;
}

async function move(ends: Ends, call: AttemptCall, tools: AttemptTools): Promise<AttemptResult> {
  const { path } = ends.source.location;
  const stat = await requireReadable(ends, call);
  const digests = await digestSourceOf(ends, call);
  const { preserve } = tools.options;
  await ends.to.move?.(path, ends.destination.location.path, {
    key: partialKey(ends.to, ends.destination.location),
    signal: call.signal,
    ...(preserve && stat.modified ? { modified: stat.modified } : {}),
  });
  const result = nothingMoved(stat, digests, call.expected, '');
  return { ...result, route: 'move', notes: [] };
}

async function copy(ends: Ends, call: AttemptCall, tools: AttemptTools): Promise<AttemptResult> {
  const { from, to, source, destination } = ends;
  const stat = await from.stat(source.location.path, { signal: call.signal });
  if (call.step.size !== undefined && stat.size !== undefined && stat.size !== call.step.size) {
    const name = formatLocation(source.location);
    throw new TransferError(
      'size-mismatch',
      `read \`${name}\`: expected ${call.step.size} bytes, it has ${stat.size}`,
    );
  }
  if (stat.size !== undefined) call.events.onSize(stat.size);
  let counted = 0;
  const staged = await to.copy?.(source.location.path, destination.location.path, {
    key: partialKey(ends.to, ends.destination.location),
    signal: call.signal,
    source: source.location,
    progress: (bytes) => {
      call.events.onProgress(bytes - counted);
      counted = bytes;
    },
    modified: tools.options.preserve ? stat.modified : undefined,
    exactMode: tools.options.preserve ? stat.mode : undefined,
  });
  const stored = await staged?.commit(call.signal);
  call.events.onVisible();
  const bytes = stored?.size ?? stat.size ?? 0;
  call.events.onProgress(bytes - counted);
  return {
    route: 'copy',
    bytes,
    resumedFrom: 0,
    digests: new Map(),
    source: { grade: 'size' },
    destination: { grade: 'size' },
    notes: [],
  };
}

function streamThrough(ends: Ends, call: AttemptCall, tools: AttemptTools) {
  const { options, limiter } = tools;
  const { step, signal } = call;
  const verifyWritten = options.verifyWritten || step.verifyRemote;
  const own: readonly Algorithm[] = step.generateChecksum || verifyWritten ? ['sha256'] : [];
  const algorithms = own.length === 0 ? options.checksums : [...new Set([...own, ...options.checksums])];
  return stream({
    from: sideOf(ends.from, ends.source),
    to: sideOf(ends.to, ends.destination),
    key: partialKey(ends.to, ends.destination.location),
    algorithms,
    expected: call.expected,
    size: step.size,
    verifyWritten,
    fresh: call.fresh,
    preserve: options.preserve,
    onlyNew: options.onlyNew ?? false,
    fault: options.fault?.(),
    signal,
    retry: retryUnit(tools.clock, tools.random, signal),
    journals: tools.journals,
    limiter,
    lend: tools.lend,
    events: call.events,
  });
}

function sideOf(endpoint: Endpoint, place: Place) {
  const { path, query } = place.location;
  // For URL schemes the query is part of what names the file.
  const full = query === undefined ? path : `${path}?${query}`;
  return { endpoint, path: full, name: formatLocation(place.location) };
}

import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { Clock } from './clock.ts';
import { TransferError } from './errors.ts';
import { compareDigests } from './integrity/digests.ts';
import { retryUnit } from './layers.ts';
import { formatLocation, hostKey, LOCAL_SCHEMES } from './location.ts';
import type { RouteKind, Verification } from './outcome.ts';
import type { Pair, TransferStep } from './plan.ts';
import type { Algorithm, Digest, Endpoint, Stat } from './protocol.ts';
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

interface Ends {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly source: Place;
  readonly destination: Place;
}

const NOT_MOVED: Verification = { grade: 'size' };

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
    sourceScheme: ends.source.location.scheme,
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

/** A destination that already is the source: nothing to move, and nothing to put at risk. */
async function sameFile(ends: Ends, call: AttemptCall, kind: RouteKind): Promise<AttemptResult | undefined> {
  if (!ends.from.isLocal || !ends.to.isLocal) return undefined;
  const { signal } = call;
  const there = await statOrAbsent(ends.to, ends.destination.location.path, signal);
  if (there?.type !== 'file') return undefined;
  const here = await statOrAbsent(ends.from, ends.source.location.path, signal);
  if (!here || here.version === undefined || here.version !== there.version) return undefined;
  const digests = await digestSourceOf(ends, call);
  const note =
    kind === 'link' ? 'the link would point to itself' : 'source and destination are the same file';
  return nothingMoved(here, digests, call.expected, note);
}

async function statOrAbsent(
  endpoint: Endpoint,
  path: string,
  signal: AbortSignal,
): Promise<Stat | undefined> {
  try {
    return await endpoint.stat(path, { signal });
  } catch (error) {
    if (error instanceof TransferError && error.code === 'not-found') return undefined;
    throw error;
  }
}

/** `--update`: equal size, and a digest in common or the same modification time. */
async function identicalAlready(ends: Ends, call: AttemptCall): Promise<AttemptResult | undefined> {
  const { signal } = call;
  const there = await statOrAbsent(ends.to, ends.destination.location.path, signal);
  if (there?.type !== 'file') return undefined;
  const here = await ends.from.stat(ends.source.location.path, { signal });
  if (here.size === undefined || here.size !== there.size) return undefined;
  const known = [...call.expected, ...(here.digests ?? [])].filter((digest) => digest.partSize === undefined);
  const wanted = known[0]?.algorithm ?? 'sha256';
  const isSameTime = sameTime(here, there, ends.from.isLocal && ends.to.isLocal ? 2 : 1000);
  if (known.length > 0 || (ends.from.isLocal && !isSameTime)) {
    const ours = await digestOf(ends.to, ends.destination.location.path, wanted, signal);
    const theirs = known[0]?.value ?? (await digestOf(ends.from, ends.source.location.path, wanted, signal));
    if (ours === undefined || ours !== theirs) return undefined;
    return nothingMoved(here, new Map([[wanted, ours]]), call.expected, 'identical already, by digest');
  }
  if (!isSameTime) return undefined;
  return nothingMoved(here, new Map(), [], 'identical already, by size and modification time');
}

/** Services tell seconds; two files of this machine are told apart by less. Both times in ticks of so many milliseconds. */
function sameTime(a: Stat, b: Stat, tick: number): boolean {
  if (!a.modified || !b.modified) return false;
  return Math.floor(a.modified.getTime() / tick) === Math.floor(b.modified.getTime() / tick);
}

async function digestOf(endpoint: Endpoint, path: string, algorithm: Algorithm, signal: AbortSignal) {
  const found = await endpoint.digest?.(path, [algorithm], { signal });
  return found?.find((digest) => digest.algorithm === algorithm)?.value;
}

/** Digests of a source whose bytes do not pass through us, when somebody asked for them. */
async function digestSourceOf(ends: Ends, call: AttemptCall): Promise<ReadonlyMap<Algorithm, string>> {
  const wanted = new Set<Algorithm>(call.expected.map((digest) => digest.algorithm));
  if (call.step.generateChecksum) wanted.add('sha256');
  if (wanted.size === 0 || !ends.from.digest) return new Map();
  const found = await ends.from.digest(ends.source.location.path, [...wanted], { signal: call.signal });
  const digests = new Map(found.map((digest) => [digest.algorithm, digest.value]));
  const compared = compareDigests(digests, call.expected);
  if (compared && !compared.equal) {
    throw new TransferError(
      'digest-mismatch',
      `read \`${formatLocation(ends.source.location)}\`: expected ${compared.algorithm} ${compared.theirs}, the bytes have ${compared.ours}`,
    );
  }
  return digests;
}

function nothingMoved(
  stat: Stat,
  digests: ReadonlyMap<Algorithm, string>,
  expected: readonly Digest[],
  note: string,
): AttemptResult {
  const [algorithm, value] = [...digests][0] ?? [];
  const proven: Verification =
    algorithm !== undefined && value !== undefined && expected.length > 0
      ? { grade: 'end-to-end', algorithm, value, by: 'read-back' }
      : NOT_MOVED;
  return {
    route: 'none',
    bytes: stat.size ?? 0,
    resumedFrom: 0,
    digests,
    source: proven,
    destination: proven,
    notes: [note],
  };
}

async function link(ends: Ends, call: AttemptCall): Promise<AttemptResult> {
  const target = resolve(ends.source.location.path);
  const path = ends.destination.location.path;
  const verify = call.step.verifySymlinkSource || call.expected.length > 0 || call.step.generateChecksum;
  const stat = verify ? await requireReadable(ends, call) : undefined;
  const digests = verify ? await digestSourceOf(ends, call) : new Map<Algorithm, string>();
  await ends.to.link?.(target, path, { kind: 'symbolic', key: keyOf(ends), signal: call.signal });
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
    key: keyOf(ends),
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
    key: keyOf(ends),
    signal: call.signal,
    progress: (bytes) => {
      call.events.onProgress(bytes - counted);
      counted = bytes;
    },
    ...(tools.options.preserve && stat.modified ? { modified: stat.modified } : {}),
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
    key: keyOf(ends),
    algorithms,
    expected: call.expected,
    size: step.size,
    verifyWritten,
    fresh: call.fresh,
    preserve: options.preserve,
    fault: options.fault?.(),
    signal,
    retry: retryUnit(tools.clock, tools.random, signal),
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

/** Names partials of one destination: the same for every try, another for every other destination. */
function keyOf(ends: Ends): string {
  return createHash('sha256').update(formatLocation(ends.destination.location)).digest('hex').slice(0, 32);
}

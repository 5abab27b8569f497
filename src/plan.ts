import { formatLocation, LOCAL_SCHEMES, type Location } from './location.ts';
import type { Digest } from './protocol.ts';
import type { Place, Request, TransferRequest } from './request.ts';

/** One source and one destination to try together. */
export interface Pair {
  readonly source: Place;
  readonly destination: Place;
}

export interface TransferStep {
  readonly kind: 'transfer';
  readonly index: number;
  readonly lfn: string;
  readonly linkage: string;
  /** In the order they are tried. */
  readonly pairs: readonly Pair[];
  readonly expected: readonly Digest[];
  readonly size: number | undefined;
  readonly generateChecksum: boolean;
  readonly verifyRemote: boolean;
  readonly verifySymlinkSource: boolean;
}

export interface MkdirStep {
  readonly kind: 'mkdir';
  readonly index: number;
  readonly target: Place;
}

export interface RemoveStep {
  readonly kind: 'remove';
  readonly index: number;
  readonly target: Place;
  readonly recursive: boolean;
}

/** Plain data: what the engine is to do for one request. */
export type Step = TransferStep | MkdirStep | RemoveStep;

export interface PlanOptions {
  /** From 0 up to, not including, 1. Draws the order among sources of equal rank. */
  readonly random: () => number;
}

/** The step for one request. Sources come by priority, the higher first; one without a priority has 1 to 100, drawn. */
export function planStep(request: Request, options: PlanOptions): Step {
  if (request.kind !== 'transfer') return request;
  const ranked = rank(request.sources, options);
  const pairs = request.destinations.flatMap((destination) =>
    ranked.map((source) => ({ source, destination })),
  );
  return {
    kind: 'transfer',
    index: request.index,
    lfn: request.lfn,
    linkage: request.linkage,
    pairs,
    expected: request.expected,
    size: request.size,
    generateChecksum: request.generateChecksum,
    verifyRemote: request.verifyRemote,
    verifySymlinkSource: request.verifySymlinkSource,
  };
}

function rank(sources: TransferRequest['sources'], options: PlanOptions): readonly Place[] {
  if (sources.length < 2) return sources;
  const drawn = sources.map((place) => ({
    place,
    priority: place.priority ?? 1 + Math.floor(options.random() * 100),
    tie: options.random(),
  }));
  drawn.sort((a, b) => b.priority - a.priority || a.tie - b.tie);
  return drawn.map(({ place }) => place);
}

/** What can be said of a pair before anything is opened. Printed by `--dry-run`. */
export function describePair(pair: Pair): string {
  const from = formatLocation(pair.source.location);
  return `${from} -> ${formatLocation(pair.destination.location)}`;
}

/** True when the location is a path of this machine. */
export function isLocal(location: Location): boolean {
  return LOCAL_SCHEMES.has(location.scheme);
}

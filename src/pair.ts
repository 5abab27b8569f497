import { type AttemptResult, type AttemptTools, attempt } from './attempt.ts';
import type { Breaker } from './breaker.ts';
import { type Progress, toFailure } from './conclude.ts';
import { TransferError } from './errors.ts';
import type { Gate } from './gate.ts';
import { type FindListed, together } from './integrity/listed.ts';
import { compose, type Layer, limit, timeout, type Work } from './layers.ts';
import { formatLocation } from './location.ts';
import type { Attempt, Emit, Failure } from './outcome.ts';
import type { Permits } from './permits.ts';
import type { Pair, TransferStep } from './plan.ts';
import type { Digest } from './protocol.ts';
import type { StreamEvents } from './stream.ts';

/** One try of one pair. */
export interface PairWork extends Work {
  readonly step: TransferStep;
  readonly pair: Pair;
  /** 1 for the first. */
  readonly round: number;
  /** Past caches and proxies. */
  readonly fresh: boolean;
  readonly progress: Progress;
  /** When it really began: after every wait for a host or a slot. */
  readonly stamp: { started: number; began: number };
}

export type Tried = { readonly result: AttemptResult } | { readonly failure: Failure };

/** What every try of a run shares. */
export interface PairTools extends AttemptTools {
  readonly emit: Emit;
  readonly permits: Permits;
  readonly breaker: Breaker;
  /** Seconds that one try may take. */
  readonly itemSeconds: number;
  /** Told when an item enters a round. */
  readonly onRound: (round: number) => void;
  /** The digest that a catalog has for an LFN; for items that are to be verified against it. */
  readonly catalogDigest?: (lfn: string) => Promise<Digest | undefined>;
  /** What catalogs say of a file that has this logical name or goes to this place. */
  readonly findListed?: FindListed;
  /** Where commits wait for those of the others. */
  readonly gate?: Gate;
}

/**
 * Tries one pair inside the layers; never rejects. The order is the promise: who waits for a host holds no slot, and no
 * clock runs while waiting.
 */
export function createTryPair(tools: PairTools): (work: PairWork) => Promise<Tried> {
  const layers: Layer<PairWork, AttemptResult>[] = [
    guard(tools.breaker),
    limit(tools.permits),
    begin(tools),
    timeout(tools.itemSeconds),
  ];
  const perform = compose(layers, (work) => performPair(work, tools));
  return async (work) => {
    try {
      const result = await perform(tools.gate ? { ...work, park: (wait) => wait() } : work);
      record(work, tools, result, undefined);
      return { result };
    } catch (error) {
      const failure = toFailure(error, work.pair, work.signal);
      record(work, tools, undefined, failure);
      return { failure };
    }
  };
}

/** Waits while the breaker of a host is open, and tells it how the attempt went. */
function guard(breaker: Breaker): Layer<PairWork, AttemptResult> {
  return async (work, next) => {
    let probed = await breaker.enter(work.hosts, work.signal);
    const park: Work['park'] = async (wait) => {
      // The host has taken everything: those who wait for this probe may be the ones that are waited for.
      breaker.report(work.hosts, undefined, probed);
      probed = [];
      await work.park?.(wait);
    };
    try {
      const result = await next(work.park ? { ...work, park } : work);
      breaker.report(work.hosts, undefined, probed);
      return result;
    } catch (error) {
      breaker.report(work.hosts, error instanceof TransferError ? error.code : 'unexpected', probed);
      throw error;
    }
  };
}

function begin(tools: PairTools): Layer<PairWork, AttemptResult> {
  return (work, next) => {
    const { stamp, step, pair } = work;
    stamp.started = tools.clock.epoch();
    stamp.began = tools.clock.now();
    tools.onRound(work.round);
    tools.emit({
      type: 'item-started',
      index: step.index,
      source: pair.source.location,
      destination: pair.destination.location,
    });
    return next(work);
  };
}

async function performPair(work: PairWork, tools: PairTools): Promise<AttemptResult> {
  const step = withListed(work.step, work.pair, tools.findListed);
  const expected = step.verifyRemote ? await expectedOf(step, tools) : step.expected;
  const events = eventsOf(work, tools.emit);
  const { gate } = tools;
  const hold = gate && (() => work.park?.(() => gate.pass(step.index, work.signal)) ?? Promise.resolve());
  const call = { step, pair: work.pair, expected, fresh: work.fresh, signal: work.signal, events };
  return attempt(hold ? { ...call, hold } : call, tools);
}

/** The step with what catalogs say of it. Throws `invalid-request` when they say something else than the step itself. */
export function withListed(step: TransferStep, pair: Pair, find: FindListed | undefined): TransferStep {
  const { location } = pair.destination;
  const listed = find?.(step.lfn, location);
  if (!listed) return step;
  const own = { expected: step.expected, size: step.size, where: 'the entry itself' };
  const { expected, size } = together(own, listed, step.lfn || formatLocation(location));
  return { ...step, expected, size };
}

function eventsOf({ step: { index }, progress }: PairWork, emit: Emit): StreamEvents {
  return {
    onSize: (bytes) => {
      progress.size = bytes;
      emit({ type: 'item-size', index, bytes });
    },
    onProgress: (bytes) => emit({ type: 'progress', index, bytes }),
    onResume: (from, why) => {
      progress.notes.push(`resumed at byte ${from}: ${why}`);
      emit({ type: 'resumed', index, from, why });
    },
    onContinue: (at, why) => emit({ type: 'continued', index, at, why }),
    onStartOver: (why) => {
      progress.notes.push(`started over: ${why}`);
      emit({ type: 'started-over', index, why });
    },
    onVisible: () => {
      progress.wasVisible = true;
    },
  };
}

async function expectedOf(step: TransferStep, tools: PairTools): Promise<readonly Digest[]> {
  if (!step.verifyRemote || !tools.catalogDigest) return step.expected;
  const found = await tools.catalogDigest(step.lfn);
  if (found) return [...step.expected, found];
  if (step.expected.length > 0) return step.expected;
  throw new TransferError(
    'invalid-request',
    `verify \`${step.lfn}\`: no checksum in the meta data for \`${step.lfn}\``,
  );
}

function record(
  work: PairWork,
  tools: PairTools,
  result: AttemptResult | undefined,
  failure: Failure | undefined,
): void {
  const { step, pair, progress, stamp } = work;
  const { index, linkage } = step;
  const seconds = (tools.clock.now() - stamp.began) / 1000;
  const tried: Attempt = {
    round: work.round,
    source: pair.source.location,
    destination: pair.destination.location,
    started: stamp.started,
    seconds,
    bytes: result ? result.bytes : progress.size,
    route: result ? result.route : 'none',
    ...(failure ? { failure } : {}),
  };
  progress.attempts.push(tried);
  if (failure) progress.last = { pair, failure };
  if (step.verifyRemote && (result || failure?.code === 'digest-mismatch')) {
    tools.emit({ type: 'verified', index, linkage, success: result !== undefined, seconds });
  }
  tools.emit({ type: 'attempt-ended', index, attempt: tried });
}

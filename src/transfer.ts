import { type AttemptResult, type AttemptTools, attempt, effectivePair, hostsOf } from './attempt.ts';
import type { Breaker } from './breaker.ts';
import { type ErrorCode, errnoOf, TransferError, toTransferError } from './errors.ts';
import { backOffSeconds, compose, type Layer, limit, type Work } from './layers.ts';
import { formatLocation } from './location.ts';
import type { Attempt, Emit, Failure, Outcome, Status, Verification } from './outcome.ts';
import type { Permits } from './permits.ts';
import type { Pair, TransferStep } from './plan.ts';
import type { Digest } from './protocol.ts';

/** What every transfer of a run shares. */
export interface TransferTools extends AttemptTools {
  readonly emit: Emit;
  readonly permits: Permits;
  readonly breaker: Breaker;
  readonly rounds: number;
  /** Ends attempts that take too long; one for the run. */
  readonly deadline: Layer<PairWork, AttemptResult>;
  /** Told with 1 when an item begins to wait for its next round, with -1 when it goes on. */
  readonly onPark: (change: 1 | -1) => void;
  readonly retryNotFoundSeconds: number;
  /** Told when the first item enters a round. */
  readonly onRound: (round: number) => void;
  /** The digest that a catalog has for an LFN; for items that are to be verified against it. */
  readonly catalogDigest?: (lfn: string) => Promise<Digest | undefined>;
}

/** One try of one pair. */
export interface PairWork extends Work {
  readonly pair: Pair;
  readonly round: number;
  readonly fresh: boolean;
}

interface Progress {
  readonly attempts: Attempt[];
  readonly notes: string[];
  wasVisible: boolean;
  /** Bytes of the file, once somebody said. */
  size: number;
  last: { readonly pair: Pair; readonly failure: Failure } | undefined;
}

type Tried = { readonly result: AttemptResult } | { readonly failure: Failure };

const UNPROVEN: Verification = { grade: 'none' };

/**
 * Runs one transfer to its outcome: rounds over its pairs, back-off between rounds. A permanent failure drops its pair
 * at once; a wrong digest is tried once more past every cache and then drops it. Never rejects.
 */
export async function runTransfer(
  step: TransferStep,
  tools: TransferTools,
  signal: AbortSignal,
): Promise<Outcome> {
  const began = tools.clock.now();
  const progress: Progress = { attempts: [], notes: [], wasVisible: false, size: 0, last: undefined };
  const tryPair = layered(step, tools, progress);
  let remaining = step.pairs;
  for (let round = 1; ; round += 1) {
    const again: Pair[] = [];
    for (const pair of remaining) {
      const work = { pair, round, fresh: false, hosts: hostsOf(effectivePair(pair)), signal };
      let tried = await tryPair(work);
      if (isFailure(tried, 'digest-mismatch')) tried = await tryPair({ ...work, fresh: true });
      if ('result' in tried) return succeeded(step, pair, tried.result, progress, tools.clock.now() - began);
      if (signal.aborted) return failed(step, 'canceled', progress, tools.clock.now() - began);
      const waited = (tools.clock.now() - began) / 1000;
      if (mayHelp(tried.failure, waited, tools) && !tools.breaker.hasGivenUp(work.hosts)) again.push(pair);
    }
    remaining = again;
    const failure = progress.last?.failure;
    if (remaining.length === 0 || (round >= tools.rounds && failure?.code !== 'not-found')) {
      return failed(
        step,
        failure?.code === 'unsupported' ? 'unsupported' : 'failed',
        progress,
        tools.clock.now() - began,
      );
    }
    if (!(await pause(step, round, progress, tools, signal))) {
      return failed(step, 'canceled', progress, tools.clock.now() - began);
    }
  }
}

function isFailure(tried: Tried, code: ErrorCode): boolean {
  return 'failure' in tried && tried.failure.code === code;
}

/** Trying the same again may bring another result: the failure is transient, or the file may yet appear. */
function mayHelp(failure: Failure, waitedSeconds: number, tools: TransferTools): boolean {
  if (failure.code === 'digest-mismatch') return false;
  if (failure.code === 'not-found') return waitedSeconds < tools.retryNotFoundSeconds;
  return failure.transient;
}

/** Waits between rounds, holding nothing. Resolves with false when canceled meanwhile. */
async function pause(
  step: TransferStep,
  round: number,
  progress: Progress,
  tools: TransferTools,
  signal: AbortSignal,
): Promise<boolean> {
  const failure = progress.last?.failure;
  const source = progress.last?.pair.source.location;
  if (!failure || !source) return true;
  const seconds = Math.max(backOffSeconds(round, tools.random), failure.retryAfter ?? 0);
  tools.emit({ type: 'retry-scheduled', index: step.index, source, seconds, round: round + 1, failure });
  tools.onPark(1);
  try {
    await tools.clock.sleep(seconds * 1000, signal);
    return true;
  } catch {
    return false;
  } finally {
    tools.onPark(-1);
  }
}

/** When an attempt really began: after every wait for a host or a slot. */
interface Stamp {
  started: number;
  began: number;
}

/**
 * One try of a pair inside the layers; never rejects. The order is the promise: who waits for a host holds no slot, and
 * no clock runs while waiting.
 */
function layered(
  step: TransferStep,
  tools: TransferTools,
  progress: Progress,
): (work: PairWork) => Promise<Tried> {
  return async (work) => {
    const stamp: Stamp = { started: tools.clock.epoch(), began: tools.clock.now() };
    const layers: Layer<PairWork, AttemptResult>[] = [
      guard(tools.breaker),
      limit(tools.permits),
      begin(step, tools, progress, stamp),
      tools.deadline,
    ];
    const perform = compose(layers, (inner) => performPair(step, inner, tools, progress));
    try {
      return record(step, work, tools, progress, { stamp, result: await perform(work) });
    } catch (error) {
      return record(step, work, tools, progress, { stamp, error });
    }
  };
}

/** Waits while the breaker of a host is open, and tells it how the attempt went. */
function guard(breaker: Breaker): Layer<PairWork, AttemptResult> {
  return async (work, next) => {
    await breaker.enter(work.hosts, work.signal);
    try {
      const result = await next(work);
      breaker.report(work.hosts, undefined);
      return result;
    } catch (error) {
      breaker.report(work.hosts, error instanceof TransferError ? error.code : 'unexpected');
      throw error;
    }
  };
}

function begin(
  step: TransferStep,
  tools: TransferTools,
  progress: Progress,
  stamp: Stamp,
): Layer<PairWork, AttemptResult> {
  return (work, next) => {
    stamp.started = tools.clock.epoch();
    stamp.began = tools.clock.now();
    tools.onRound(work.round);
    if (progress.attempts.length === 0) {
      const { source, destination } = work.pair;
      tools.emit({
        type: 'item-started',
        index: step.index,
        source: source.location,
        destination: destination.location,
      });
    }
    return next(work);
  };
}

async function performPair(
  step: TransferStep,
  work: PairWork,
  tools: TransferTools,
  progress: Progress,
): Promise<AttemptResult> {
  const { index } = step;
  const { emit } = tools;
  return attempt(
    {
      step,
      pair: work.pair,
      expected: await expectedOf(step, tools),
      fresh: work.fresh,
      signal: work.signal,
      events: {
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
      },
    },
    tools,
  );
}

async function expectedOf(step: TransferStep, tools: TransferTools): Promise<readonly Digest[]> {
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
  step: TransferStep,
  work: PairWork,
  tools: TransferTools,
  progress: Progress,
  end: { readonly stamp: Stamp; readonly result?: AttemptResult; readonly error?: unknown },
): Tried {
  const failure = end.result ? undefined : toFailure(end.error, work);
  const seconds = (tools.clock.now() - end.stamp.began) / 1000;
  const attempted: Attempt = {
    round: work.round,
    source: work.pair.source.location,
    destination: work.pair.destination.location,
    started: end.stamp.started,
    seconds,
    bytes: end.result?.bytes ?? progress.size,
    route: end.result?.route ?? 'none',
    ...(failure ? { failure } : {}),
  };
  progress.attempts.push(attempted);
  if (failure) progress.last = { pair: work.pair, failure };
  if (step.verifyRemote && (end.result || failure?.code === 'digest-mismatch')) {
    const { index, linkage } = step;
    tools.emit({ type: 'verified', index, linkage, success: failure === undefined, seconds });
  }
  tools.emit({ type: 'attempt-ended', index: step.index, attempt: attempted });
  return failure ? { failure } : { result: end.result as AttemptResult };
}

function toFailure(error: unknown, work: PairWork): Failure {
  const name = formatLocation(work.pair.source.location);
  const known = toTransferError(error, `transfer \`${name}\``);
  const code = work.signal.aborted && !(error instanceof TransferError) ? 'canceled' : known.code;
  const isOurs = error instanceof TransferError || errnoOf(error) !== undefined;
  return {
    code,
    message: known.message,
    transient: known.transient,
    ...(known.hint === undefined ? {} : { hint: known.hint }),
    ...(known.retryAfter === undefined ? {} : { retryAfter: known.retryAfter }),
    ...(isOurs ? {} : { hint: known.hint ?? 'this is a defect of bridle: --debug shows where it came from' }),
  };
}

function succeeded(
  step: TransferStep,
  pair: Pair,
  result: AttemptResult,
  progress: Progress,
  milliseconds: number,
): Outcome {
  return {
    ...identity(step, pair),
    status: 'done',
    route: result.route,
    bytes: result.bytes,
    resumedFrom: result.resumedFrom,
    attempts: progress.attempts,
    seconds: milliseconds / 1000,
    sourceVerification: result.source,
    destinationVerification: result.destination,
    digests: Object.fromEntries(result.digests),
    notes: [...progress.notes, ...result.notes],
  };
}

function failed(step: TransferStep, status: Status, progress: Progress, milliseconds: number): Outcome {
  const pair = progress.last?.pair ?? (step.pairs[0] as Pair);
  return {
    ...identity(step, pair),
    status,
    route: 'none',
    bytes: 0,
    resumedFrom: 0,
    attempts: progress.attempts,
    seconds: milliseconds / 1000,
    sourceVerification: UNPROVEN,
    destinationVerification: UNPROVEN,
    digests: {},
    ...(progress.last ? { failure: progress.last.failure } : {}),
    ...(progress.wasVisible ? { wasVisible: true } : {}),
    notes: progress.notes,
  };
}

function identity(step: TransferStep, pair: Pair) {
  return {
    index: step.index,
    kind: 'transfer' as const,
    lfn: step.lfn,
    linkage: step.linkage,
    source: pair.source.location,
    destination: pair.destination.location,
  };
}

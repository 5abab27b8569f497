import type { AttemptResult } from './attempt.ts';
import { errnoOf, TransferError, toTransferError } from './errors.ts';
import { formatLocation, type UrlSecret } from './location.ts';
import type { Attempt, Failure, Outcome, Status, UrlRest, Verification } from './outcome.ts';
import type { Pair, TransferStep } from './plan.ts';

/** What is known of one transfer while it goes on. */
export interface Progress {
  readonly attempts: Attempt[];
  readonly notes: string[];
  wasVisible: boolean;
  /** Bytes of the file, once somebody said. */
  size: number;
  last: { readonly pair: Pair; readonly failure: Failure } | undefined;
}

const UNPROVEN: Verification = { grade: 'none' };

/** The record of what was thrown. Nothing in it can hold a secret: errors have no place for one. */
export function toFailure(error: unknown, pair: Pair, signal: AbortSignal): Failure {
  const known = toTransferError(error, `transfer \`${formatLocation(pair.source.location)}\``);
  const isOurs = error instanceof TransferError || errnoOf(error) !== undefined;
  const hint =
    known.hint ?? (isOurs ? undefined : 'this is a defect of bridle: --debug shows where it came from');
  return {
    code: signal.aborted && !isOurs ? 'canceled' : known.code,
    message: known.message,
    transient: known.transient,
    ...(hint === undefined ? {} : { hint }),
    ...(known.retryAfter === undefined ? {} : { retryAfter: known.retryAfter }),
  };
}

/** The outcome of a transfer whose `pair` went through. */
export function succeeded(
  step: TransferStep,
  pair: Pair,
  result: AttemptResult,
  progress: Progress,
  seconds: number,
): Outcome {
  const digests: Record<string, string> = {};
  for (const [algorithm, value] of result.digests) digests[algorithm] = value;
  return {
    index: step.index,
    kind: 'transfer',
    status: 'done',
    lfn: step.lfn,
    linkage: step.linkage,
    source: pair.source.location,
    destination: pair.destination.location,
    ...restOf(pair),
    route: result.route,
    bytes: result.bytes,
    resumedFrom: result.resumedFrom,
    attempts: progress.attempts,
    seconds,
    sourceVerification: result.source,
    destinationVerification: result.destination,
    digests,
    ...(result.blocks ? { blocks: result.blocks } : {}),
    ...(result.versions ? { versions: result.versions } : {}),
    notes: result.notes.length === 0 ? progress.notes : [...progress.notes, ...result.notes],
  };
}

function restOf({ source, destination }: Pair): Pick<Outcome, 'rest'> {
  if (!source.secret && !destination.secret) return {};
  const [from, to] = [urlRest(source.secret), urlRest(destination.secret)];
  return { rest: { ...(from ? { source: from } : {}), ...(to ? { destination: to } : {}) } };
}

function urlRest(secret: UrlSecret | undefined): UrlRest | undefined {
  if (!secret) return undefined;
  const { username, query } = secret;
  return {
    ...(username === undefined ? {} : { username }),
    ...(query === undefined ? {} : { hasSecretQuery: true }),
  };
}

/** The outcome of a transfer that nothing more is tried for. */
export function failed(step: TransferStep, status: Status, progress: Progress, seconds: number): Outcome {
  const pair = progress.last?.pair ?? (step.pairs[0] as Pair);
  return {
    index: step.index,
    kind: 'transfer',
    status,
    lfn: step.lfn,
    linkage: step.linkage,
    source: pair.source.location,
    destination: pair.destination.location,
    route: 'none',
    bytes: 0,
    resumedFrom: 0,
    attempts: progress.attempts,
    seconds,
    sourceVerification: UNPROVEN,
    destinationVerification: UNPROVEN,
    digests: {},
    ...(progress.last ? { failure: progress.last.failure } : {}),
    ...(progress.wasVisible ? { wasVisible: true } : {}),
    notes: progress.notes,
  };
}

import { effectivePair, hostsOf } from './attempt.ts';
import type { Breaker } from './breaker.ts';
import type { Clock } from './clock.ts';
import { failed, type Progress, succeeded } from './conclude.ts';
import { backOffSeconds } from './layers.ts';
import type { Emit, Failure, Outcome } from './outcome.ts';
import type { PairWork, Tried } from './pair.ts';
import type { Pair, TransferStep } from './plan.ts';

/** What every transfer of a run shares. */
export interface TransferTools {
  readonly tryPair: (work: PairWork) => Promise<Tried>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly emit: Emit;
  readonly breaker: Breaker;
  readonly rounds: number;
  readonly retryNotFoundSeconds: number;
  /** Told with 1 when an item begins to wait for its next round, with -1 when it goes on. */
  readonly onPark: (change: 1 | -1) => void;
}

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
  const seconds = () => (tools.clock.now() - began) / 1000;
  const progress: Progress = { attempts: [], notes: [], wasVisible: false, size: 0, last: undefined };
  let remaining = step.pairs;
  for (let round = 1; ; round += 1) {
    const again: Pair[] = [];
    let retryAfter = 0;
    for (const pair of remaining) {
      const hosts = hostsOf(effectivePair(pair));
      const stamp = { started: tools.clock.epoch(), began: tools.clock.now() };
      const work: PairWork = { step, pair, round, fresh: false, hosts, signal, progress, stamp };
      let tried = await tools.tryPair(work);
      if ('failure' in tried && tried.failure.code === 'digest-mismatch') {
        tried = await tools.tryPair({ ...work, fresh: true });
      }
      if ('result' in tried) return succeeded(step, pair, tried.result, progress, seconds());
      if (signal.aborted) return failed(step, 'canceled', progress, seconds());
      if (!mayHelp(tried.failure, round, seconds(), tools) || tools.breaker.hasGivenUp(hosts)) continue;
      again.push(pair);
      retryAfter = Math.max(retryAfter, tried.failure.retryAfter ?? 0);
    }
    remaining = again;
    if (remaining.length === 0) {
      const code = progress.last?.failure.code;
      return failed(step, code === 'unsupported' ? 'unsupported' : 'failed', progress, seconds());
    }
    if (!(await pause(step, { round, retryAfter }, progress, tools, signal)))
      return failed(step, 'canceled', progress, seconds());
  }
}

/** Trying the same again may bring another result: the failure is transient, or the file may yet appear. */
function mayHelp(failure: Failure, round: number, waitedSeconds: number, tools: TransferTools): boolean {
  if (failure.code === 'digest-mismatch') return false;
  if (failure.code === 'not-found') return waitedSeconds < tools.retryNotFoundSeconds;
  return failure.transient && round < tools.rounds;
}

/** Waits between rounds, holding nothing. Resolves with false when canceled meanwhile. */
async function pause(
  step: TransferStep,
  { round, retryAfter }: { readonly round: number; readonly retryAfter: number },
  progress: Progress,
  tools: TransferTools,
  signal: AbortSignal,
): Promise<boolean> {
  const failure = progress.last?.failure;
  const source = progress.last?.pair.source.location;
  if (!failure || !source) return true;
  const seconds = Math.max(backOffSeconds(round, tools.random), retryAfter);
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

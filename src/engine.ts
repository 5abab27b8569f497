import { setMaxListeners } from 'node:events';
import { type AttemptOptions, routeOf } from './attempt.ts';
import { createBreaker } from './breaker.ts';
import type { Cache } from './cache/cache.ts';
import { type Clock, systemClock } from './clock.ts';
import { toTransferError } from './errors.ts';
import type { Gate } from './gate.ts';
import type { FindListed } from './integrity/listed.ts';
import type { Trusted } from './integrity/trusted.ts';
import { createLimiter } from './limiter.ts';
import { transfersAffordable } from './local/descriptors.ts';
import type { Emit, Outcome, Status } from './outcome.ts';
import { createTryPair, type PairTools, withListed } from './pair.ts';
import { createBudget, createPermits } from './permits.ts';
import {
  type MkdirStep,
  type Pair,
  planStep,
  type RemoveStep,
  type Step,
  type TransferStep,
} from './plan.ts';
import type { Digest, Endpoint } from './protocol.ts';
import { createRemoteJournals } from './remote-journals.ts';
import type { Place, Request } from './request.ts';
import type { Route } from './route.ts';
import { MEDIUM_BYTES, SMALL_BYTES } from './slabs.ts';
import { runTargetStep, targetOutcome } from './target.ts';
import { runTransfer } from './transfer.ts';
import { createParking, forEachBounded } from './window.ts';

/** What one large stream holds at most: chunks on their way in, to the hasher and out. */
const STREAM_BYTES = 4 * 1024 * 1024;
/** A medium file is one slab: on its way in, out or to the hasher. There is one more for what stands behind another. */
const MEDIUM_STREAM_BYTES = 2 * MEDIUM_BYTES;

export interface RunOptions extends AttemptOptions {
  /** Transfers at a time, 1 to 1024. */
  readonly threads: number;
  /** Transfers at a time with one host. */
  readonly perHost: number;
  /** Rounds over an item's pairs. */
  readonly attempts: number;
  /** Bytes lent to chunks and buffers of large files. */
  readonly memory: number;
  /** Bytes a second for the whole run. */
  readonly bandwidth?: number;
  /** Seconds that one attempt may take. */
  readonly itemSeconds: number;
  /** Seconds during which an absent source is looked for again. */
  readonly retryNotFoundSeconds: number;
  /** Removes even when a transfer failed. */
  readonly removeAnyway: boolean;
  /** Directory for what interrupted uploads need to go on; without it they start over, and leave nothing behind. */
  readonly state?: string;
}

export interface RunTools {
  readonly open: (place: Place) => Promise<Endpoint>;
  readonly emit: Emit;
  readonly clock?: Clock;
  readonly random: () => number;
  readonly catalogDigest?: (lfn: string) => Promise<Digest | undefined>;
  readonly findListed?: FindListed;
  /** Where digests of unchanged local files may be taken from, for what is left alone by `update`. */
  readonly trusted?: Trusted | undefined;
  /** Where content whose digest is known is kept for other runs on this machine. */
  readonly cache?: Cache | undefined;
  /** Holds back what the transfers make visible until all of them have stored and compared it; of 128 at most. */
  readonly gate?: Gate | undefined;
}

/** Members of one gate: fewer than transfers in hand at a time, so that all can come to it. */
export const MOST_HELD_BACK = 128;

/** A list of requests that can be gone through once per kind. */
export interface RunInput {
  readonly total: number;
  /** Among the transfers may be directories, where a walk comes upon empty ones. */
  requests(kind: Request['kind']): AsyncIterable<Request>;
}

/** How a run ended, in numbers. Everything else was told in events. */
export type RunSummary = Readonly<Record<Status, number>>;

/**
 * Brings every request to its outcome: directories first, then transfers, removals last and only when every transfer
 * succeeded. Each outcome is an event; one item's failure stops no other. Rejects only when the input itself cannot be read.
 */
export async function run(
  input: RunInput,
  options: RunOptions,
  tools: RunTools,
  signal: AbortSignal,
): Promise<RunSummary> {
  // Everything in flight listens to it: that many listeners are no leak.
  setMaxListeners(0, signal);
  const clock = tools.clock ?? systemClock;
  const began = clock.now();
  const counts = { done: 0, failed: 0, unsupported: 0, skipped: 0, canceled: 0 };
  const parking = createParking();
  const shared = pairTools(options, tools, clock);
  const transferTools = {
    tryPair: createTryPair(shared),
    clock,
    random: tools.random,
    emit: tools.emit,
    breaker: shared.breaker,
    rounds: options.attempts,
    retryNotFoundSeconds: options.retryNotFoundSeconds,
    onPark: parking.park,
  };
  const targetTools = { ...shared, rounds: options.attempts };
  const end = (outcome: Outcome) => {
    counts[outcome.status] += 1;
    tools.emit({ type: 'item-ended', outcome });
  };
  const each = (kind: Request['kind'], work: (step: Step) => Promise<Outcome>) =>
    forEachBounded(input.requests(kind), parking, async (request) =>
      end(await work(planStep(request, { random: tools.random }))),
    );

  tools.emit({ type: 'run-started', total: input.total });
  await each('mkdir', (step) => runTargetStep(step as MkdirStep, targetTools, signal));
  await each('transfer', (step) =>
    step.kind === 'transfer'
      ? runTransfer(step, transferTools, signal)
      : runTargetStep(step, targetTools, signal),
  );
  const isWhole = counts.failed + counts.unsupported + counts.canceled === 0;
  await each('remove', async (step) => {
    const remove = step as RemoveStep;
    if (isWhole || options.removeAnyway) return runTargetStep(remove, targetTools, signal);
    return targetOutcome(remove, 'skipped', 0, {
      notes: ['not removed: not every transfer of the list succeeded'],
    });
  });
  tools.emit({ type: 'run-ended', seconds: (clock.now() - began) / 1000 });
  return counts;
}

/** The route of each pair of each transfer, and why: what `--dry-run` prints. Touches no destination. */
export async function* plan(
  input: RunInput,
  options: RunOptions,
  tools: RunTools,
): AsyncGenerator<{
  readonly step: Step;
  readonly routes: readonly { readonly pair: Pair; readonly route: Route | string }[];
}> {
  const shared = pairTools(options, tools, tools.clock ?? systemClock);
  for (const kind of ['mkdir', 'transfer', 'remove'] as const) {
    for await (const request of input.requests(kind)) {
      const step = planStep(request, { random: tools.random });
      const routes = [];
      for (const pair of step.kind === 'transfer' ? step.pairs : []) {
        routes.push({ pair, route: await plannedRoute(pair, step as TransferStep, shared) });
      }
      yield { step, routes };
    }
  }
}

async function plannedRoute(pair: Pair, step: TransferStep, tools: PairTools): Promise<Route | string> {
  try {
    return await routeOf(pair, withListed(step, pair, tools.findListed), tools);
  } catch (error) {
    return toTransferError(error, 'plan').message;
  }
}

function pairTools(options: RunOptions, tools: RunTools, clock: Clock): PairTools {
  const { emit, random, open, catalogDigest, findListed, trusted, cache, gate } = tools;
  const budget = createBudget(options.memory);
  const nothing = () => undefined;
  const warn = (key: string, message: string) => emit({ type: 'warning', key, message });
  let highest = 0;
  return {
    open,
    emit,
    clock,
    random,
    options,
    lend: (size, held, signal) =>
      size !== undefined && size <= SMALL_BYTES ? nothing : budget.lend(heldBy(size) + held, signal),
    limiter: options.bandwidth === undefined ? undefined : createLimiter(options.bandwidth, clock),
    permits: createPermits({ threads: affordable(options.threads, emit), perHost: options.perHost }),
    breaker: createBreaker({ clock, random, emit }),
    itemSeconds: options.itemSeconds,
    onRound: (round) => {
      if (round <= highest) return;
      highest = round;
      emit({ type: 'round-started', round });
    },
    ...(catalogDigest ? { catalogDigest } : {}),
    ...(findListed ? { findListed } : {}),
    ...(trusted ? { trusted } : {}),
    ...(cache ? { cache } : {}),
    ...(gate ? { gate } : {}),
    ...(options.state === undefined ? {} : { journals: createRemoteJournals(options.state, warn) }),
  };
}

/** Chunks on their way, in bytes. Small files, which hold about their own size, are not counted at all. */
function heldBy(size: number | undefined): number {
  return size !== undefined && size <= MEDIUM_BYTES ? MEDIUM_STREAM_BYTES : STREAM_BYTES;
}

/** No more transfers at a time than this process may have files open for: out of descriptors, they would fail each other. */
function affordable(threads: number, emit: Emit): number {
  const most = transfersAffordable() ?? threads;
  if (most >= threads) return threads;
  const message = `only ${most} transfers at a time: this process may not have more files open (ulimit -n)`;
  emit({ type: 'warning', key: 'descriptors', message });
  return most;
}

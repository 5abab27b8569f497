import { setMaxListeners } from 'node:events';
import { type AttemptOptions, type AttemptTools, routeOf } from './attempt.ts';
import { createBreaker } from './breaker.ts';
import { type Clock, systemClock } from './clock.ts';
import { TransferError, toTransferError } from './errors.ts';
import { timeout } from './layers.ts';
import { createLimiter } from './limiter.ts';
import { hostKey } from './location.ts';
import type { Emit, Outcome, Status } from './outcome.ts';
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
import type { Place, Request } from './request.ts';
import type { Route } from './route.ts';
import { runTransfer, type TransferTools } from './transfer.ts';

/** Steps in hand, those waiting to retry included. */
const LOOK_AHEAD = 4096;
/** Steps in hand that do not wait to retry: enough that a busy host does not keep the others from working. */
const ACTIVE = 512;
/** What one large stream holds at most: chunks on their way in, to the hasher and out. */
const STREAM_BYTES = 4 * 1024 * 1024;
/** Smaller files hold about their own size. */
const SMALL_BYTES = 64 * 1024;

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
}

export interface RunTools {
  readonly open: (place: Place) => Promise<Endpoint>;
  readonly emit: Emit;
  readonly clock?: Clock;
  readonly random: () => number;
  readonly catalogDigest?: (lfn: string) => Promise<Digest | undefined>;
}

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
  const shared = transferTools(options, tools, clock, parking);
  const end = (outcome: Outcome) => {
    counts[outcome.status] += 1;
    tools.emit({ type: 'item-ended', outcome });
  };
  const each = (kind: Request['kind'], work: (step: Step) => Promise<Outcome>) =>
    forEachBounded(input.requests(kind), parking, async (request) =>
      end(await work(planStep(request, { random: tools.random }))),
    );

  tools.emit({ type: 'run-started', total: input.total });
  await each('mkdir', (step) => runTargetStep(step as MkdirStep, shared, signal));
  await each('transfer', (step) =>
    step.kind === 'transfer' ? runTransfer(step, shared, signal) : runTargetStep(step, shared, signal),
  );
  const isWhole = counts.failed + counts.unsupported + counts.canceled === 0;
  await each('remove', async (step) => {
    const remove = step as RemoveStep;
    if (isWhole || options.removeAnyway) return runTargetStep(remove, shared, signal);
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
  const shared = transferTools(options, tools, tools.clock ?? systemClock, createParking());
  for (const kind of ['mkdir', 'transfer', 'remove'] as const) {
    for await (const request of input.requests(kind)) {
      const step = planStep(request, { random: tools.random });
      const routes = [];
      for (const pair of step.kind === 'transfer' ? step.pairs : []) {
        const route = await routeOf(pair, step as TransferStep, shared).catch(
          (error: unknown) => toTransferError(error, 'plan').message,
        );
        routes.push({ pair, route });
      }
      yield { step, routes };
    }
  }
}

function transferTools(options: RunOptions, tools: RunTools, clock: Clock, parking: Parking): TransferTools {
  const { emit, random, open } = tools;
  const budget = createBudget(options.memory);
  let highest = 0;
  const attemptTools: AttemptTools = {
    open,
    clock,
    random,
    options,
    lend: (size, signal) =>
      size !== undefined && size <= SMALL_BYTES ? () => undefined : budget.lend(STREAM_BYTES, signal),
    ...(options.bandwidth === undefined ? {} : { limiter: createLimiter(options.bandwidth, clock) }),
  };
  return {
    ...attemptTools,
    emit,
    permits: createPermits(options),
    breaker: createBreaker({ clock, random, emit }),
    rounds: options.attempts,
    deadline: timeout(options.itemSeconds),
    onPark: (change) => parking.park(change),
    retryNotFoundSeconds: options.retryNotFoundSeconds,
    onRound: (round) => {
      if (round <= highest) return;
      highest = round;
      emit({ type: 'round-started', round });
    },
    ...(tools.catalogDigest ? { catalogDigest: tools.catalogDigest } : {}),
  };
}

/** How many items wait for their next round: they hold nothing, so others may be taken up meanwhile. */
interface Parking {
  readonly waiting: () => number;
  readonly park: (change: 1 | -1) => void;
  onChange: () => void;
}

function createParking(): Parking {
  let waiting = 0;
  const parking: Parking = {
    waiting: () => waiting,
    park: (change) => {
      waiting += change;
      parking.onChange();
    },
    onChange: () => undefined,
  };
  return parking;
}

/** Works on a bounded number of items at a time; resolves when all are done. */
async function forEachBounded<T>(
  items: AsyncIterable<T>,
  parking: Parking,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let running = 0;
  let broken: { readonly error: unknown } | undefined;
  const isFull = () => running - parking.waiting() >= ACTIVE || running >= LOOK_AHEAD;
  const until = (isMet: () => boolean) =>
    new Promise<void>((resolve) => {
      parking.onChange = () => {
        if (isMet()) resolve();
      };
      parking.onChange();
    });
  const settled = () => {
    running -= 1;
    parking.onChange();
  };
  try {
    for await (const item of items) {
      running += 1;
      work(item).then(settled, (error: unknown) => {
        broken ??= { error };
        settled();
      });
      if (isFull()) await until(() => !isFull());
      if (broken) break;
    }
  } finally {
    await until(() => running === 0);
  }
  if (broken) throw broken.error;
}

async function runTargetStep(
  step: MkdirStep | RemoveStep,
  tools: TransferTools,
  signal: AbortSignal,
): Promise<Outcome> {
  const began = tools.clock.now();
  const { location } = step.target;
  const doing = step.kind === 'mkdir' ? `make directory \`${location.path}\`` : `remove \`${location.path}\``;
  for (let round = 1; ; round += 1) {
    try {
      await performTarget(step, tools, signal);
      return targetOutcome(step, 'done', tools.clock.now() - began, {});
    } catch (thrown) {
      const error = toTransferError(thrown, doing);
      if (!error.transient || round >= tools.rounds || signal.aborted) {
        const status = signal.aborted ? 'canceled' : error.code === 'unsupported' ? 'unsupported' : 'failed';
        const { code, message, transient, hint } = error;
        const failure = { code, message, transient, ...(hint === undefined ? {} : { hint }) };
        return targetOutcome(step, status, tools.clock.now() - began, { failure });
      }
      const seconds = Math.max(2 ** (round - 1) * (0.5 + tools.random() / 2), error.retryAfter ?? 0);
      await tools.clock.sleep(seconds * 1000, signal).catch(() => undefined);
    }
  }
}

async function performTarget(
  step: MkdirStep | RemoveStep,
  tools: TransferTools,
  signal: AbortSignal,
): Promise<void> {
  const { location } = step.target;
  const endpoint = await tools.open(step.target);
  const release = await tools.permits.acquire([hostKey(location)], signal);
  try {
    tools.onRound(1);
    if (step.kind === 'mkdir') {
      if (!endpoint.mkdir) throw unable(location.scheme, 'make directories');
      await endpoint.mkdir(location.path, { signal });
    } else {
      if (!endpoint.remove) throw unable(location.scheme, 'remove files');
      await endpoint.remove(location.path, { signal, recursive: step.recursive });
    }
  } finally {
    release();
  }
}

function unable(scheme: string, what: string): TransferError {
  return new TransferError('unsupported', `\`${scheme}\`: this protocol cannot ${what}`);
}

function targetOutcome(
  step: MkdirStep | RemoveStep,
  status: Status,
  milliseconds: number,
  more: Partial<Pick<Outcome, 'failure' | 'notes'>>,
): Outcome {
  const { location } = step.target;
  return {
    index: step.index,
    kind: step.kind,
    status,
    lfn: '',
    linkage: '',
    source: location,
    destination: location,
    route: 'none',
    bytes: 0,
    resumedFrom: 0,
    attempts: [],
    seconds: milliseconds / 1000,
    sourceVerification: { grade: 'none' },
    destinationVerification: { grade: 'none' },
    digests: {},
    notes: [],
    ...more,
  };
}

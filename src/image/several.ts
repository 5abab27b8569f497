import { type Clock, systemClock } from '../clock.ts';
import { isMismatch, TransferError } from '../errors.ts';
import { backOffSeconds } from '../layers.ts';

/** Blobs at a time, as docker and podman do. */
const PARALLEL = 3;
/** Tries in a row that brought nothing before a blob is given up. */
const MOST_IDLE = 5;

/**
 * Does `work` for each, several at a time; the first that fails ends the others, which leave what they have. Rejects with
 * why that one failed, with `canceled` when all were.
 */
export async function severalAtATime<T>(
  all: readonly T[],
  call: { readonly signal: AbortSignal; readonly doing: string },
  work: (one: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const waiting = all.values();
  const stop = new AbortController();
  const signal = AbortSignal.any([call.signal, stop.signal]);
  let first: unknown;
  const lane = async () => {
    for (const one of waiting) {
      if (signal.aborted) return;
      try {
        await work(one, signal);
      } catch (error) {
        if (!signal.aborted) first = error;
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, lane));
  if (first !== undefined) throw first;
  if (signal.aborted) throw new TransferError('canceled', `${call.doing}: canceled`);
}

/** Tries again and again, with growing waits, while what failed may pass and tries bring something: `came` counts that. */
export async function whileItBrings<T>(
  call: {
    readonly signal: AbortSignal;
    readonly clock?: Clock | undefined;
    readonly random?: (() => number) | undefined;
  },
  came: () => number,
  attempt: () => Promise<T>,
): Promise<T> {
  const { signal, clock = systemClock, random = Math.random } = call;
  for (let idle = 0; ; ) {
    const before = came();
    try {
      return await attempt();
    } catch (error) {
      const mayPass = error instanceof TransferError && error.transient && !isMismatch(error);
      if (!mayPass || signal.aborted) throw error;
      idle = came() > before ? 0 : idle + 1;
      if (idle === MOST_IDLE) throw error;
      const wait = Math.max(backOffSeconds(idle + 1, random), error.retryAfter ?? 0);
      await clock.sleep(wait * 1000, signal);
    }
  }
}

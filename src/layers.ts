import { onAbort } from './abort.ts';
import type { Clock } from './clock.ts';
import { TransferError } from './errors.ts';
import type { Permits } from './permits.ts';
import type { RetryUnit } from './protocol.ts';

/** One try of one pair, as the layers see it. */
export interface Work {
  /** What limits and breakers count by. */
  readonly hosts: readonly string[];
  readonly signal: AbortSignal;
  /** Waits for others in the midst of the work, holding nothing that they may need. Only where such waits may come. */
  readonly park?: (wait: () => Promise<void>) => Promise<void>;
}

/** Goes around work: before, after, instead or again. */
export type Layer<W, R> = (work: W, next: (work: W) => Promise<R>) => Promise<R>;

/** `layers` around `core`, the first outermost. */
export function compose<W, R>(
  layers: readonly Layer<W, R>[],
  core: (work: W) => Promise<R>,
): (work: W) => Promise<R> {
  return layers.reduceRight<(work: W) => Promise<R>>((next, layer) => (work) => layer(work, next), core);
}

/** Waits for a slot of the run and one at each host, all at once, and gives them back whatever happens. */
export function limit<W extends Work, R>(permits: Permits): Layer<W, R> {
  return async (work, next) => {
    let release = await permits.acquire(work.hosts, work.signal);
    const park: Work['park'] = async (wait) => {
      release();
      await work.park?.(wait);
      release = await permits.acquire(work.hosts, work.signal);
    };
    try {
      return await next(work.park ? { ...work, park } : work);
    } finally {
      release();
    }
  };
}

/**
 * Ends work that takes longer than `seconds` with `timed-out`. The clock runs from when this layer is entered, and stands
 * while the work is parked. Its abort
 * controllers are used again by later work: making one for each of a million small files costs more than their timers.
 */
export function timeout<W extends Work, R>(seconds: number): Layer<W, R> {
  const idle: AbortController[] = [];
  return async (work, next) => {
    const controller = idle.pop() ?? linkedController(work.signal);
    let left = Math.min(seconds * 1000, 2 ** 31 - 1);
    const start = () => setTimeout(() => controller.abort(expired(seconds)), left);
    let timer = start();
    const began = work.park && performance.now();
    const park: Work['park'] = async (wait) => {
      clearTimeout(timer);
      left = Math.max(1, left - (performance.now() - (began ?? 0)));
      await work.park?.(wait);
      timer = start();
    };
    try {
      return await next({ ...work, signal: controller.signal, ...(work.park ? { park } : {}) });
    } catch (error) {
      throw controller.signal.aborted && !work.signal.aborted ? expired(seconds) : error;
    } finally {
      clearTimeout(timer);
      if (!controller.signal.aborted) idle.push(controller);
    }
  };
}

/** Aborts with `signal`, which is the same for all work that one layer sees. */
function linkedController(signal: AbortSignal): AbortController {
  const controller = new AbortController();
  onAbort(signal, () => controller.abort(signal.reason));
  return controller;
}

function expired(seconds: number): TransferError {
  return new TransferError('timed-out', `transfer: not finished after ${seconds} s`);
}

export interface BackOff {
  readonly baseSeconds: number;
  readonly capSeconds: number;
}

/** The engine's back-off: it doubles from 1 s to 60 s. */
export const BACK_OFF: BackOff = { baseSeconds: 1, capSeconds: 60 };

/** Seconds to wait after the `n`th failure (1 for the first): half of the doubled base and a random part of the other half. */
export function backOffSeconds(
  n: number,
  random: () => number,
  { baseSeconds, capSeconds }: BackOff = BACK_OFF,
): number {
  const full = Math.min(capSeconds, baseSeconds * 2 ** (n - 1));
  return full / 2 + (full / 2) * random();
}

/** Tries of one unit inside a write; the attempts around it have their own count. */
const UNIT_TRIES = 4;

/** The policy for one idempotent unit inside a write: a few quick tries, transient errors only. */
export function retryUnit(clock: Clock, random: () => number, signal: AbortSignal): RetryUnit {
  return async (unit) => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await unit(signal);
      } catch (error) {
        if (!(error instanceof TransferError) || !error.transient || tries === UNIT_TRIES || signal.aborted)
          throw error;
        const wait = Math.max(backOffSeconds(tries, random), error.retryAfter ?? 0);
        await clock.sleep(wait * 1000, signal);
      }
    }
  };
}

import type { Running } from '../../job/launch.ts';
import { PASSED_ON } from '../../job/signals.ts';

/** Who is told of a signal that this process gets. */
export interface SignalDesk {
  /** Aborted by a signal that came while no job ran, and by a second one. */
  readonly staging: AbortSignal;
  /** The first that came, if one did. */
  received(): NodeJS.Signals | undefined;
  /** From now on the job is told; undefined: it has ended, and checkpoints may be staged until the next signal. */
  watch(job: Running | undefined): void;
  /** Signals have their usual effect again. */
  stop(): void;
}

/** Milliseconds in which signals are one wish: batch systems and terminals send it to several processes at once. */
const ONE_WISH = 1000;

/**
 * A signal goes to the job when one runs, and ends staging when none does. One that comes a second later, or after that,
 * ends everything: the job is killed, and nothing is staged any more.
 */
export function openSignalDesk(): SignalDesk {
  const controller = new AbortController();
  let first: NodeJS.Signals | undefined;
  let firstAt = 0;
  let isKilled = false;
  let current: Running | undefined;
  const take = (signal: NodeJS.Signals) => {
    const now = performance.now();
    if (first === undefined) [first, firstAt] = [signal, now];
    if (current && now - firstAt < ONE_WISH) {
      current.signal(signal);
      return;
    }
    controller.abort();
    // Once: looking for all that belongs to it takes longer than a flood of signals leaves time for.
    if (!isKilled) current?.signal('SIGKILL');
    isKilled = current !== undefined;
  };
  for (const name of PASSED_ON) process.on(name, take);
  return {
    staging: controller.signal,
    received: () => first,
    watch(job) {
      current = job;
      // One that came while the job was being started.
      if (controller.signal.aborted && first !== undefined) job?.signal(first);
    },
    stop() {
      for (const name of PASSED_ON) process.off(name, take);
    },
  };
}

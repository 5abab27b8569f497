import type { Running } from '../../job/launch.ts';
import { PASSED_ON } from '../../job/signals.ts';

/** Who is told of a signal that this process gets. */
export interface SignalDesk {
  /** Aborted by a signal that came while no job ran. */
  readonly staging: AbortSignal;
  /** The first that came, if one did. */
  received(): NodeJS.Signals | undefined;
  /** From now on the job is told; undefined: it has ended, and checkpoints may be staged until the next signal. */
  watch(job: Running | undefined): void;
  /** Signals have their usual effect again. */
  stop(): void;
}

/** A signal goes to the job when one runs, and ends staging when none does. */
export function openSignalDesk(): SignalDesk {
  const controller = new AbortController();
  let first: NodeJS.Signals | undefined;
  let current: Running | undefined;
  const take = (signal: NodeJS.Signals) => {
    first ??= signal;
    if (current) current.signal(signal);
    else controller.abort();
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

import { constants } from 'node:os';

/** Signals that end a run. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type EndingSignal = (typeof ENDING)[number];

/** Milliseconds that a run gets to stop transfers, keep partials and write reports. */
const GRACE = 4500;

export interface SignalWatch {
  /** Aborted by the first of the signals. */
  readonly signal: AbortSignal;
  /** Which one came, if one did. */
  received(): EndingSignal | undefined;
  /** Signals have their usual effect again. */
  stop(): void;
}

/** Turns the first signal into an abort; after 4.5 s, or on a second SIGINT, the process ends whatever it is doing. */
export function watchSignals(onFirst: (signal: EndingSignal) => void = () => undefined): SignalWatch {
  const controller = new AbortController();
  let first: EndingSignal | undefined;
  let timer: NodeJS.Timeout | undefined;

  function take(signal: EndingSignal): void {
    if (first !== undefined) {
      if (signal === 'SIGINT') endNow(signal);
      return;
    }
    first = signal;
    timer = setTimeout(() => endNow(signal), GRACE);
    timer.unref();
    onFirst(signal);
    controller.abort();
  }

  /** `process.exit` would wait for calls that block, such as a read of a silent pipe. */
  function endNow(signal: EndingSignal): void {
    for (const name of ENDING) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  }

  for (const name of ENDING) process.on(name, take);
  return {
    signal: controller.signal,
    received: () => first,
    stop() {
      clearTimeout(timer);
      for (const name of ENDING) process.off(name, take);
    },
  };
}

/** The exit status by which shells tell that a signal ended a process. */
export function statusOf(signal: EndingSignal): number {
  return 128 + constants.signals[signal];
}

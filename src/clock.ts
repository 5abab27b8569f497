import { TransferError } from './errors.ts';

/** Time as the engine sees it. Tests give a virtual one. Monotonic: stepping the machine's clock changes nothing (L12). */
export interface Clock {
  /** Milliseconds since some fixed moment. */
  now(): number;
  /** Milliseconds since the epoch, for records. */
  epoch(): number;
  /** Rejects with `canceled` when the signal is aborted. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** The machine's time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  epoch: () => Date.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      const onAbort = () => {
        clearTimeout(timer);
        reject(new TransferError('canceled', 'wait: canceled'));
      };
      if (signal.aborted) return onAbort();
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      }, milliseconds);
      signal.addEventListener('abort', onAbort, { once: true });
    }),
};

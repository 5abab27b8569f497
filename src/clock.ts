import { onAbort } from './abort.ts';
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
      if (signal.aborted) return reject(canceled());
      const timer = setTimeout(() => {
        forget();
        resolve();
      }, milliseconds);
      const forget = onAbort(signal, () => {
        clearTimeout(timer);
        reject(canceled());
      });
    }),
};

function canceled(): TransferError {
  return new TransferError('canceled', 'wait: canceled');
}

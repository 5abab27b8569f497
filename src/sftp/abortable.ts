import { onAbort } from '../abort.ts';
import { TransferError } from '../errors.ts';

/** `work`, or `canceled` as soon as the signal aborts; what `work` comes to then is nobody's concern. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal, doing: string): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const leave = onAbort(signal, () => reject(canceled(doing)));
    work.then(
      (value) => {
        leave();
        resolve(value);
      },
      (error: unknown) => {
        leave();
        reject(error);
      },
    );
  });
}

/** Throws `canceled` when the signal has aborted. */
export function refuseAborted(signal: AbortSignal, doing: string): void {
  if (signal.aborted) throw canceled(doing);
}

function canceled(doing: string): TransferError {
  return new TransferError('canceled', `${doing}: canceled`);
}

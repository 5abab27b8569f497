import { onAbort } from './abort.ts';
import { TransferError } from './errors.ts';

/** Holds back the commits of a group of transfers until all of it is stored and compared. */
export interface Gate {
  /**
   * Resolves once every member has come here, or is through by itself, and what has to be done before the first commit
   * is done. Rejects with `canceled` when that never comes, and when `signal` is aborted: nothing of it may be committed.
   */
  pass(index: number, signal: AbortSignal): Promise<void>;
  /** This member is through without a commit: its place already holds what it would be given. */
  excuse(index: number): void;
  /** A member has failed. Those that wait are refused; false when the gate was open already. */
  shut(why: string): boolean;
  /** Whether commits may have begun. */
  isOpen(): boolean;
}

/** A gate for members 0 to `size - 1`. `prepare` runs once, when all have come; when it fails, nobody passes. */
export function createGate(size: number, prepare: () => Promise<void>): Gate {
  const come = new Set<number>();
  const waiting = new Set<{ readonly resolve: () => void; readonly reject: (error: unknown) => void }>();
  let state: 'closed' | 'preparing' | 'open' | 'shut' = 'closed';
  let refusal = new TransferError('canceled', 'waiting for the others: canceled');

  const settle = (next: 'open' | 'shut') => {
    state = next;
    for (const { resolve, reject } of waiting) {
      if (next === 'open') resolve();
      else reject(refusal);
    }
    waiting.clear();
  };
  const refuse = (why: string) => {
    refusal = new TransferError('canceled', `waiting for the others: ${why}`);
    settle('shut');
  };
  const look = async () => {
    if (state !== 'closed' || come.size < size) return;
    state = 'preparing';
    try {
      await prepare();
      if (isPreparing()) settle('open');
    } catch (error) {
      if (isPreparing()) refuse(error instanceof Error ? error.message : String(error));
    }
  };
  const isPreparing = () => state === 'preparing';

  return {
    pass(index, signal) {
      if (state === 'open') return Promise.resolve();
      if (state === 'shut') return Promise.reject(refusal);
      return new Promise((resolve, reject) => {
        const leave = () => {
          forget();
          waiting.delete(one);
        };
        const one = {
          resolve: () => {
            leave();
            resolve();
          },
          reject: (error: unknown) => {
            leave();
            reject(error);
          },
        };
        const forget = onAbort(signal, () => {
          // It may come again, with its next attempt.
          come.delete(index);
          one.reject(new TransferError('canceled', 'waiting for the others: canceled'));
        });
        waiting.add(one);
        come.add(index);
        void look();
      });
    },
    excuse(index) {
      come.add(index);
      void look();
    },
    shut(why) {
      if (state === 'open') return false;
      if (state !== 'shut') refuse(why);
      return true;
    },
    isOpen: () => state === 'open',
  };
}

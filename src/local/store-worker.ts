import { parentPort } from 'node:worker_threads';
import { type StoreFailure, storeNow, toStoreFailure, unpackJobs } from './store.ts';

/** Memory that jobs name by number, once; then jobs, packed. */
export type StoreOrder = { readonly slot: SharedArrayBuffer } | { readonly jobs: string };

/** The jobs of one order that are done, in its order, and what went wrong with some. */
export interface StoreAnswer {
  readonly done: readonly number[];
  readonly failures: readonly (StoreFailure & { readonly id: number })[];
}

const slots: Uint8Array[] = [];

parentPort?.on('message', (order: StoreOrder) => {
  if ('slot' in order) return void slots.push(new Uint8Array(order.slot));
  const done: number[] = [];
  const failures: (StoreFailure & { readonly id: number })[] = [];
  for (const { id, job, slot, length } of unpackJobs(order.jobs)) {
    try {
      storeNow(job, slots[slot]?.subarray(0, length) ?? new Uint8Array(length));
    } catch (error) {
      failures.push({ id, ...toStoreFailure(error) });
    }
    done.push(id);
  }
  parentPort?.postMessage({ done, failures } satisfies StoreAnswer);
});

import { parentPort } from 'node:worker_threads';
import { type StoreFailure, storeNow, toStoreFailure, unpackJobs } from './store.ts';

/** Memory that jobs name by number from then on; or jobs, packed. */
export type StoreOrder = { readonly memory: ArrayBufferLike } | { readonly jobs: string };

/** The jobs of one order that are done, in its order, and what went wrong with some. */
export interface StoreAnswer {
  readonly done: readonly number[];
  readonly failures: readonly (StoreFailure & { readonly id: number })[];
}

const memories: ArrayBufferLike[] = [];

parentPort?.on('message', (order: StoreOrder) => {
  if ('memory' in order) return void memories.push(order.memory);
  const done: number[] = [];
  const failures: (StoreFailure & { readonly id: number })[] = [];
  for (const { id, job, memory, from, length } of unpackJobs(order.jobs)) {
    try {
      storeNow(job, new Uint8Array(memories[memory] as ArrayBufferLike, from, length));
    } catch (error) {
      failures.push({ id, ...toStoreFailure(error) });
    }
    done.push(id);
  }
  parentPort?.postMessage({ done, failures } satisfies StoreAnswer);
});

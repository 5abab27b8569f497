import { Worker } from 'node:worker_threads';
import { holdShared, letGo } from '../slabs.ts';
import { packJob, type StoreFailure, type StoreJob, storeNow } from './store.ts';
import type { StoreAnswer, StoreOrder } from './store-worker.ts';

/** Files stored in the calling thread before a thread of their own is worth its start (30 ms, 10 MiB). */
const BEFORE_THREAD = 256;
/** Files that are sent off without waiting for more. */
const BATCH = 16;
/** Pieces of memory that the thread is told about; it keeps them. */
const MOST_MEMORIES = 128;

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly bytes: Uint8Array;
}

let stored = 0;
let worker: Worker | undefined;
let isBroken = false;
let lastId = 0;
const waiting = new Map<number, Waiting>();
/** What the thread calls the memory that it knows. */
const numbers = new Map<ArrayBufferLike, number>();
let batch = '';
let batched = 0;

/**
 * Stores one small file durably under its name; see {@link storeNow}. At most `MEDIUM_BYTES` of slabs.ts. A run of many hands them to a second thread: the
 * calls on the file system take half of the time of a small download, and the network's side of it goes on meanwhile.
 */
export function store(job: StoreJob, bytes: Uint8Array): void | Promise<void> {
  stored += 1;
  if (stored <= BEFORE_THREAD || isBroken) return storeNow(job, bytes);
  const shared = holdShared(bytes);
  const memory = numberOf(shared.buffer);
  if (memory === undefined) {
    letGo(shared);
    return storeNow(job, bytes);
  }
  return new Promise((resolve, reject) => {
    const id = ++lastId;
    waiting.set(id, { resolve, reject, bytes: shared });
    // A message of its own would cost as much as the file: one for all that a millisecond brings.
    if (batched === 0) setTimeout(flush, 1);
    batch += packJob({ id, job, memory, from: shared.byteOffset, length: shared.length });
    batched += 1;
    if (batched === BATCH) flush();
  });
}

function flush(): void {
  if (batched === 0) return;
  const jobs = batch;
  batch = '';
  batched = 0;
  thread().ref();
  thread().postMessage({ jobs } satisfies StoreOrder);
}

function numberOf(memory: ArrayBufferLike): number | undefined {
  const known = numbers.get(memory);
  if (known !== undefined || numbers.size >= MOST_MEMORIES) return known;
  thread().postMessage({ memory } satisfies StoreOrder);
  numbers.set(memory, numbers.size);
  return numbers.size - 1;
}

function thread(): Worker {
  worker ??= startWorker();
  return worker;
}

function startWorker(): Worker {
  const own = import.meta.url;
  const built = new URL(own.endsWith('.ts') ? '../../dist/store-worker.js' : './store-worker.js', own);
  const made = new Worker(built, {
    resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 },
  });
  made.on('message', ({ done, failures }: StoreAnswer) => {
    for (const failure of failures) settle(failure.id, failure);
    for (const id of done) settle(id, undefined);
    if (waiting.size === 0) made.unref();
  });
  made.on('error', (error) => {
    isBroken = true;
    for (const id of [...waiting.keys()]) settle(id, { code: 'EIO', message: error.message });
  });
  made.unref();
  return made;
}

function settle(id: number, failure: StoreFailure | undefined): void {
  const one = waiting.get(id);
  if (!one) return;
  waiting.delete(id);
  letGo(one.bytes);
  if (failure) one.reject(Object.assign(new Error(failure.message), { code: failure.code }));
  else one.resolve();
}

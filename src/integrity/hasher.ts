import { hash as hashOnce } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { TransferError } from '../errors.ts';
import type { Algorithm } from '../protocol.ts';
import { hold, holdShared, letGo, SLAB_BYTES } from '../slabs.ts';
import type { BlockDigests } from './block-digests.ts';
import { BLOCK_BYTES } from './block-digests.ts';
import { splitByCost } from './digest-cost.ts';
import { type Running, startDigest } from './digests.ts';
import type { HashAnswer, HashOrder } from './hash-worker.ts';
import type { PrefixDigest } from './prefix.ts';

/** Digests taken along a stream. */
export interface Hasher {
  /** Takes the chunk in before it returns; a promise asks the caller to wait before the next one. */
  update(chunk: Uint8Array): void | Promise<void>;
  /** The sha256 of everything so far; needs sha256 among the algorithms. */
  prefix(): Promise<string>;
  /** Starts over with what of the file at `path` the prefix digests prove; resolves with that many bytes. */
  resumeFrom(path: string, blocks: readonly PrefixDigest[]): Promise<number>;
  digests(): Promise<ReadonlyMap<Algorithm, string>>;
  /** Of everything, once; absent where they were not asked for, and where the stream is shorter than one block. */
  blocks?(): Promise<BlockDigests>;
  /** Call once, whatever happened. */
  close(): void;
}

/** From here on a worker thread overlaps hashing with the rest: on one thread it halves a stream. */
const WORKER_BYTES = 4 * 1024 * 1024;
/** Threads that share the digests of one stream. */
const SPREAD = 2;
/** Chunks of at most 1 MiB that may wait for the workers, in all: a kill costs them, and more of them gain no speed. */
const MOST_WAITING = 4;

/**
 * A hasher for a stream of about `size` bytes; an unknown size counts as large. With `blocks` for the digests of its
 * blocks, too: of one that is no longer than a block they are its sha256.
 */
export function createHasher(
  algorithms: readonly Algorithm[],
  size: number | undefined,
  { blocks = false } = {},
): Hasher | Promise<Hasher> {
  if (size !== undefined && size < WORKER_BYTES) return inlineHasher(algorithms);
  return workerHasher(algorithms, { blocks: blocks && (size === undefined || size > BLOCK_BYTES) });
}

/** The same for a stream that is read for its digests alone: costly ones are shared among threads. */
export async function createSpreadHasher(
  algorithms: readonly Algorithm[],
  size: number | undefined,
): Promise<Hasher> {
  const groups = splitByCost(algorithms, SPREAD);
  if (groups.length === 1 || (size !== undefined && size < WORKER_BYTES))
    return createHasher(algorithms, size);
  const parts = groups.map((group) => workerHasher(group, { threadsAtLeast: groups.length }));
  return {
    async update(chunk) {
      for (const part of parts) await part.update(chunk);
    },
    prefix: () => Promise.reject(new TransferError('unexpected', 'hash: no prefix of a spread digest')),
    resumeFrom: async () => 0,
    async digests() {
      const all = await Promise.all(parts.map((part) => part.digests()));
      return new Map(all.flatMap((digests) => [...digests]));
    },
    close() {
      for (const part of parts) part.close();
    },
  };
}

/** Hashes nothing. */
export const NO_HASHER: Hasher = {
  update: () => undefined,
  prefix: async () => '',
  resumeFrom: async () => 0,
  digests: async () => new Map(),
  close: () => undefined,
};

function inlineHasher(algorithms: readonly Algorithm[]): Hasher | Promise<Hasher> {
  const [only] = algorithms;
  if (algorithms.length === 1 && (only === 'sha256' || only === 'md5' || only === 'sha1'))
    return lazyHasher(only);
  const started = algorithms.map(startDigest);
  const isReady = (one: Running | Promise<Running>): one is Running => !(one instanceof Promise);
  if (started.every(isReady)) return hasherOver(algorithms, started);
  return Promise.all(started).then((running) => hasherOver(algorithms, running));
}

/** Most small files come in one chunk, and hashing it in one call costs half of starting, feeding and ending a hash. */
function lazyHasher(algorithm: 'sha256' | 'md5' | 'sha1'): Hasher {
  let first: Uint8Array | undefined;
  let running: Running | undefined;
  const forget = () => {
    if (first) letGo(first);
    first = undefined;
  };
  const start = (): Running => {
    const started = startDigest(algorithm) as Running;
    if (first) started.update(first);
    forget();
    running = started;
    return started;
  };
  return {
    update: (chunk) => {
      if (running || first) return (running ?? start()).update(chunk);
      first = chunk;
      hold(chunk);
    },
    prefix: async () => (running ?? start()).value(),
    resumeFrom: async () => 0,
    digests: async () => {
      const value = running || !first ? (running ?? start()).end() : hashOnce(algorithm, first, 'hex');
      return new Map([[algorithm, value]]);
    },
    close: forget,
  };
}

function hasherOver(algorithms: readonly Algorithm[], running: readonly Running[]): Hasher {
  return {
    update: (chunk) => {
      for (const one of running) one.update(chunk);
    },
    prefix: async () => running[algorithms.indexOf('sha256')]?.value() ?? '',
    resumeFrom: async () => 0,
    digests: async () => new Map(algorithms.map((algorithm, at) => [algorithm, running[at]?.end() ?? ''])),
    close: () => undefined,
  };
}

interface Thread {
  readonly worker: Worker;
  hashers: number;
  readonly waiting: Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
  >;
  /** Chunks that it has not taken yet, the oldest first. */
  readonly sent: Uint8Array[];
  /** Why it is no more. */
  failure: TransferError | undefined;
}

const threads: Thread[] = [];
const roomQueue: (() => void)[] = [];
let waitingChunks = 0;
let lastId = 0;
let lastTicket = 0;

function workerHasher(
  algorithms: readonly Algorithm[],
  { threadsAtLeast = 1, blocks = false }: { readonly threadsAtLeast?: number; readonly blocks?: boolean },
): Hasher {
  const thread = leastBusyThread(threadsAtLeast);
  const id = ++lastId;
  thread.hashers += 1;
  post(thread, { id, do: 'open', algorithms, blocks });
  return {
    ...(blocks
      ? {
          blocks: async () =>
            (await request(thread, (ticket) => ({ id, do: 'blocks', ticket }))) as BlockDigests,
        }
      : {}),
    update: (chunk) => sendChunk(thread, id, chunk, 0),
    prefix: async () => String(await request(thread, (ticket) => ({ id, do: 'prefix', ticket }))),
    resumeFrom: async (path, blocks) =>
      Number(await request(thread, (ticket) => ({ id, do: 'file', ticket, path, blocks }))),
    digests: async () => {
      const entries = await request(thread, (ticket) => ({ id, do: 'digests', ticket }));
      return new Map(entries as [Algorithm, string][]);
    },
    close: () => {
      post(thread, { id, do: 'close' });
      thread.hashers -= 1;
      if (thread.hashers === 0) thread.worker.unref();
    },
  };
}

function leastBusyThread(atLeast: number): Thread {
  const most = Math.min(4, Math.max(atLeast, availableParallelism() - 1));
  const idle = threads.find((thread) => thread.hashers === 0);
  const chosen =
    idle ??
    (threads.length < most ? startThread() : threads.reduce((a, b) => (b.hashers < a.hashers ? b : a)));
  chosen.worker.ref();
  return chosen;
}

/** The worker beside this module once built; run from source (tests), the built one. */
function workerUrl(): URL {
  const own = import.meta.url;
  return new URL(own.endsWith('.ts') ? '../../dist/hash-worker.js' : './hash-worker.js', own);
}

function startThread(): Thread {
  const worker = new Worker(workerUrl(), { stderr: false });
  const thread: Thread = { worker, hashers: 0, waiting: new Map(), sent: [], failure: undefined };
  worker.on('message', (answer: HashAnswer) => onAnswer(thread, answer));
  worker.on('error', (error) => {
    threads.splice(threads.indexOf(thread), 1);
    const text = error instanceof Error ? error.message : String(error);
    const failure = new TransferError('unexpected', `hash: the thread ended: ${text}`, { cause: error });
    thread.failure = failure;
    for (const { reject } of thread.waiting.values()) reject(failure);
    thread.waiting.clear();
    for (const chunk of thread.sent.splice(0)) taken(chunk);
  });
  threads.push(thread);
  return thread;
}

function onAnswer(thread: Thread, answer: HashAnswer): void {
  if (answer.type === 'taken') {
    const chunk = thread.sent.shift();
    if (chunk) taken(chunk);
    return;
  }
  const waiting = thread.waiting.get(answer.ticket);
  thread.waiting.delete(answer.ticket);
  if (answer.type === 'answer') waiting?.resolve(answer.value);
  else waiting?.reject(new TransferError('unexpected', `hash: ${answer.message}`));
}

function post(thread: Thread, order: HashOrder): void {
  thread.worker.postMessage(order);
}

function request(thread: Thread, order: (ticket: number) => HashOrder): Promise<unknown> {
  const ticket = ++lastTicket;
  // A thread that is gone takes everything and answers nothing.
  if (thread.failure) return Promise.reject(thread.failure);
  return new Promise((resolve, reject) => {
    thread.waiting.set(ticket, { resolve, reject });
    post(thread, order(ticket));
  });
}

/** Hands the chunk over without a copy where it lies in memory that threads share; it stays as it is until it was hashed. */
function sendChunk(thread: Thread, id: number, chunk: Uint8Array, from: number): void | Promise<void> {
  for (let at = from; at < chunk.length; at += SLAB_BYTES) {
    if (thread.failure) throw thread.failure;
    if (waitingChunks >= MOST_WAITING) return waitForRoom().then(() => sendChunk(thread, id, chunk, at));
    const piece = holdShared(chunk.subarray(at, at + SLAB_BYTES));
    waitingChunks += 1;
    thread.sent.push(piece);
    post(thread, { id, do: 'update', chunk: piece });
  }
}

function waitForRoom(): Promise<void> {
  return new Promise((resolve) => roomQueue.push(resolve));
}

function taken(chunk: Uint8Array): void {
  letGo(chunk);
  waitingChunks -= 1;
  roomQueue.shift()?.();
}

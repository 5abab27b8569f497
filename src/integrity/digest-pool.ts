import type { BigIntStats } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, TransferError } from '../errors.ts';
import { changedWhileRead } from '../regular-file.ts';
import { splitByCost } from './digest-cost.ts';
import { type DigestJob, digestFile, digestSmall, type FileDigests, isSame, look } from './digest-file.ts';
import type { DigestAnswer, DigestBatch, DigestFailure } from './digest-worker.ts';

/** A file that was digested, or why it was not. */
export interface DigestedFile {
  readonly path: string;
  readonly result: FileDigests | TransferError;
}

/** Paths to a batch: enough that messages cost little, few enough that results come as they are made. */
export const BATCH = 256;
/** Batches under way: one that is worked on, one that is there when it is done. */
const AHEAD = 2;
/**
 * Bytes of a file, on average, up to which this thread takes a batch by itself: reading and hashing 10,000 files of 10 KiB
 * takes it as long as two threads, which start first and are told of each, and half the memory.
 */
const SMALL_BYTES = 64 * 1024;
/** Few files with so many bytes in all are digested here, too: threads take 30 ms to start. */
const LITTLE_BYTES = 8 * 1024 * 1024;

export interface DigestOptions {
  readonly signal?: AbortSignal | undefined;
  /** True for a file that may have to come over a network. */
  readonly isSlow?: (path: string) => boolean;
  /** Threads that read and hash, as many as there are processors without it. */
  readonly threads?: number;
}

/**
 * Digests of local files, in the order of `jobs`, many at a time over threads. A file that cannot be digested is told
 * as its error and stops no other. Leaving the iteration early ends the threads.
 */
export async function* digestFiles(
  jobs: Iterable<DigestJob> | AsyncIterable<DigestJob>,
  options: DigestOptions = {},
): AsyncGenerator<DigestedFile> {
  for await (const some of digestBatches(inBatches(jobs), options)) yield* some;
}

/** The same with many at a time: handing on one by one what takes 30 µs costs half of that again. */
export async function* digestBatches(
  batches: AsyncIterable<readonly DigestJob[]>,
  options: DigestOptions = {},
): AsyncGenerator<readonly DigestedFile[]> {
  const iterator = batches[Symbol.asyncIterator]();
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
    const batch = next.value;
    const isFar = batch[0] !== undefined && options.isSlow?.(batch[0].path) === true;
    const seen = isFar ? [] : batch.map(({ path }) => look(path));
    if (!isLight(batch, seen, options)) {
      const second = batch.length < BATCH ? undefined : await iterator.next();
      yield* digestByThreads(batch, second?.done === false ? second.value : undefined, iterator, options);
      return;
    }
    const made: DigestedFile[] = [];
    for (const [at, job] of batch.entries()) {
      const stat = seen[at];
      const result = (stat && digestSmall(job, stat)) ?? (await digestHere(job, options));
      made.push({ path: job.path, result });
    }
    yield made;
    // Signals reach this thread between two turns only.
    await new Promise((resolve) => setImmediate(resolve));
    const [first] = batch;
    if (options.signal?.aborted && first)
      throw new TransferError('canceled', `read \`${first.path}\`: canceled`);
  }
}

/** Neighbours together, {@link BATCH} at a time, without a promise for each. */
export function* batchesOf<T>(items: Iterable<T>): Generator<readonly T[]> {
  let batch: T[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Neighbours together, as many as {@link digestBatches} is best given at a time. */
export async function* inBatches<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Calls that may wait for a network are better made by several threads at once. */
function isLight(
  jobs: readonly DigestJob[],
  seen: readonly (BigIntStats | undefined)[],
  { isSlow }: DigestOptions,
): boolean {
  const [first] = jobs;
  // One file by one digest is no quicker on another thread.
  if (jobs.length === 1 && first?.algorithms.length === 1 && !first.blocks) return true;
  if (first && isSlow?.(first.path)) return false;
  let bytes = 0;
  for (const stat of seen) bytes += Number(stat?.size ?? 0);
  return bytes <= Math.max(LITTLE_BYTES, jobs.length * SMALL_BYTES);
}

async function digestHere(job: DigestJob, { signal }: DigestOptions): Promise<FileDigests | TransferError> {
  try {
    return await digestFile(job, signal);
  } catch (error) {
    if (error instanceof TransferError) return error;
    throw error;
  }
}

interface Underway {
  readonly jobs: readonly DigestJob[];
  /** Which of the parts are of which job: one each, unless the threads share the digests of a file. */
  readonly parts: readonly (readonly number[])[];
  readonly results: (FileDigests | DigestFailure | undefined)[];
}

async function* digestByThreads(
  first: readonly DigestJob[],
  second: readonly DigestJob[] | undefined,
  rest: AsyncIterator<readonly DigestJob[]>,
  options: DigestOptions,
): AsyncGenerator<readonly DigestedFile[]> {
  const threads = options.threads ?? availableParallelism();
  // Few files keep all threads busy only when each takes a part of the digests.
  const isFew = second === undefined && first.length < threads;
  const underway = new Map<number, Underway>();
  const team = startTeam(isFew ? threads : Math.min(threads, first.length), ({ id, results }) => {
    for (const [index, result] of results) {
      const batch = underway.get(id);
      if (batch) batch.results[index] = result;
    }
  });
  let lastId = 0;
  const send = (jobs: readonly DigestJob[]): number => {
    lastId += 1;
    const { tasks, parts } = tasksOf(jobs, isFew ? threads : 1);
    underway.set(lastId, { jobs, parts, results: [] });
    team.send({ id: lastId, jobs: tasks, taken: new Int32Array(new SharedArrayBuffer(4)) });
    return lastId;
  };
  try {
    const waiting = [send(first)];
    if (second) waiting.push(send(second));
    let hasMore = second !== undefined;
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      yield* inOrder(underway.get(id) as Underway, team.news, options.signal);
      underway.delete(id);
      while (hasMore && waiting.length < AHEAD) {
        const next = await rest.next();
        if (next.done) hasMore = false;
        else waiting.push(send(next.value));
      }
    }
  } finally {
    await team.end();
  }
}

function tasksOf(jobs: readonly DigestJob[], shares: number) {
  const tasks: DigestJob[] = [];
  const parts = jobs.map((job) => sharesOf(job, shares).map((share) => tasks.push(share) - 1));
  return { tasks, parts };
}

function sharesOf(job: DigestJob, shares: number): readonly DigestJob[] {
  const { path, algorithms, blocks } = job;
  if (shares === 1) return [job];
  // As dear as a sha256 of the whole: one share of its own.
  const alone: DigestJob[] = blocks ? [{ path, algorithms: [], blocks }] : [];
  return [...splitByCost(algorithms, shares).map((some) => ({ path, algorithms: some })), ...alone];
}

/** As many at a time as are there. */
async function* inOrder(
  { jobs, parts, results }: Underway,
  news: () => Promise<void>,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly DigestedFile[]> {
  const isReady = (at: number) => (parts[at] ?? []).every((index) => results[index]);
  for (let at = 0; at < jobs.length; ) {
    while (!isReady(at)) {
      await news();
      if (signal?.aborted) throw new TransferError('canceled', `read \`${jobs[at]?.path}\`: canceled`);
    }
    const ready: DigestedFile[] = [];
    for (let job = jobs[at]; job && isReady(at); job = jobs[at]) {
      const own = (parts[at] ?? []).flatMap((index) => results[index] ?? []);
      ready.push({ path: job.path, result: joined(job, own) });
      at += 1;
    }
    yield ready;
  }
}

/** The digests of all parts, in the order asked for. Each part read the file by itself: it must have been the same. */
function joined(
  { path, algorithms }: DigestJob,
  parts: readonly (FileDigests | DigestFailure)[],
): FileDigests | TransferError {
  const failure = parts.find((part): part is DigestFailure => 'code' in part);
  if (failure) return new TransferError(failure.code as ErrorCode, failure.message);
  const [first, ...others] = parts as FileDigests[];
  if (!first) return new TransferError('unexpected', `read \`${path}\`: no thread took it`);
  if (others.length === 0) return first;
  if (!others.every((other) => isSame(first.identity, other.identity)))
    return changedWhileRead(`read \`${path}\``);
  const all = parts.flatMap((part) => ('digests' in part ? part.digests : []));
  const blocks = (parts as FileDigests[]).find((part) => part.blocks)?.blocks;
  return {
    ...(blocks ? { blocks } : {}),
    identity: first.identity,
    size: first.size,
    digests: algorithms.flatMap((algorithm) => all.find((digest) => digest.algorithm === algorithm) ?? []),
    seconds: Math.max(first.seconds, ...others.map(({ seconds }) => seconds)),
  };
}

interface Team {
  send(batch: DigestBatch): void;
  /** Resolves when an answer has come in since it was last asked; rejects when a thread is gone. */
  news(): Promise<void>;
  end(): Promise<void>;
}

function startTeam(count: number, onAnswer: (answer: DigestAnswer) => void): Team {
  let failure: TransferError | undefined;
  let isNew = false;
  let wake: (() => void) | undefined;
  const tell = () => {
    isNew = true;
    wake?.();
  };
  const workers = Array.from({ length: count }, () => {
    const worker = new Worker(workerUrl(), { resourceLimits: { maxYoungGenerationSizeMb: 4 } });
    worker.on('message', (answer: DigestAnswer) => {
      onAnswer(answer);
      tell();
    });
    worker.on('error', (error) => {
      const text = error instanceof Error ? error.message : String(error);
      failure ??= new TransferError('unexpected', `hash: a thread ended: ${text}`, { cause: error });
      tell();
    });
    return worker;
  });
  return {
    send(batch) {
      for (const worker of workers) worker.postMessage(batch);
    },
    async news() {
      if (!isNew) await new Promise<void>((resolve) => (wake = resolve));
      isNew = false;
      wake = undefined;
      if (failure) throw failure;
    },
    async end() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/** The worker beside this module once built; run from source (tests), the built one. */
function workerUrl(): URL {
  const own = import.meta.url;
  return new URL(own.endsWith('.ts') ? '../../dist/digest-worker.js' : './digest-worker.js', own);
}

import { each, mapAhead, runsOfBatches } from './ahead.ts';
import type { Clock } from './clock.ts';
import { readThrough } from './digesting.ts';
import type { Endpoints } from './endpoints.ts';
import { type TransferError, toTransferError } from './errors.ts';
import type { BlockDigests } from './integrity/block-digests.ts';
import type { FileIdentity } from './integrity/digest-file.ts';
import { digestBatches, inBatches } from './integrity/digest-pool.ts';
import type { Trusted } from './integrity/trusted.ts';
import { retryUnit } from './layers.ts';
import { isSlow } from './local/slow.ts';
import { formatLocation, pathOf } from './location.ts';
import { isLocal } from './plan.ts';
import type { Algorithm, Digest } from './protocol.ts';
import type { Place } from './request.ts';
import { reuseFirst } from './reuse.ts';

/** A file to digest. */
export interface ChecksumTask {
  readonly place: Place;
  readonly algorithms: readonly Algorithm[];
  /** The digests of its blocks, too. */
  readonly blocks?: boolean;
  /** For whoever takes the result; nothing here reads it. */
  readonly name: string;
}

export interface Checksummed<T extends ChecksumTask = ChecksumTask> {
  readonly task: T;
  readonly result: ChecksumResult | TransferError;
}

export interface ChecksumResult {
  /** In the order asked for. */
  readonly digests: readonly Digest[];
  readonly blocks?: BlockDigests;
  readonly size: number;
  /** What a local file was known by while it was read. */
  readonly identity?: FileIdentity;
  readonly seconds: number;
  /** Who made the digests, and when, where they were not made now. */
  readonly reused?: string;
}

export interface ChecksumTools {
  readonly open: Endpoints['open'];
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Files of services that are read at a time. */
  readonly threads: number;
  /** Past caches and proxies. */
  readonly fresh?: boolean;
  /** Where digests of unchanged local files may be taken from; without it all are made. */
  readonly trusted?: Trusted | undefined;
}

/**
 * Digests of files of any protocol, in the order of `tasks`. Local ones are read and hashed by threads of their own,
 * others streamed. A file that cannot be digested is told as its error and stops no other.
 */
export async function* checksumFiles<T extends ChecksumTask>(
  tasks: Iterable<T> | AsyncIterable<T>,
  tools: ChecksumTools,
): AsyncGenerator<Checksummed<T>> {
  for await (const some of checksumBatches(inBatches(tasks), tools)) yield* some;
}

/** The same with many at a time, for many small files: see {@link digestBatches}. */
export async function* checksumBatches<T extends ChecksumTask>(
  batches: AsyncIterable<readonly T[]>,
  tools: ChecksumTools,
): AsyncGenerator<readonly Checksummed<T>[]> {
  for await (const run of runsOfBatches(batches, (task) => isLocal(task.place.location))) {
    const made = (some: AsyncIterable<readonly T[]>) => digestLocal(some, tools.signal);
    if (run.kind) yield* reuseFirst(run.batches, tools.trusted, made);
    else for await (const one of digestRemote(each(run.batches), tools)) yield [one];
  }
}

async function* digestLocal<T extends ChecksumTask>(
  batches: AsyncIterable<readonly T[]>,
  signal: AbortSignal,
): AsyncGenerator<readonly Checksummed<T>[]> {
  const underWay: T[][] = [];
  async function* jobs() {
    for await (const tasks of batches) {
      underWay.push([...tasks]);
      yield tasks.map(({ place, algorithms, blocks = false }) => ({
        path: place.location.path,
        algorithms,
        blocks,
      }));
    }
  }
  let tasks: T[] = [];
  let at = 0;
  for await (const made of digestBatches(jobs(), { signal, isSlow })) {
    yield made.map(({ result }) => {
      if (at === tasks.length) {
        tasks = underWay.shift() as T[];
        at = 0;
      }
      const task = tasks[at] as T;
      at += 1;
      return { task, result };
    });
  }
}

function digestRemote<T extends ChecksumTask>(
  tasks: AsyncIterable<T>,
  tools: ChecksumTools,
): AsyncGenerator<Checksummed<T>> {
  const { signal, threads, fresh } = tools;
  const retry = retryUnit(tools.clock, tools.random, signal);
  return mapAhead(tasks, threads, async (task) => {
    const name = formatLocation(task.place.location);
    const began = performance.now();
    try {
      const endpoint = await tools.open(task.place);
      const read = await readThrough(endpoint, pathOf(task.place.location), {
        algorithms: task.algorithms,
        blocks: task.blocks ?? false,
        name,
        signal,
        retry,
        ...(fresh === undefined ? {} : { fresh }),
      });
      const seconds = (performance.now() - began) / 1000;
      const { digests, blocks, bytes: size } = read;
      return { task, result: { digests, ...(blocks ? { blocks } : {}), size, seconds } };
    } catch (error) {
      return { task, result: toTransferError(error, `read \`${name}\``) };
    }
  });
}

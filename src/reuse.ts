import type { Checksummed, ChecksumTask } from './checksum.ts';
import type { Trusted } from './integrity/trusted.ts';

/** Tasks looked at together: enough for every thread, few enough to wait for. */
const BATCH = 256;

/**
 * Digests of local files in the order of `tasks`: those that may be relied on from what `trusted` says, which each result
 * names, the rest by `make`. Digests of blocks are always made.
 */
export async function* reuseFirst<T extends ChecksumTask>(
  tasks: AsyncIterable<T>,
  trusted: Trusted | undefined,
  make: (rest: AsyncIterable<T>) => AsyncIterable<Checksummed<T>>,
): AsyncGenerator<Checksummed<T>> {
  if (!trusted) return yield* make(tasks);
  for await (const batch of batchesOf(tasks)) {
    const known = batch.map((task) => ({ task, result: reused(task, trusted) }));
    const made = make(each(known.flatMap(({ task, result }) => (result ? [] : [task]))))[
      Symbol.asyncIterator
    ]();
    try {
      for (const { task, result } of known) {
        if (result) yield { task, result };
        else yield (await made.next()).value;
      }
    } finally {
      await made.return?.();
    }
  }
}

function reused({ place, algorithms, blocks }: ChecksumTask, trusted: Trusted) {
  const found = blocks ? undefined : trusted.find(place.location.path, algorithms);
  return found && { digests: found.digests, size: found.size, seconds: 0, reused: found.from };
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function* batchesOf<T>(items: AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

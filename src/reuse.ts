import type { Checksummed, ChecksumTask } from './checksum.ts';
import type { Trusted } from './integrity/trusted.ts';

/**
 * Digests of local files in the order of the tasks: those that may be relied on from what `trusted` says, which each
 * result names, the rest by `make`. Digests of blocks are always made.
 */
export async function* reuseFirst<T extends ChecksumTask>(
  batches: AsyncIterable<readonly T[]>,
  trusted: Trusted | undefined,
  make: (rest: AsyncIterable<readonly T[]>) => AsyncIterable<readonly Checksummed<T>[]>,
): AsyncGenerator<readonly Checksummed<T>[]> {
  if (!trusted) {
    yield* make(batches);
    return;
  }
  for await (const batch of batches) {
    const known = batch.map((task) => ({ task, result: reused(task, trusted) }));
    const rest = known.flatMap(({ task, result }) => (result ? [] : [task]));
    const made: Checksummed<T>[] = [];
    if (rest.length > 0) for await (const some of make(alone(rest))) made.push(...some);
    let at = 0;
    yield known.map(({ task, result }) => (result ? { task, result } : (made[at++] as Checksummed<T>)));
  }
}

function reused({ place, algorithms, blocks }: ChecksumTask, trusted: Trusted) {
  const found = blocks ? undefined : trusted.find(place.location.path, algorithms);
  return found && { digests: found.digests, size: found.size, seconds: 0, reused: found.from };
}

async function* alone<T>(batch: readonly T[]): AsyncGenerator<readonly T[]> {
  yield batch;
}

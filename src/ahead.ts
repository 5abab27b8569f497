/**
 * What `work` makes of each item, in their order, with up to `most` under way. Work that rejects ends the iteration
 * when its turn comes; what is under way then is waited for.
 */
export async function* mapAhead<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  most: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const one = work(item);
      // One that fails is told when its turn comes.
      one.catch(() => undefined);
      underWay.push(one);
      if (underWay.length >= most) yield await (underWay.shift() as Promise<R>);
    }
    while (underWay.length > 0) yield await (underWay.shift() as Promise<R>);
  } finally {
    await Promise.allSettled(underWay);
  }
}

/**
 * Neighbours of one kind together: a run for each stretch of items that `kindOf` gives the same answer for, in batches as
 * they come. Each run is iterated to its end, or left with everything behind it.
 */
export async function* runsOfBatches<T, K>(
  batches: AsyncIterable<readonly T[]>,
  kindOf: (item: T) => K,
): AsyncGenerator<{ readonly kind: K; readonly batches: AsyncIterable<readonly T[]> }> {
  const iterator = batches[Symbol.asyncIterator]();
  let rest: readonly T[] = [];
  const fill = async () => {
    while (rest.length === 0) {
      const next = await iterator.next();
      if (next.done) return;
      rest = next.value;
    }
  };
  async function* run(kind: K): AsyncGenerator<readonly T[]> {
    for (await fill(); rest.length > 0; await fill()) {
      const end = rest.findIndex((item) => kindOf(item) !== kind);
      if (end === 0) return;
      const batch = end < 0 ? rest : rest.slice(0, end);
      rest = end < 0 ? [] : rest.slice(end);
      yield batch;
    }
  }
  for (await fill(); rest[0] !== undefined; await fill()) {
    const kind = kindOf(rest[0]);
    yield { kind, batches: run(kind) };
  }
}

/** The items of all batches. */
export async function* each<T>(batches: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const batch of batches) yield* batch;
}

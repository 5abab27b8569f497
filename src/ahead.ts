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
 * Neighbours of one kind together: a run for each stretch of items that `kindOf` gives the same answer for. Each run is
 * iterated to its end, or left with everything behind it.
 */
export async function* runsOf<T, K>(
  items: Iterable<T> | AsyncIterable<T>,
  kindOf: (item: T) => K,
): AsyncGenerator<{ readonly kind: K; readonly items: AsyncIterable<T> }> {
  const iterator = iterate(items);
  let next = await iterator.next();
  async function* run(kind: K): AsyncGenerator<T> {
    while (!next.done && kindOf(next.value) === kind) {
      const item = next.value;
      next = await iterator.next();
      yield item;
    }
  }
  while (!next.done) {
    const kind = kindOf(next.value);
    yield { kind, items: run(kind) };
  }
}

async function* iterate<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items;
}

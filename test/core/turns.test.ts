import { describe, expect, test } from 'vitest';
import { onAbort } from '../../src/abort.ts';
import { createBreaker } from '../../src/breaker.ts';
import { systemClock } from '../../src/clock.ts';
import { TransferError } from '../../src/errors.ts';
import {
  backOffSeconds,
  compose,
  type Layer,
  limit,
  retryUnit,
  timeout,
  type Work,
} from '../../src/layers.ts';
import { createLimiter } from '../../src/limiter.ts';
import type { Event } from '../../src/outcome.ts';
import { createBudget, createPermits } from '../../src/permits.ts';
import { createParking, forEachBounded } from '../../src/window.ts';
import { fixedRandom, virtualClock } from '../faults/scene.ts';

const never = new AbortController().signal;

/** True when the promise has settled by the time that everything that can run has run. */
async function isSettled(promise: unknown): Promise<boolean> {
  let settled = false;
  Promise.resolve(promise).then(
    () => (settled = true),
    () => (settled = true),
  );
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

describe('permits', () => {
  test('P6 who waits for a busy host holds no slot', async () => {
    const permits = createPermits({ threads: 2, perHost: 1 });
    await permits.acquire(['a'], never);
    const second = permits.acquire(['a'], never);
    expect(await isSettled(second)).toBe(false);
    expect(await isSettled(permits.acquire(['b'], never))).toBe(true);
  });

  test('all are taken or none: two that want each other’s hosts do not lock', async () => {
    const permits = createPermits({ threads: 8, perHost: 1 });
    const first = await permits.acquire(['a', 'b'], never);
    const [ba, a, b] = [['b', 'a'], ['a'], ['b']].map((hosts) => permits.acquire(hosts, never));
    expect(await isSettled(Promise.race([ba, a, b]))).toBe(false);
    first();
    (await ba)?.();
    (await a)?.();
    (await b)?.();
    expect(await isSettled(permits.acquire(['a', 'b'], never))).toBe(true);
  });

  test('the one that waited longest runs first', async () => {
    const permits = createPermits({ threads: 1, perHost: 1 });
    const release = await permits.acquire(['local'], never);
    const order: number[] = [];
    const waits = [1, 2, 3].map(async (number) => {
      const done = await permits.acquire([`h${number}`], never);
      order.push(number);
      done();
    });
    release();
    await Promise.all(waits);
    expect(order).toEqual([1, 2, 3]);
  });

  test('giving back twice gives back once', async () => {
    const permits = createPermits({ threads: 1, perHost: 1 });
    const release = await permits.acquire(['a'], never);
    release();
    release();
    await permits.acquire(['a'], never);
    expect(await isSettled(permits.acquire(['b'], never))).toBe(false);
  });

  test('P8 a canceled wait rejects, holds nothing, and lets the next one in', async () => {
    const permits = createPermits({ threads: 1, perHost: 1 });
    const release = await permits.acquire(['a'], never);
    const controller = new AbortController();
    const canceled = permits.acquire(['a'], controller.signal);
    const next = permits.acquire(['a'], never);
    controller.abort();
    await expect(canceled).rejects.toMatchObject({ code: 'canceled' });
    release();
    expect(await isSettled(next)).toBe(true);
  });

  test('P8 a free slot is not given to work that is canceled already', async () => {
    const permits = createPermits({ threads: 1, perHost: 1 });
    const aborted = AbortSignal.abort();
    await expect(permits.acquire(['a'], aborted)).rejects.toMatchObject({ code: 'canceled' });
    expect(await isSettled(permits.acquire(['a'], never))).toBe(true);
  });

  test('the local disk has as many slots as there are threads', async () => {
    const permits = createPermits({ threads: 3, perHost: 1 });
    for (let index = 0; index < 3; index += 1) await permits.acquire(['local'], never);
    expect(await isSettled(permits.acquire(['local'], never))).toBe(false);
  });
});

describe('P11 the memory budget', () => {
  test('P11 lends no more than it has, in turn', async () => {
    const budget = createBudget(10);
    const first = await budget.lend(6, never);
    const second = budget.lend(6, never);
    const third = budget.lend(1, never);
    expect(await isSettled(second)).toBe(false);
    expect(await isSettled(third)).toBe(false);
    first();
    expect(await isSettled(second)).toBe(true);
    expect(await isSettled(third)).toBe(true);
  });

  test('P11 a loan larger than everything counts as everything', async () => {
    const budget = createBudget(10);
    const all = await budget.lend(1000, never);
    expect(await isSettled(budget.lend(1, never))).toBe(false);
    all();
  });

  test('P8 one that stops waiting lets those behind it through', async () => {
    const budget = createBudget(10);
    await budget.lend(6, never);
    const controller = new AbortController();
    const large = budget.lend(6, controller.signal);
    const small = budget.lend(2, never);
    controller.abort();
    await expect(large).rejects.toMatchObject({ code: 'canceled' });
    expect(await isSettled(small)).toBe(true);
  });
});

describe('the breaker', () => {
  const down = 'unavailable' as const;

  function breaker() {
    const clock = virtualClock();
    const events: Event[] = [];
    const made = createBreaker({ clock, random: fixedRandom(), emit: (event) => events.push(event) });
    const fail = (times: number, hosts = ['a']) => {
      for (let index = 0; index < times; index += 1) made.report(hosts, down, []);
    };
    return { ...made, clock, events, fail };
  }

  test('opens when nearly all of ten attempts failed, and says so once', async () => {
    const { fail, enter, events, clock } = breaker();
    fail(9);
    await enter(['a'], never);
    expect(clock.waits).toEqual([]);
    fail(3);
    expect(events).toEqual([{ type: 'breaker-opened', host: 'a', failures: 10, of: 10 }]);
    expect(await enter(['a'], never)).toEqual(['a']);
    expect(clock.waits).toHaveLength(1);
  });

  test('failures that speak of the file, not of the host, do not open it', async () => {
    const { report, enter, clock } = breaker();
    for (let index = 0; index < 50; index += 1) report(['a'], 'not-found', []);
    for (let index = 0; index < 50; index += 1) report(['a'], 'digest-mismatch', []);
    await enter(['a'], never);
    expect(clock.waits).toEqual([]);
  });

  test('one at a time probes; its success lets everybody go on', async () => {
    const { fail, enter, report } = breaker();
    fail(10);
    const probed = await enter(['a'], never);
    const others = [enter(['a'], never), enter(['a'], never)];
    expect(await isSettled(Promise.race(others))).toBe(false);
    report(['a'], undefined, probed);
    expect(await Promise.all(others)).toEqual([[], []]);
  });

  test('a host is given up after three failed probes, not by what was under way when it opened', async () => {
    const { fail, enter, report, hasGivenUp, events } = breaker();
    fail(10);
    for (let probe = 1; probe <= 3; probe += 1) {
      expect(hasGivenUp(['a'])).toBe(false);
      const probed = await enter(['a'], never);
      fail(50);
      expect(hasGivenUp(['a'])).toBe(false);
      report(['a'], down, probed);
    }
    expect(hasGivenUp(['a'])).toBe(true);
    expect(events.slice(1)).toEqual([{ type: 'host-given-up', host: 'a' }]);
    await expect(enter(['a'], never)).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('P7 a probe that another host keeps from going on is handed to somebody else', async () => {
    const { fail, enter, report } = breaker();
    fail(10, ['b']);
    for (let probe = 0; probe < 3; probe += 1) report(['b'], down, await enter(['b'], never));
    fail(10, ['a']);
    await expect(enter(['a', 'b'], never)).rejects.toMatchObject({ code: 'unavailable' });
    expect(await enter(['a'], never)).toEqual(['a']);
  });

  test('P8 a canceled probe is handed on', async () => {
    const { fail, enter, report } = breaker();
    fail(10);
    const probed = await enter(['a'], never);
    const next = enter(['a'], never);
    report(['a'], 'canceled', probed);
    expect(await next).toEqual(['a']);
  });

  test('the local disk has no breaker', async () => {
    const { fail, enter, events } = breaker();
    fail(100, ['local']);
    expect(await enter(['local'], never)).toEqual([]);
    expect(events).toEqual([]);
  });
});

describe('layers', () => {
  const work: Work = { hosts: ['a'], signal: never };

  test('the first layer is the outermost', async () => {
    const said: string[] = [];
    const layer =
      (name: string): Layer<Work, string> =>
      async (given, next) => {
        said.push(`${name} in`);
        const result = await next(given);
        said.push(`${name} out`);
        return result;
      };
    expect(await compose([layer('outer'), layer('inner')], async () => 'done')(work)).toBe('done');
    expect(said).toEqual(['outer in', 'inner in', 'inner out', 'outer out']);
  });

  test('a slot is given back when the work fails', async () => {
    const permits = createPermits({ threads: 1, perHost: 1 });
    const run = compose<Work, void>([limit(permits)], async () => {
      throw new TransferError('unexpected', 'broken');
    });
    await expect(run(work)).rejects.toMatchObject({ code: 'unexpected' });
    expect(await isSettled(permits.acquire(['a'], never))).toBe(true);
  });

  test('P7 work that takes too long is `timed-out`, whatever it rejects with', async () => {
    const run = compose<Work, void>([timeout(0.01)], ({ signal }) => {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
      });
    });
    await expect(run(work)).rejects.toMatchObject({ code: 'timed-out', transient: true });
    // The same layer serves the next work with a clock that starts anew.
    await expect(compose<Work, string>([timeout(10)], async () => 'fine')(work)).resolves.toBe('fine');
  });

  test('P8 what cancels the run cancels the work, and is not called a timeout', async () => {
    const controller = new AbortController();
    const layer = timeout<Work, void>(100);
    const core = ({ signal }: Work) =>
      new Promise<void>((_, reject) => {
        signal.addEventListener('abort', () => reject(new TransferError('canceled', 'canceled')), {
          once: true,
        });
      });
    const running = layer({ hosts: [], signal: controller.signal }, core);
    controller.abort();
    await expect(running).rejects.toMatchObject({ code: 'canceled' });
  });

  test('P6 back-off doubles from a second to a minute, and at least half of it is waited', () => {
    const ends = [1, 2, 3, 7, 50].map((n) => [backOffSeconds(n, () => 0), backOffSeconds(n, () => 1)]);
    expect(ends).toEqual([
      [0.5, 1],
      [1, 2],
      [2, 4],
      [30, 60],
      [30, 60],
    ]);
  });

  test('a unit of a write is tried four times, Retry-After kept, and only for transient failures', async () => {
    const clock = virtualClock();
    const retry = retryUnit(clock, () => 0, never);
    let tries = 0;
    const busy = async () => {
      tries += 1;
      throw new TransferError('unavailable', 'busy', { retryAfter: 7 });
    };
    await expect(retry(busy)).rejects.toMatchObject({ code: 'unavailable' });
    expect(tries).toBe(4);
    expect(clock.waits).toEqual([7000, 7000, 7000]);
    const denied = async () => {
      tries += 1;
      throw new TransferError('permission-denied', 'no');
    };
    await expect(retry(denied)).rejects.toMatchObject({ code: 'permission-denied' });
    expect(tries).toBe(5);
  });
});

describe('the limiter', () => {
  test('holds the whole run to its rate, in the order of the calls', async () => {
    const clock = virtualClock();
    const take = createLimiter(1000, clock);
    for (let index = 0; index < 10; index += 1) await take(500, never);
    expect(clock.now()).toBeGreaterThanOrEqual(4000);
    expect(clock.now()).toBeLessThanOrEqual(5000);
  });

  test('P8 a canceled wait ends', async () => {
    const take = createLimiter(1, systemClock);
    await take(1000, never);
    await expect(take(1, AbortSignal.abort())).rejects.toMatchObject({ code: 'canceled' });
  });
});

describe('P11 the window of items', () => {
  test('P11 a million items are never all in hand', async () => {
    let inHand = 0;
    let most = 0;
    async function* items() {
      for (let index = 0; index < 20_000; index += 1) {
        inHand += 1;
        most = Math.max(most, inHand);
        yield index;
      }
    }
    await forEachBounded(items(), createParking(), async () => {
      await new Promise((resolve) => setImmediate(resolve));
      inHand -= 1;
    });
    expect(inHand).toBe(0);
    expect(most).toBeLessThanOrEqual(4096);
  });

  test('those that wait to retry make room for others', async () => {
    const parking = createParking();
    const started: number[] = [];
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    async function* items() {
      for (let index = 0; index < 1000; index += 1) yield index;
    }
    const running = forEachBounded(items(), parking, async (item) => {
      started.push(item);
      parking.park(1);
      await gate;
      parking.park(-1);
    });
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(started).toHaveLength(1000);
    goOn();
    await running;
  });

  test('an input that breaks rejects once what was begun is done', async () => {
    let done = 0;
    async function* items() {
      yield 1;
      yield 2;
      throw new Error('unreadable');
    }
    const work = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      done += 1;
    };
    await expect(forEachBounded(items(), createParking(), work)).rejects.toThrow('unreadable');
    expect(done).toBe(2);
  });
});

describe('one listener for thousands that wait', () => {
  test('everybody is called once, those who left are not', () => {
    const controller = new AbortController();
    const called: number[] = [];
    const leave = [1, 2, 3].map((number) => onAbort(controller.signal, () => called.push(number)));
    leave[1]?.();
    controller.abort();
    leave[0]?.();
    expect(called).toEqual([1, 3]);
  });

  test('who comes too late is called at once', () => {
    let called = 0;
    onAbort(AbortSignal.abort(), () => {
      called += 1;
    });
    expect(called).toBe(1);
  });
});

test('L12 the system’s clock is monotonic', async () => {
  const before = systemClock.now();
  const epoch = Date.now;
  Date.now = () => 0;
  try {
    await systemClock.sleep(5, never);
    expect(systemClock.now()).toBeGreaterThan(before);
  } finally {
    Date.now = epoch;
  }
});

test('P8 a sleep that is canceled rejects with `canceled`', async () => {
  const controller = new AbortController();
  const sleeping = systemClock.sleep(60_000, controller.signal);
  controller.abort();
  const error: TransferError = await sleeping.then(
    () => expect.unreachable(),
    (reason) => reason,
  );
  expect(error.code).toBe('canceled');
});

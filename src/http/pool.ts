import type { TransferError } from '../errors.ts';
import { type Route, routeKey } from './connect.ts';
import type { Watchdog } from './watchdog.ts';
import { canceled, kill, type Wire, type WireOwner } from './wire.ts';

/** Pools that are kept while nobody uses them. */
const KEPT_POOLS = 64;

/** A server closes an idle connection a little before we think it does; this much earlier we stop trusting it. */
const KEEP_ALIVE_MARGIN_SECONDS = 1;

interface Waiter {
  readonly doing: string;
  resolve(wire: Wire): void;
  reject(error: TransferError): void;
  readonly signal: AbortSignal;
  readonly onAbort: () => void;
}

/** Connections along one route. */
interface Pool extends WireOwner {
  readonly route: Route;
  readonly idle: Wire[];
  readonly waiting: Waiter[];
  /** Connections that exist or are being made. */
  open: number;
}

export interface PoolsOptions {
  readonly connectionsPerOrigin: number;
  readonly idleSeconds: number;
  readonly watchdog: Watchdog;
  connect(route: Route, owner: WireOwner, doing: string): Promise<Wire>;
}

export interface Pools {
  /** An idle wire at once, else one as soon as there is one, in order of asking. */
  acquire(route: Route, signal: AbortSignal, doing: string): Wire | Promise<Wire>;
  /** Forgets idle wires of the route: one of them turned out dead, and the others are as old. */
  distrust(route: Route): void;
  /** Closes wires that were idle for too long. True while idle wires are left. */
  sweep(now: number): boolean;
  close(): void;
}

/** Limits connections per route and keeps idle ones. */
export function createPools(options: PoolsOptions): Pools {
  const pools = new Map<string, Pool>();
  let isClosed = false;

  function poolFor(route: Route): Pool {
    const key = routeKey(route);
    const known = pools.get(key);
    if (known) return known;
    const pool: Pool = {
      route,
      idle: [],
      waiting: [],
      open: 0,
      watchdog: options.watchdog,
      release: (wire) => release(pool, wire),
      gone: (wire) => gone(pool, wire),
    };
    if (pools.size >= KEPT_POOLS) forgetIdlePools();
    pools.set(key, pool);
    return pool;
  }

  function forgetIdlePools(): void {
    for (const [key, pool] of pools) {
      if (pools.size < KEPT_POOLS) return;
      if (pool.waiting.length > 0 || pool.open > pool.idle.length) continue;
      pools.delete(key);
      closeIdle(pool);
    }
  }

  function release(pool: Pool, wire: Wire): void {
    const waiter = nextWaiter(pool);
    if (waiter) {
      waiter.resolve(wire);
      return;
    }
    if (isClosed) {
      kill(wire);
      return;
    }
    wire.idleSince = performance.now();
    // An idle connection must not keep a finished process alive.
    wire.socket?.unref();
    pool.idle.push(wire);
  }

  function gone(pool: Pool, wire: Wire): void {
    pool.open--;
    const index = pool.idle.indexOf(wire);
    if (index >= 0) pool.idle.splice(index, 1);
    serve(pool);
  }

  function serve(pool: Pool): void {
    if (pool.open >= options.connectionsPerOrigin) return;
    const waiter = nextWaiter(pool);
    if (!waiter) return;
    handOver(make(pool, waiter.doing), pool, waiter.signal, waiter.doing).then(waiter.resolve, waiter.reject);
  }

  async function make(pool: Pool, doing: string): Promise<Wire> {
    pool.open++;
    try {
      return await options.connect(pool.route, pool, doing);
    } catch (error) {
      pool.open--;
      serve(pool);
      throw error;
    }
  }

  return {
    acquire(route, signal, doing) {
      const pool = poolFor(route);
      const now = performance.now();
      // The youngest first: it is the least likely to have been closed by the other side.
      for (let wire = pool.idle.pop(); wire; wire = pool.idle.pop()) {
        if (wire.state === 'idle' && !isExpired(wire, now, options.idleSeconds)) {
          wire.socket?.ref();
          return wire;
        }
        kill(wire);
      }
      if (pool.open < options.connectionsPerOrigin) return handOver(make(pool, doing), pool, signal, doing);
      return queue(pool, signal, doing);
    },
    distrust: (route) => closeIdle(poolFor(route)),
    sweep(now) {
      let left = false;
      for (const pool of pools.values()) {
        for (const wire of pool.idle.filter((wire) => isExpired(wire, now, options.idleSeconds))) kill(wire);
        left ||= pool.idle.length > 0;
      }
      return left;
    },
    close() {
      isClosed = true;
      for (const pool of pools.values()) closeIdle(pool);
      pools.clear();
    },
  };
}

function nextWaiter(pool: Pool): Waiter | undefined {
  const waiter = pool.waiting.shift();
  waiter?.signal.removeEventListener('abort', waiter.onAbort);
  return waiter;
}

function queue(pool: Pool, signal: AbortSignal, doing: string): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const waiter: Waiter = {
      doing,
      resolve,
      reject,
      signal,
      onAbort: () => {
        pool.waiting.splice(pool.waiting.indexOf(waiter), 1);
        reject(canceled(signal, doing));
      },
    };
    pool.waiting.push(waiter);
    signal.addEventListener('abort', waiter.onAbort, { once: true });
  });
}

/** A connection that comes after its request was canceled serves the next one. */
function handOver(making: Promise<Wire>, pool: Pool, signal: AbortSignal, doing: string): Promise<Wire> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    const onAbort = () => {
      isOver = true;
      reject(canceled(signal, doing));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    making.then(
      (wire) => {
        signal.removeEventListener('abort', onAbort);
        if (isOver) pool.release(wire);
        else resolve(wire);
      },
      (error) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}

function closeIdle(pool: Pool): void {
  for (const wire of pool.idle.splice(0)) kill(wire);
}

function isExpired(wire: Wire, now: number, idleSeconds: number): boolean {
  const promised = wire.keepAliveSeconds;
  const seconds =
    promised === undefined
      ? idleSeconds
      : Math.min(idleSeconds * 15, Math.max(promised / 2, promised - KEEP_ALIVE_MARGIN_SECONDS));
  return now - wire.idleSince > seconds * 1000;
}

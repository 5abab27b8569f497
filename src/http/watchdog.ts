/** How long to wait for the other side, in seconds. */
export interface Timeouts {
  /** For a connection, TLS and proxies included. */
  readonly connect: number;
  /** For the head of the answer. A server may read a whole file to make a digest first. */
  readonly firstByte: number;
  /** Without a byte while we are ready for one. */
  readonly stall: number;
  /** Slower than this counts as stalled. */
  readonly lowSpeed: { readonly bytesPerSecond: number; readonly seconds: number };
  /** For an idle connection to be kept, unless the server says less. */
  readonly idle: number;
}

/** Something that waits for the other side. The owner keeps `owes` and `moved` true; the rest is the watchdog's. */
export interface Watched {
  /** `nothing` while we are the slow side: no clock runs. */
  owes: 'answer' | 'bytes' | 'nothing';
  /** Bytes that went either way. */
  moved: number;
  seen: number;
  silentMs: number;
  windowMs: number;
  windowStart: number;
  expire(code: 'timed-out' | 'stalled', text: string): void;
}

/** Of which nothing moved yet. */
export function createWatched(owes: Watched['owes'], expire: Watched['expire']): Watched {
  return { owes, moved: 0, seen: 0, silentMs: 0, windowMs: 0, windowStart: 0, expire };
}

export interface Watchdog {
  watch(watched: Watched): void;
  unwatch(watched: Watched): void;
  close(): void;
}

/** Ticks without anything to watch after which the timer rests. */
const RESTFUL_TICKS = 20;

/**
 * One timer for every connection of a client: a timer per request costs more than a small request. It looks at byte
 * counts, so it works the same whether the reader is fast or slow, and does not keep the process alive.
 */
export function createWatchdog(timeouts: Timeouts, onTick: (now: number) => boolean): Watchdog {
  const shortest = Math.min(timeouts.firstByte, timeouts.stall, timeouts.idle, timeouts.lowSpeed.seconds);
  const tickMs = Math.min(1000, Math.max(10, (shortest * 1000) / 4));
  const active = new Set<Watched>();
  let timer: NodeJS.Timeout | undefined;
  let now = performance.now();
  let restful = 0;

  function tick(): void {
    const before = now;
    now = performance.now();
    // A process that was stopped or a machine that slept proves nothing about the other side.
    const elapsed = Math.min(now - before, tickMs * 2);
    for (const watched of active) check(watched, elapsed, timeouts);
    const hasMore = onTick(now);
    restful = active.size > 0 || hasMore ? 0 : restful + 1;
    if (restful > RESTFUL_TICKS) stop();
  }

  function stop(): void {
    clearInterval(timer);
    timer = undefined;
  }

  return {
    watch(watched) {
      active.add(watched);
      if (timer) return;
      now = performance.now();
      restful = 0;
      timer = setInterval(tick, tickMs);
      timer.unref();
    },
    unwatch: (watched) => void active.delete(watched),
    close: stop,
  };
}

function check(watched: Watched, elapsed: number, timeouts: Timeouts): void {
  if (watched.owes === 'nothing') return;
  if (watched.moved !== watched.seen) {
    watched.seen = watched.moved;
    watched.silentMs = 0;
  } else {
    watched.silentMs += elapsed;
  }
  if (watched.owes === 'answer') {
    if (watched.silentMs >= timeouts.firstByte * 1000) {
      watched.expire('timed-out', `no answer within ${timeouts.firstByte} s`);
    }
    return;
  }
  if (watched.silentMs >= timeouts.stall * 1000) {
    watched.expire('stalled', `no byte for ${timeouts.stall} s`);
    return;
  }
  watched.windowMs += elapsed;
  const { bytesPerSecond, seconds } = timeouts.lowSpeed;
  if (watched.windowMs < seconds * 1000) return;
  const bytes = watched.moved - watched.windowStart;
  if (bytes < (bytesPerSecond * watched.windowMs) / 1000) {
    watched.expire('stalled', `${bytes} bytes in ${seconds} s, below ${bytesPerSecond} bytes per second`);
  }
  watched.windowMs = 0;
  watched.windowStart = watched.moved;
}

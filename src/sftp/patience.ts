/** Waits for the other side, for as long as something is due. */
export interface Patience {
  /** Something is due within `seconds` of silence; `code` and `text` say what it is when it does not come. */
  await(seconds: number, code: 'timed-out' | 'stalled', text: string): void;
  /** A byte went either way. */
  readonly moved: () => void;
  /** Nothing is due. */
  rest(): void;
  end(): void;
}

/** Between two looks, at most. */
const TICK_MS = 1000;

/**
 * Calls `expire` once when the other side was silent for too long. Looks at the clock now and then: a timer for each
 * request costs more than the request. A process that was stopped in between proves nothing about the other side.
 */
export function createPatience(expire: (text: string, code: 'timed-out' | 'stalled') => void): Patience {
  let timer: NodeJS.Timeout | undefined;
  let due: { readonly ms: number; readonly code: 'timed-out' | 'stalled'; readonly text: string } | undefined;
  let hasMoved = false;
  let silentMs = 0;
  let looked = 0;
  let tickMs = TICK_MS;

  function look(): void {
    const now = performance.now();
    const elapsed = Math.min(now - looked, tickMs * 2);
    looked = now;
    if (!due || hasMoved) {
      silentMs = 0;
      hasMoved = false;
      if (!due) stop();
      return;
    }
    silentMs += elapsed;
    if (silentMs < due.ms) return;
    const { text, code } = due;
    stop();
    expire(text, code);
  }

  function stop(): void {
    clearInterval(timer);
    timer = undefined;
  }

  return {
    await(seconds, code, text) {
      if (!due) silentMs = 0;
      if (due?.text !== text) due = { ms: seconds * 1000, code, text };
      const wanted = Math.min(TICK_MS, Math.max(10, due.ms / 4));
      if (timer && wanted >= tickMs) return;
      stop();
      tickMs = wanted;
      looked = performance.now();
      timer = setInterval(look, tickMs);
      timer.unref();
    },
    moved: () => {
      hasMoved = true;
    },
    rest: () => {
      due = undefined;
    },
    end() {
      due = undefined;
      stop();
    },
  };
}

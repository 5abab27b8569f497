import { onAbort } from './abort.ts';
import type { Clock } from './clock.ts';
import { type ErrorCode, TransferError } from './errors.ts';
import { backOffSeconds } from './layers.ts';
import type { Emit } from './outcome.ts';

/** Attempts of a host that are looked back on. */
const WINDOW = 20;
/** Fewer than this say nothing about a host. */
const LEAST = 10;
/** A larger share of failures opens the breaker. */
const SHARE = 0.8;
/** Probes that may fail before a host is given up for the run. */
const PROBES = 3;

/** Failures that speak of the host, not of the file. */
const COUNTED: ReadonlySet<ErrorCode> = new Set(['unavailable', 'timed-out', 'stalled', 'rate-limited']);

interface HostState {
  recent: boolean[];
  isOpen: boolean;
  isProbing: boolean;
  failedProbes: number;
  givenUp: TransferError | undefined;
  waiting: (() => void)[];
}

/**
 * Stops work on a host where nearly everything fails: everyone waits, holding nothing, while one attempt at a time
 * probes after a growing pause. A probe that succeeds lets everyone go on; a host whose probes all fail is given up.
 */
export interface Breaker {
  /** Resolves when the hosts may be tried. Rejects with `unavailable` for one that was given up. */
  enter(hosts: readonly string[], signal: AbortSignal): Promise<void>;
  /** What came of an attempt: no code for success. */
  report(hosts: readonly string[], code: ErrorCode | undefined): void;
  /** True once a host will not be tried again in this run. */
  hasGivenUp(hosts: readonly string[]): boolean;
}

export function createBreaker(tools: {
  readonly clock: Clock;
  readonly random: () => number;
  readonly emit: Emit;
}): Breaker {
  const states = new Map<string, HostState>();

  async function enterHost(host: string, signal: AbortSignal): Promise<void> {
    const state = states.get(host);
    while (state) {
      if (state.givenUp) throw state.givenUp;
      if (!state.isOpen) return;
      if (state.isProbing) {
        await turn(state, signal);
        continue;
      }
      state.isProbing = true;
      try {
        const pause = backOffSeconds(state.failedProbes + 1, tools.random);
        await tools.clock.sleep(pause * 1000, signal);
      } catch (error) {
        state.isProbing = false;
        wake(state);
        throw error;
      }
      return;
    }
  }

  function reportHost(host: string, code: ErrorCode | undefined): void {
    const state = states.get(host) ?? newState();
    states.set(host, state);
    const failed = code !== undefined && COUNTED.has(code);
    if (code === 'canceled') {
      state.isProbing = false;
    } else if (!failed) {
      if (state.isOpen)
        Object.assign(state, { isOpen: false, isProbing: false, failedProbes: 0, recent: [] });
      state.recent.push(true);
    } else if (state.isOpen) {
      if (state.isProbing) failProbe(host, state);
    } else {
      state.recent.push(false);
      openWhenMostFail(host, state);
    }
    if (state.recent.length > WINDOW) state.recent.shift();
    wake(state);
  }

  function failProbe(host: string, state: HostState): void {
    state.isProbing = false;
    state.failedProbes += 1;
    if (state.failedProbes < PROBES) return;
    state.givenUp = new TransferError(
      'unavailable',
      `\`${host}\`: given up, nearly every transfer with it failed`,
      {
        hint: 'check that the service is up and reachable from this machine, then run the same command again',
      },
    );
  }

  function openWhenMostFail(host: string, state: HostState): void {
    const failures = state.recent.filter((ok) => !ok).length;
    if (state.recent.length < LEAST || failures / state.recent.length <= SHARE) return;
    state.isOpen = true;
    tools.emit({ type: 'breaker-opened', host, failures, of: state.recent.length });
  }

  return {
    async enter(hosts, signal) {
      for (const host of hosts) if (states.has(host)) await enterHost(host, signal);
    },
    report(hosts, code) {
      for (const host of hosts) if (host !== 'local') reportHost(host, code);
    },
    hasGivenUp: (hosts) => hosts.some((host) => states.get(host)?.givenUp !== undefined),
  };
}

function newState(): HostState {
  return { recent: [], isOpen: false, isProbing: false, failedProbes: 0, givenUp: undefined, waiting: [] };
}

function wake(state: HostState): void {
  for (const go of state.waiting.splice(0)) go();
}

function turn(state: HostState, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const canceled = () => reject(new TransferError('canceled', 'wait for the host: canceled'));
    if (signal.aborted) return canceled();
    const forget = onAbort(signal, () => {
      state.waiting.splice(state.waiting.indexOf(go), 1);
      canceled();
    });
    const go = () => {
      forget();
      resolve();
    };
    state.waiting.push(go);
  });
}

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
  /**
   * Resolves when the hosts may be tried, with those of them that the attempt probes. Rejects with `unavailable` for
   * one that was given up.
   */
  enter(hosts: readonly string[], signal: AbortSignal): Promise<readonly string[]>;
  /** What came of an attempt: no code for success. `probed` is what `enter` resolved with. */
  report(hosts: readonly string[], code: ErrorCode | undefined, probed: readonly string[]): void;
  /** True once a host will not be tried again in this run. */
  hasGivenUp(hosts: readonly string[]): boolean;
}

export function createBreaker(tools: {
  readonly clock: Clock;
  readonly random: () => number;
  readonly emit: Emit;
}): Breaker {
  const states = new Map<string, HostState>();

  /** Resolves with true for the one who probes the host. */
  async function enterHost(host: string, signal: AbortSignal): Promise<boolean> {
    const state = states.get(host);
    while (state) {
      if (state.givenUp) throw state.givenUp;
      if (!state.isOpen) return false;
      if (state.isProbing) {
        await turn(state, signal);
        continue;
      }
      state.isProbing = true;
      try {
        const pause = backOffSeconds(state.failedProbes + 1, tools.random);
        await tools.clock.sleep(pause * 1000, signal);
      } catch (error) {
        endProbe(state);
        throw error;
      }
      // What was under way when the breaker opened may have come through meanwhile.
      if (!state.isOpen) {
        endProbe(state);
        return false;
      }
      return true;
    }
    return false;
  }

  function reportHost(host: string, code: ErrorCode | undefined, isProbe: boolean): void {
    const state = states.get(host) ?? newState();
    states.set(host, state);
    const failed = code !== undefined && COUNTED.has(code);
    if (isProbe) state.isProbing = false;
    if (code === 'canceled') {
      // Says nothing of the host.
    } else if (!failed) {
      if (state.isOpen) Object.assign(state, { isOpen: false, failedProbes: 0, recent: [] });
      state.recent.push(true);
    } else if (state.isOpen) {
      // Attempts that began before it opened fail late, and prove nothing new.
      if (isProbe) failProbe(host, state);
    } else {
      state.recent.push(false);
      openWhenMostFail(host, state);
    }
    if (state.recent.length > WINDOW) state.recent.shift();
    wake(state);
  }

  function failProbe(host: string, state: HostState): void {
    state.failedProbes += 1;
    if (state.failedProbes < PROBES) return;
    tools.emit({ type: 'host-given-up', host });
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
      const probed: string[] = [];
      try {
        for (const host of hosts) if (states.has(host) && (await enterHost(host, signal))) probed.push(host);
      } catch (error) {
        // Another host keeps it from going on: somebody else must probe the first one.
        for (const host of probed) endProbe(states.get(host));
        throw error;
      }
      return probed;
    },
    report(hosts, code, probed) {
      for (const host of hosts) if (host !== 'local') reportHost(host, code, probed.includes(host));
    },
    hasGivenUp: (hosts) => hosts.some((host) => states.get(host)?.givenUp !== undefined),
  };
}

function newState(): HostState {
  return { recent: [], isOpen: false, isProbing: false, failedProbes: 0, givenUp: undefined, waiting: [] };
}

function endProbe(state: HostState | undefined): void {
  if (!state) return;
  state.isProbing = false;
  wake(state);
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

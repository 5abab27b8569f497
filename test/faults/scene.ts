import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, vi } from 'vitest';
import {
  type MisbehavingOptions,
  type MisbehavingServer,
  startMisbehaving,
} from '../../fixtures/misbehaving/server.ts';
import type { Clock } from '../../src/clock.ts';
import { createEndpoints, type SecretsFor } from '../../src/endpoints.ts';
import { type RunOptions, type RunSummary, run } from '../../src/engine.ts';
import { createHttpClient, type HttpClientOptions } from '../../src/http/client.ts';
import { parseUrl } from '../../src/location.ts';
import type { Event, Outcome } from '../../src/outcome.ts';
import type { Endpoint, Settings } from '../../src/protocol.ts';
import type { Place, Request, TransferRequest } from '../../src/request.ts';

export const MIB = 1024 * 1024;

/** What the engine's tests run with; each names what it changes. */
export const OPTIONS: RunOptions = {
  threads: 4,
  perHost: 4,
  attempts: 3,
  memory: 64 * MIB,
  itemSeconds: 60,
  retryNotFoundSeconds: 0,
  removeAnyway: false,
  checksums: [],
  verifyWritten: false,
  preserve: false,
  update: false,
  symlink: false,
};

/** A clock on which waiting takes no time but is counted. */
export interface VirtualClock extends Clock {
  /** Milliseconds of each wait, in order. */
  readonly waits: readonly number[];
}

export function virtualClock(): VirtualClock {
  const waits: number[] = [];
  let now = 0;
  return {
    waits,
    now: () => now,
    epoch: () => 1_700_000_000_000 + now,
    sleep: async (milliseconds, signal) => {
      signal.throwIfAborted();
      waits.push(milliseconds);
      now += milliseconds;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** The same numbers from 0 to 1 in every run. */
export function fixedRandom(): () => number {
  let state = 0x2545f491;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const cleanups: (() => unknown)[] = [];

/** Runs after the test, in the opposite order of the calls. */
export function afterwards(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** An empty directory that is gone after the test. */
export function scratch(below = tmpdir()): string {
  const directory = mkdtempSync(join(below, 'bridle-faults-'));
  afterwards(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A server that misbehaves until the end of the test. */
export async function misbehaving(options: MisbehavingOptions): Promise<MisbehavingServer> {
  const server = await startMisbehaving(options);
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= server.close();
    return closing;
  };
  afterwards(close);
  return { ...server, close };
}

/** A path of this machine, or a URL. */
export function place(url: string): Place {
  if (url.includes('://')) return parseUrl(url, { site: 'remote', env: {} });
  return { location: { scheme: 'file', authority: '', path: url, site: 'local' } };
}

export function transferOf(
  sources: string | readonly string[],
  destination: string,
  more: Partial<TransferRequest> = {},
): TransferRequest {
  return {
    kind: 'transfer',
    index: 0,
    lfn: 'file.bin',
    linkage: 'input',
    sources: [sources].flat().map(place),
    destinations: [place(destination)],
    generateChecksum: false,
    verifyRemote: false,
    verifySymlinkSource: false,
    expected: [],
    ...more,
  };
}

export interface RunMore {
  readonly options?: Partial<RunOptions>;
  readonly http?: Partial<HttpClientOptions>;
  readonly secretsFor?: SecretsFor;
  readonly settings?: Settings;
  /** Instead of the registered protocols, for places that it knows. */
  readonly open?: (place: Place) => Endpoint | undefined;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: Event) => void;
}

export interface Ended {
  readonly summary: RunSummary;
  /** In the order in which they ended. */
  readonly outcomes: readonly Outcome[];
  /** The one of the first request. */
  readonly outcome: Outcome;
  readonly events: readonly Event[];
  /** Seconds that the run waited on the virtual clock. */
  readonly waited: number;
}

/** One run of the engine over real protocols, with short waits and a virtual clock for back-off. */
export async function runAll(requests: readonly Request[], more: RunMore = {}): Promise<Ended> {
  const waits = virtualClock();
  const events: Event[] = [];
  const http = createHttpClient({
    version: 'test',
    connectionsPerOrigin: 8,
    proxyEnv: {},
    warn: () => undefined,
    timeouts: { connect: 5, firstByte: 5, stall: 0.5 },
    ...more.http,
  });
  const endpoints = createEndpoints({
    http,
    secretsFor: more.secretsFor ?? (async () => ({})),
    ...(more.settings ? { settings: more.settings } : {}),
  });
  try {
    const summary = await run(
      { total: requests.length, requests: (kind) => ofKind(requests, kind) },
      { ...OPTIONS, ...more.options },
      {
        open: async (where) => more.open?.(where) ?? endpoints.open(where),
        emit: (event) => {
          events.push(event);
          more.onEvent?.(event);
        },
        clock: more.clock ?? waits,
        random: fixedRandom(),
      },
      more.signal ?? new AbortController().signal,
    );
    const outcomes = events.flatMap((event) => (event.type === 'item-ended' ? [event.outcome] : []));
    const first = outcomes.find((outcome) => outcome.index === 0);
    if (!first) throw new Error('the first request has no outcome');
    return { summary, outcomes, outcome: first, events, waited: sum(waits.waits) / 1000 };
  } finally {
    await endpoints.close();
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

async function* ofKind(requests: readonly Request[], kind: Request['kind']): AsyncGenerator<Request> {
  for (const request of requests) if (request.kind === kind) yield request;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The digest of the file, `absent` when there is none. */
export function digestAt(path: string): string {
  try {
    return sha256(readFileSync(path));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'absent';
    throw error;
  }
}

/** Looks at `path` at each event and in between; `seen` is every state that it was in. */
export function watchFile(path: string): { readonly seen: Set<string>; look(): void } {
  const seen = new Set<string>();
  const look = () => void seen.add(digestAt(path));
  look();
  const timer = setInterval(look, 3);
  afterwards(() => clearInterval(timer));
  return { seen, look };
}

/** Paths below `directory` that the product made for itself. Links are not followed. */
export function leftBehind(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    const own = /^\.bridle-\d+$/.test(entry.name);
    if (!entry.isDirectory()) return [];
    return own ? [path, ...readdirSync(path).map((name) => join(path, name))] : leftBehind(path);
  });
}

/** What the open descriptors of this process are, files and sockets. */
export function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return /^\/|^socket:/.test(target) && !target.startsWith('/dev/') ? [target] : [];
    } catch {
      return [];
    }
  });
}

/** Resolves once no more than the descriptors in `before` are open. */
export async function expectNoNewDescriptors(before: readonly string[]): Promise<void> {
  const known = new Set(before);
  await vi.waitFor(() => expect(openDescriptors().filter((target) => !known.has(target))).toEqual([]), {
    timeout: 5000,
    interval: 20,
  });
}

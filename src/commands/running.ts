import type { Endpoints } from '../endpoints.ts';
import { plan, type RunInput, run } from '../engine.ts';
import { TransferError } from '../errors.ts';
import type { Catalogs, Goal } from '../integrity/catalogs.ts';
import type { Trusted } from '../integrity/trusted.ts';
import { formatLocation } from '../location.ts';
import type { Emit } from '../outcome.ts';
import { describePair } from '../plan.ts';
import { safeText } from '../report/format.ts';
import { type Audience, gather } from './audience.ts';
import { badInput, EXIT } from './failures.ts';
import type { Io } from './io.ts';
import { openCacheOf } from './open-cache.ts';
import { openSession } from './session.ts';
import { type RunValues, randomFrom, runOptions } from './settings.ts';
import { statusOf, watchSignals } from './signals.ts';

/** What making the requests of a run may use. */
export interface InputTools {
  readonly endpoints: Endpoints;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

export type MakeInput = (tools: InputTools) => RunInput | Promise<RunInput>;

/** Runs the requests and tells of them. Resolves with the exit status: 0 when every item is done, else 1. */
export async function runAndTell(
  values: RunValues & { readonly to?: Goal },
  io: Io,
  makeInput: MakeInput,
): Promise<number> {
  const random = randomFrom(io.env);
  let audience: Audience | undefined;
  const cache = await openCacheOf(values);
  const emit: Emit = (event) => audience?.emit(event);
  const warn = (key: string, message: string) => emit({ type: 'warning', key, message });
  const endpoints = openSession(values, {
    env: io.env,
    connections: values.perHost ?? values.threads,
    warn,
    cache,
  });
  const { open } = endpoints;
  const watch = watchSignals();
  let catalogs: Catalogs | undefined;
  try {
    catalogs = await readCatalogs(values.checksums, values.to);
    const trusted = await openTrust(values);
    const input = await makeInput({ endpoints, emit, signal: watch.signal });
    const { dryRun } = values;
    audience = await gather(dryRun ? { quiet: true, debug: values.debug } : values, io);
    for (const message of catalogs?.warnings ?? []) warn(message, message);
    const tools = { open, emit, random, trusted, cache, ...(catalogs ? { findListed: catalogs.find } : {}) };
    try {
      if (dryRun) await printPlan(plan(input, runOptions(values, io.env), tools), io);
      else await run(input, runOptions(values, io.env), tools, watch.signal);
    } finally {
      await audience.close();
    }
    const signal = watch.received();
    if (signal !== undefined) return statusOf(signal);
    if (audience.readerLeft()) return EXIT.readerLeft;
    return audience.failed() > 0 ? EXIT.failed : EXIT.done;
  } finally {
    cache?.close();
    watch.stop();
    catalogs?.close();
    await endpoints.close();
  }
}

async function readCatalogs(files: readonly string[], to: Goal | undefined): Promise<Catalogs | undefined> {
  if (files.length === 0) return undefined;
  const { openCatalogs } = await import('../integrity/catalogs.ts');
  return badInput(() => openCatalogs(files, { directory: process.cwd(), ...(to ? { to } : {}) }));
}

async function openTrust({ trustUnchanged, update }: RunValues): Promise<Trusted | undefined> {
  if (trustUnchanged.length === 0) return undefined;
  if (!update) {
    throw new TransferError('invalid-request', '--trust-unchanged: expected --update with it', {
      hint: 'what is copied is read, and its digests are made on the way',
    });
  }
  const { readTrusted } = await import('./trusted-files.ts');
  return badInput(async () => readTrusted(trustUnchanged));
}

async function printPlan(steps: ReturnType<typeof plan>, io: Io): Promise<void> {
  for await (const { step, routes } of steps) {
    if (step.kind !== 'transfer') {
      const recursive = step.kind === 'remove' && step.recursive ? ' with everything below' : '';
      io.out(`${step.kind} ${safeText(formatLocation(step.target.location))}${recursive}\n`);
    }
    for (const { pair, route } of routes) {
      const how = typeof route === 'string' ? `cannot: ${route}` : `${route.kind}, ${route.why}`;
      io.out(`${safeText(describePair(pair))}\n  ${safeText(how)}\n`);
    }
  }
}

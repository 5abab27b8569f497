import { tmpdir } from 'node:os';
import { type RunTools, run } from '../engine.ts';
import { toTransferError } from '../errors.ts';
import { createMetaCatalog } from '../integrity/meta.ts';
import { openList, type RequestList } from '../list.ts';
import { readingLine } from '../report/legacy.ts';
import { type LegacyLog, legacyLog } from '../report/legacy-log.ts';
import type { Request } from '../request.ts';
import type { Io } from './io.ts';
import { gatherLegacy } from './legacy-audience.ts';
import { faultOf, legacyValues } from './legacy-settings.ts';
import { openCacheOf } from './open-cache.ts';
import type { Values } from './option.ts';
import type { LEGACY_OPTIONS } from './options.ts';
import { openSession } from './session.ts';
import { type RunValues, randomFrom, runOptions } from './settings.ts';
import { type SignalWatch, statusOf, watchSignals } from './signals.ts';

/** `pegasus-transfer`: the same engine, told in the words that the programs around it read. */
export async function legacyTransfer(given: Values<typeof LEGACY_OPTIONS>, io: Io): Promise<number> {
  const log = legacyLog({ write: io.err, now: Date.now, debug: given.debug });
  const watch = watchSignals((signal) => {
    if (signal === 'SIGINT') log('WARNING', 'Exiting due to signal 2');
  });
  try {
    const values = legacyValues(given, io.env);
    log('INFO', readingLine(given.file));
    const list = await orSignal(openLegacyList(given.file, io), watch);
    const isWhole = list !== undefined && (await runList(list, values, { io, log, watch }));
    const signal = watch.received();
    if (signal !== undefined) return signal === 'SIGINT' ? 1 : statusOf(signal);
    return isWhole ? 0 : 1;
  } catch (error) {
    const known = toTransferError(error, 'unexpected error');
    for (const line of known.message.split('\n')) log('ERROR', line);
    if (known.hint !== undefined) log('INFO', `hint: ${known.hint}`);
    if (given.debug && error instanceof Error) io.err(`${error.stack}\n`);
    return 1;
  } finally {
    watch.stop();
  }
}

function openLegacyList(path: string | undefined, io: Io): Promise<RequestList> {
  const spoolDirectory = io.env.TMPDIR || tmpdir();
  const source = path === undefined ? { stream: io.input(), spoolDirectory } : { path, spoolDirectory };
  return openList(source, { env: io.env, allowDuplicates: true });
}

/** Undefined when a signal came first: a list that never ends must not outlive one. */
function orSignal<T>(work: Promise<T>, { signal }: SignalWatch): Promise<T | undefined> {
  const aborted = new Promise<undefined>((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  return Promise.race([work, aborted]);
}

interface LegacyRun {
  readonly io: Io;
  readonly log: LegacyLog;
  readonly watch: SignalWatch;
}

async function runList(
  list: RequestList,
  values: RunValues,
  { io, log, watch }: LegacyRun,
): Promise<boolean> {
  const random = randomFrom(io.env);
  const fault = faultOf(io.env, random);
  const audience = await gatherLegacy(log, values, io);
  const { emit } = audience;
  const cache = await openCacheOf(values);
  const endpoints = openSession(values, {
    cache,
    env: io.env,
    connections: values.perHost ?? values.threads,
    warn: (key, message) => emit({ type: 'warning', key, message }),
  });
  async function* requests(kind: Request['kind']): AsyncGenerator<Request> {
    for await (const request of list.requests(kind)) {
      audience.note(request);
      yield request;
    }
  }
  const tools: RunTools = {
    open: endpoints.open,
    emit,
    random,
    cache,
    catalogDigest: createMetaCatalog('.', (message) => log('WARNING', message)),
  };
  try {
    await run(
      { total: list.summary.total, requests },
      runOptions(values, io.env, fault),
      tools,
      watch.signal,
    );
  } finally {
    cache?.close();
    await audience.close();
    await endpoints.close();
    await list.close();
  }
  return audience.failed() === 0;
}

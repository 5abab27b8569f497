import { type RunTools, run } from '../../engine.ts';
import { TransferError } from '../../errors.ts';
import type { FindListed } from '../../integrity/listed.ts';
import { formatLocation } from '../../location.ts';
import type { Emit, Outcome } from '../../outcome.ts';
import type { Digest } from '../../protocol.ts';
import type { Environment, Place, TransferRequest } from '../../request.ts';
import { lastName } from '../arguments.ts';
import { badInput } from '../failures.ts';
import { openCacheOf } from '../open-cache.ts';
import { CP_OPTIONS } from '../options.ts';
import { parseOptions } from '../parse-options.ts';
import { openSession, type ServiceValues } from '../session.ts';
import { type RunValues, randomFrom, runOptions } from '../settings.ts';
import { warnOnce } from '../warn-once.ts';

/** How one file is moved for a command. */
export interface MoveCall {
  readonly values: ServiceValues &
    Pick<RunValues, 'cache' | 'cacheSize' | 'cacheAge' | 'state'> & {
      readonly checksums?: readonly string[];
      readonly threads?: number;
    };
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  /** Told as bytes go; fewer than none where an attempt starts over. */
  readonly onBytes?: (bytes: number, total: number | undefined) => void;
  /** Digests that the content must have. */
  readonly expected?: readonly Digest[];
}

/**
 * Brings one file from one place to another as any transfer does: tried again, gone on with, staged, compared with what
 * `--checksums` lists and the services tell, by way of the cache where a digest is known. Rejects with why it is not there.
 */
export async function moveFile(source: Place, destination: Place, call: MoveCall): Promise<Outcome> {
  const { values, env, say } = call;
  const warn = warnOnce(say);
  const endpoints = openSession(values, { env, connections: initialOf(env).threads, warn });
  const catalogs = await openListed(values.checksums ?? [], warn);
  const cache = await openCacheOf(values);
  try {
    // Lists know it by its name or its URL; what it is called here is of no interest.
    const name = lastName(source.location);
    const findListed = catalogs && (() => catalogs.find(name, source.location));
    const outcome = await moveBy(
      { open: endpoints.open, cache, findListed, warn },
      source,
      destination,
      call,
    );
    const [from, to] = [source, destination].map(({ location }) => formatLocation(location));
    return requireArrived(outcome, `copy \`${from}\` to \`${to}\``);
  } finally {
    cache?.close();
    catalogs?.close();
    await endpoints.close();
  }
}

/** What moving one file takes. */
export interface MoveTools extends Pick<RunTools, 'open' | 'cache'> {
  readonly findListed?: RunTools['findListed'] | undefined;
  readonly warn?: (key: string, message: string) => void;
}

/** The same with endpoints that are open, as one item of a run; undefined when it was not begun. */
export async function moveBy(
  { open, cache, findListed, warn }: MoveTools,
  source: Place,
  destination: Place,
  { values, env, signal, onBytes, expected = [] }: Omit<MoveCall, 'say'>,
): Promise<Outcome | undefined> {
  let outcome: Outcome | undefined;
  let total: number | undefined;
  const emit: Emit = (event) => {
    if (event.type === 'item-ended') outcome = event.outcome;
    else if (event.type === 'item-size') total = event.bytes;
    else if (event.type === 'progress') onBytes?.(event.bytes, total);
    else if (event.type === 'resumed') onBytes?.(event.from, total);
    else if (event.type === 'warning') warn?.(event.key, event.message);
  };
  const input = {
    total: 1,
    async *requests(kind: string) {
      if (kind === 'transfer') yield requestFor(source, destination, expected);
    },
  };
  const initial = initialOf(env);
  const tools = { open, emit, random: randomFrom(env), cache, ...(findListed ? { findListed } : {}) };
  await run(input, runOptions({ ...initial, ...values, checksums: [] }, env), tools, signal);
  return outcome;
}

/** As `bridle cp` goes when nobody says otherwise. */
const initialOf = (env: Environment) => parseOptions([], CP_OPTIONS, { env }).values;

/** The outcome of what is there now; throws why it is not. `doing` names what was canceled. */
export function requireArrived(outcome: Outcome | undefined, doing: string): Outcome {
  if (outcome?.status === 'done' || outcome?.status === 'skipped') return outcome;
  const { failure } = outcome ?? {};
  if (!failure) throw new TransferError('canceled', `${doing}: canceled`);
  throw new TransferError(
    failure.code,
    failure.message,
    failure.hint === undefined ? {} : { hint: failure.hint },
  );
}

/** What lists of checksums say, to be closed; undefined without any. */
export async function openListed(
  files: readonly string[],
  warn: (key: string, message: string) => void,
): Promise<{ readonly find: FindListed; close(): void } | undefined> {
  if (files.length === 0) return undefined;
  const { openCatalogs } = await import('../../integrity/catalogs.ts');
  const catalogs = await badInput(() => openCatalogs(files, { directory: process.cwd() }));
  for (const message of catalogs.warnings) warn(message, message);
  return catalogs;
}

function requestFor(source: Place, destination: Place, expected: readonly Digest[]): TransferRequest {
  return {
    kind: 'transfer',
    index: 0,
    lfn: '',
    linkage: 'unknown',
    sources: [source],
    destinations: [destination],
    generateChecksum: false,
    verifyRemote: false,
    verifySymlinkSource: true,
    expected,
  };
}

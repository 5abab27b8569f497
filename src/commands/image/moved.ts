import { run } from '../../engine.ts';
import { TransferError } from '../../errors.ts';
import type { FindListed } from '../../integrity/listed.ts';
import { formatLocation } from '../../location.ts';
import type { Emit, Outcome } from '../../outcome.ts';
import type { Digest } from '../../protocol.ts';
import type { Environment, Place, TransferRequest } from '../../request.ts';
import { safeText } from '../../safe-text.ts';
import { lastName } from '../arguments.ts';
import { badInput } from '../failures.ts';
import { openCacheOf } from '../open-cache.ts';
import { CP_OPTIONS } from '../options.ts';
import { parseOptions } from '../parse-options.ts';
import { openSession, type ServiceValues } from '../session.ts';
import { type RunValues, randomFrom, runOptions } from '../settings.ts';

/** How one file is moved for a command. */
export interface MoveCall {
  readonly values: ServiceValues &
    Pick<RunValues, 'cache' | 'cacheSize' | 'cacheAge' | 'state'> & {
      readonly checksums?: readonly string[];
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
  const { values, env, signal, say, onBytes, expected = [] } = call;
  const initial = parseOptions([], CP_OPTIONS, { env }).values;
  const warned = new Set<string>();
  const warn = (key: string, message: string) => {
    if (!warned.has(key)) say(`warning: ${safeText(message)}`);
    warned.add(key);
  };
  let outcome: Outcome | undefined;
  let total: number | undefined;
  const emit: Emit = (event) => {
    if (event.type === 'item-ended') outcome = event.outcome;
    else if (event.type === 'item-size') total = event.bytes;
    else if (event.type === 'progress') onBytes?.(event.bytes, total);
    else if (event.type === 'resumed') onBytes?.(event.from, total);
    else if (event.type === 'warning') warn(event.key, event.message);
  };
  const request = requestFor(source, destination, expected);
  const input = {
    total: 1,
    async *requests(kind: string) {
      if (kind === 'transfer') yield request;
    },
  };
  const endpoints = openSession(values, { env, connections: initial.threads, warn });
  const catalogs = await openListed(values.checksums ?? [], warn);
  const cache = await openCacheOf(values);
  try {
    // Lists know it by its name or its URL; what it is called here is of no interest.
    const name = lastName(source.location);
    const listed = catalogs ? { findListed: () => catalogs.find(name, source.location) } : {};
    const tools = { open: endpoints.open, emit, random: randomFrom(env), cache, ...listed };
    await run(input, runOptions({ ...initial, ...values, checksums: [] }, env), tools, signal);
  } finally {
    cache?.close();
    catalogs?.close();
    await endpoints.close();
  }
  return arrived(outcome, request);
}

async function openListed(
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

function arrived(outcome: Outcome | undefined, { sources, destinations }: TransferRequest): Outcome {
  if (outcome?.status === 'done' || outcome?.status === 'skipped') return outcome;
  const { failure } = outcome ?? {};
  const [from, to] = [sources, destinations].map(([place]) => place && formatLocation(place.location));
  if (!failure) throw new TransferError('canceled', `copy \`${from}\` to \`${to}\`: canceled`);
  throw new TransferError(
    failure.code,
    failure.message,
    failure.hint === undefined ? {} : { hint: failure.hint },
  );
}

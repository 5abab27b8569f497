import { homedir } from 'node:os';
import { resolve } from 'node:path';
import metadata from '../package.json' with { type: 'json' };
import { systemClock } from './clock.ts';
import { CACHE_DEFAULTS, DEFAULTS } from './defaults.ts';
import { type RunOptions, type RunSummary, run } from './engine.ts';
import { TransferError } from './errors.ts';
import type { Catalogs } from './integrity/catalogs.ts';
import { openEndpoints, type ServiceOptions } from './library/endpoints.ts';
import { destinationKey } from './list/duplicates.ts';
import { formatLocation } from './location.ts';
import type { Emit, Event, Outcome } from './outcome.ts';
import type { Consumer } from './report/consumer.ts';
import { type Environment, parseEntry, type Request } from './request.ts';
import { stateDirectory } from './state-directory.ts';

export type { RunSummary } from './engine.ts';
export { type ErrorCode, TransferError } from './errors.ts';
export type { FormatName } from './integrity/manifests/manifest.ts';
export type { Requirement } from './integrity/policy.ts';
export {
  type ChecksumOptions,
  type Checksums,
  checksum,
  type Expectation,
  type VerifyOptions,
  verify,
} from './library/digests.ts';
export type { ServiceOptions } from './library/endpoints.ts';
export { formatLocation, type Location } from './location.ts';
export type { Attempt, Event, Failure, Grade, Outcome, RouteKind, Status, Verification } from './outcome.ts';
export type { Algorithm, Digest } from './protocol.ts';
export type { MkdirRequest, Place, RemoveRequest, Request, TransferRequest } from './request.ts';
export type { Verdict } from './verify.ts';

/** One URL of an entry. */
export interface EntryUrl {
  readonly site_label: string;
  readonly url: string;
  /** Higher is tried first. */
  readonly priority?: number;
}

/** What an entry of a transfer list asks for, as in the JSON that `bridle transfer` reads. */
export type Entry =
  | {
      readonly type: 'transfer';
      readonly src_urls: readonly EntryUrl[];
      readonly dest_urls: readonly EntryUrl[];
      readonly lfn?: string;
      /** Digests that the content must have, such as `{ sha256: '…' }`. */
      readonly checksum?: Readonly<Record<string, string>>;
      /** Bytes that the content must have. */
      readonly size?: number;
    }
  | { readonly type: 'mkdir'; readonly target: EntryUrl }
  | { readonly type: 'remove'; readonly target: EntryUrl & { readonly recursive?: boolean } };

/** Options of {@link transfer}; what is left out is as for `bridle transfer`. */
export interface TransferOptions extends Partial<Omit<RunOptions, 'fault'>>, ServiceOptions {
  /** Aborting it ends the run; what was not done is `canceled`, what was under way can be resumed. */
  readonly signal?: AbortSignal;
  /** Called for everything that happens, in order. Must return at once and not throw. */
  readonly onEvent?: (event: Event) => void;
  /** Files of expected digests, as for `--checksums`: each transfer that is listed is verified against them. */
  readonly catalogs?: readonly string[];
  /** A file that a receipt of everything done is appended to, with a sha256 where `checksums` asks for no other. */
  readonly receipts?: string;
  /** A file for the digests of everything done, in the format that its name tells; a sha256 as for `receipts`. */
  readonly writeChecksums?: string;
  /** Receipts files whose digests stand for reading unchanged local files again, where `update` compares them. */
  readonly trustUnchanged?: readonly string[];
  /** A directory that keeps what has a known digest for other runs of this machine, as `--cache` with its defaults. */
  readonly cache?: string;
  /** From 0 up to, not including, 1: draws the order among sources of equal priority, and how long back-off is. */
  readonly random?: () => number;
}

export interface TransferResult {
  /** One for each request, in the order of the input. */
  readonly outcomes: readonly Outcome[];
  /** Outcomes by status. */
  readonly summary: RunSummary;
}

/**
 * Brings every request to its outcome: directories first, then transfers, then, when all of them are done, removals.
 * A transfer that fails is an outcome, not an exception. Rejects with `invalid-request`, before anything is touched,
 * when an entry is malformed or two name the same destination; with what went wrong, after everything is done, when
 * `receipts` or `writeChecksums` could not be written.
 */
export async function transfer(
  requests: Iterable<Entry | Request> | AsyncIterable<Entry | Request>,
  options: TransferOptions = {},
): Promise<TransferResult> {
  const { signal = new AbortController().signal, onEvent, env = {}, random = Math.random } = options;
  const all = await collect(requests, env);
  const outcomes: Outcome[] = [];
  let consumers: readonly Consumer[] = [];
  const emit: Emit = (event) => {
    if (event.type === 'item-ended') outcomes[event.outcome.index] = event.outcome;
    for (const consumer of consumers) consumer.event(event);
    onEvent?.(event);
  };
  const cache = await openCacheOf(options);
  const endpoints = openEndpoints(options, {
    cache,
    connections: options.perHost ?? options.threads ?? DEFAULTS.threads,
    warn: (key, message) => emit({ type: 'warning', key, message }),
  });
  const trusted = await openTrust(options);
  const { find: findListed, close } = await readCatalogs(options, emit);
  try {
    consumers = await openConsumers(options, (message) => emit({ type: 'warning', key: message, message }));
  } catch (error) {
    close?.();
    throw error;
  }
  try {
    const input = {
      total: all.length,
      async *requests(kind: Request['kind']) {
        for (const request of all) if (request.kind === kind) yield request;
      },
    };
    const listed = findListed ? { findListed } : {};
    const tools = { open: endpoints.open, emit, random, trusted, cache, ...listed };
    return { summary: await run(input, runOptionsOf(options, env), tools, signal), outcomes };
  } finally {
    close?.();
    cache?.close();
    await endpoints.close();
    for (const consumer of consumers) await consumer.close();
  }
}

function runOptionsOf(options: TransferOptions, env: Environment): RunOptions {
  const { checksums = [], receipts, writeChecksums } = options;
  const isWritten = receipts !== undefined || writeChecksums !== undefined;
  return {
    ...DEFAULTS,
    state: stateDirectory(env, homedir()),
    ...definedOf(options),
    // A receipt without a digest proves nothing later.
    checksums: checksums.length === 0 && isWritten ? ['sha256'] : checksums,
    perHost: options.perHost ?? options.threads ?? DEFAULTS.threads,
  };
}

async function openConsumers(
  { receipts, writeChecksums }: TransferOptions,
  tell: (message: string) => void,
): Promise<readonly Consumer[]> {
  const consumers: Consumer[] = [];
  const warn = (line: string) => tell(line.replace(/^warning: /, '').trimEnd());
  if (receipts !== undefined) {
    const { receiptsFile } = await import('./report/receipts-file.ts');
    const options = { path: receipts, version: metadata.version, now: Date.now, warn };
    consumers.push(await receiptsFile(options));
  }
  if (writeChecksums !== undefined) {
    const { checksumsFile } = await import('./report/checksums-file.ts');
    consumers.push(checksumsFile({ path: writeChecksums, format: undefined, warn }));
  }
  return consumers;
}

async function openCacheOf({ cache, timeouts }: TransferOptions) {
  if (cache === undefined) return undefined;
  const { openCache } = await import('./cache/cache.ts');
  const patience = (timeouts?.stall ?? CACHE_DEFAULTS.patience) * 1000;
  return openCache({ directory: resolve(cache), bounds: CACHE_DEFAULTS, clock: systemClock, patience });
}

async function openTrust({ trustUnchanged = [] }: TransferOptions) {
  return trustUnchanged.length === 0
    ? undefined
    : (await import('./library/digests.ts')).openTrust(trustUnchanged);
}

async function readCatalogs({ catalogs = [] }: TransferOptions, emit: Emit): Promise<Partial<Catalogs>> {
  if (catalogs.length === 0) return {};
  const { openCatalogs } = await import('./integrity/catalogs.ts');
  const opened = await openCatalogs(catalogs, { directory: process.cwd() });
  for (const message of opened.warnings) emit({ type: 'warning', key: message, message });
  return opened;
}

async function collect(
  requests: Iterable<Entry | Request> | AsyncIterable<Entry | Request>,
  env: Environment,
): Promise<readonly Request[]> {
  const all: Request[] = [];
  const destinations = new Map<string, number>();
  for await (const given of requests) {
    const index = all.length;
    const request = isRequest(given) ? { ...given, index } : parseEntry(given, index, env);
    all.push(request);
    if (request.kind !== 'transfer') continue;
    const key = destinationKey(request);
    const first = destinations.get(key);
    if (first !== undefined) {
      const name = request.destinations[0] ? formatLocation(request.destinations[0].location) : '';
      throw new TransferError(
        'invalid-request',
        `requests[${index}]: expected each destination once, \`${name}\` is that of requests[${first}] too`,
      );
    }
    destinations.set(key, index);
  }
  return all;
}

function isRequest(given: Entry | Request): given is Request {
  return typeof given === 'object' && given !== null && 'kind' in given;
}

/** An option that is present but undefined is one left out. */
function definedOf(options: TransferOptions): Partial<RunOptions> {
  const names = [
    ...Object.keys(DEFAULTS),
    'bandwidth',
    'blocks',
    'require',
    'state',
  ] as (keyof TransferOptions)[];
  return Object.fromEntries(
    names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  );
}

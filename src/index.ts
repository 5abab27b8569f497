import { homedir, userInfo } from 'node:os';
import metadata from '../package.json' with { type: 'json' };
import { DEFAULTS } from './defaults.ts';
import { createEndpoints } from './endpoints.ts';
import { type RunOptions, type RunSummary, run } from './engine.ts';
import { TransferError } from './errors.ts';
import { ftpSettings } from './ftp/settings.ts';
import type { Timeouts } from './http/client.ts';
import { lazyHttp } from './lazy-http.ts';
import { destinationKey } from './list/duplicates.ts';
import { formatLocation } from './location.ts';
import type { Emit, Event, Outcome } from './outcome.ts';
import { type Environment, parseEntry, type Request } from './request.ts';
import { stateDirectory } from './state-directory.ts';

export type { RunSummary } from './engine.ts';
export { type ErrorCode, TransferError } from './errors.ts';
export type { Requirement } from './integrity/policy.ts';
export { formatLocation, type Location } from './location.ts';
export type { Attempt, Event, Failure, Grade, Outcome, RouteKind, Status, Verification } from './outcome.ts';
export type { Algorithm, Digest } from './protocol.ts';
export type { MkdirRequest, Place, RemoveRequest, Request, TransferRequest } from './request.ts';

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
export interface TransferOptions extends Partial<Omit<RunOptions, 'fault'>> {
  /** Aborting it ends the run; what was not done is `canceled`, what was under way can be resumed. */
  readonly signal?: AbortSignal;
  /** Called for everything that happens, in order. Must return at once and not throw. */
  readonly onEvent?: (event: Event) => void;
  /**
   * Variables for credentials, proxies and `$NAME` in local URLs. The environment of the process is not read: pass
   * `process.env` for what the command would do.
   */
  readonly env?: Environment;
  /** Files of expected digests, as for `--checksums`: each transfer that is listed is verified against them. */
  readonly catalogs?: readonly string[];
  /** PEM texts of certificate authorities to trust beside those of Node. */
  readonly ca?: readonly string[];
  /** False: any certificate is accepted, with a warning. */
  readonly verifyTls?: boolean;
  /** Which keys of ssh hosts are believed: known ones (`verify`), new ones, too (`accept-new`), or any (`off`). */
  readonly sshHostKey?: 'verify' | 'accept-new' | 'off';
  readonly timeouts?: Partial<Timeouts>;
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
 * when an entry is malformed or two name the same destination.
 */
export async function transfer(
  requests: Iterable<Entry | Request> | AsyncIterable<Entry | Request>,
  options: TransferOptions = {},
): Promise<TransferResult> {
  const { signal = new AbortController().signal, onEvent, env = {}, random = Math.random } = options;
  const all = await collect(requests, env);
  const outcomes: Outcome[] = [];
  const emit: Emit = (event) => {
    if (event.type === 'item-ended') outcomes[event.outcome.index] = event.outcome;
    onEvent?.(event);
  };
  const runOptions: RunOptions = {
    ...DEFAULTS,
    state: stateDirectory(env, homedir()),
    ...definedOf(options),
    perHost: options.perHost ?? options.threads ?? DEFAULTS.threads,
  };
  const endpoints = openEndpoints(options, env, runOptions.perHost, emit);
  try {
    const input = {
      total: all.length,
      async *requests(kind: Request['kind']) {
        for (const request of all) if (request.kind === kind) yield request;
      },
    };
    const tools = { open: endpoints.open, emit, random, ...(await readCatalogs(options, emit)) };
    const summary = await run(input, runOptions, tools, signal);
    return { outcomes, summary };
  } finally {
    await endpoints.close();
  }
}

async function readCatalogs({ catalogs = [] }: TransferOptions, emit: Emit) {
  if (catalogs.length === 0) return {};
  const { openCatalogs } = await import('./integrity/catalogs.ts');
  const { find, warnings } = await openCatalogs(catalogs, { directory: process.cwd() });
  for (const message of warnings) emit({ type: 'warning', key: message, message });
  return { findListed: find };
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
  const names = [...Object.keys(DEFAULTS), 'bandwidth', 'require', 'state'] as (keyof TransferOptions)[];
  return Object.fromEntries(
    names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  );
}

function openEndpoints(options: TransferOptions, env: Environment, connections: number, emit: Emit) {
  const warn = (key: string, message: string) => emit({ type: 'warning', key, message });
  const credentials = lazily(async () => {
    const { createCredentials } = await import('./credentials/credentials.ts');
    return createCredentials({
      env,
      home: env.HOME || homedir(),
      uid: userInfo().uid,
      warn,
      sshHostKey: options.sshHostKey,
    });
  });
  return createEndpoints({
    settings: {
      net: {
        connections,
        timeouts: options.timeouts,
        authorities: async () => options.ca ?? [],
        verifyTls: options.verifyTls ?? true,
        warn,
      },
      ftp: ftpSettings(env),
    },
    http: lazyHttp(async () => {
      const { createHttpClient } = await import('./http/client.ts');
      return createHttpClient({
        version: metadata.version,
        connectionsPerOrigin: connections,
        proxyEnv: env,
        warn,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        ...(options.verifyTls === undefined ? {} : { verifyTls: options.verifyTls }),
        ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
      });
    }),
    secretsFor: async (location, fromUrl, again) =>
      (await credentials()).secretsFor(location, fromUrl, again),
  });
}

function lazily<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined;
  return () => {
    loading ??= load();
    return loading;
  };
}

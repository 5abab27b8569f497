import { resolve } from 'node:path';
import { type ChecksumTask, type ChecksumTools, checksumFiles } from '../checksum.ts';
import { systemClock } from '../clock.ts';
import { DEFAULTS } from '../defaults.ts';
import { TransferError } from '../errors.ts';
import { parseDigest } from '../integrity/expected.ts';
import { openTrusted, type Trusted } from '../integrity/trusted.ts';
import { isSlow } from '../local/slow.ts';
import { localLocation, parseUrl } from '../location.ts';
import type { OutcomeBlocks } from '../outcome.ts';
import type { Algorithm } from '../protocol.ts';
import type { Place } from '../request.ts';
import { type Verdict, type VerifyTask, verifyFiles } from '../verify.ts';
import { openEndpoints, type ServiceOptions } from './endpoints.ts';

/** What {@link checksum} and {@link verify} take both. */
export interface DigestOptions extends ServiceOptions {
  /** Aborting it ends the iteration with `canceled`. */
  readonly signal?: AbortSignal;
  /** Files of services that are read at a time. */
  readonly threads?: number;
  /** Receipts files whose digests stand for reading files of this machine that are unchanged since; each result says so. */
  readonly trustUnchanged?: readonly string[];
  readonly onWarning?: (message: string) => void;
}

/** Options of {@link checksum}. */
export interface ChecksumOptions extends DigestOptions {
  /** All in one pass; sha256 without it. */
  readonly algorithms?: readonly Algorithm[];
  /** The sha256 of each block of 8 MiB, too. */
  readonly blocks?: boolean;
}

/** What became of one file. */
export type Checksums =
  | {
      /** As it was given. */
      readonly name: string;
      /** Lower-case hexadecimal. */
      readonly digests: Readonly<Partial<Record<Algorithm, string>>>;
      /** Bytes. */
      readonly size: number;
      readonly blocks?: OutcomeBlocks;
      /** Which receipt the digests are of, where they were not made now. */
      readonly reused?: string;
      readonly failure?: undefined;
    }
  | { readonly name: string; readonly failure: TransferError };

/**
 * The digests of files, paths or URLs of any protocol, in their order. A file that cannot be read is a result with a
 * `failure` and stops no other. Rejects with `invalid-request` for a name that is no place, `canceled` when aborted.
 */
export async function* checksum(
  files: Iterable<string> | AsyncIterable<string>,
  options: ChecksumOptions = {},
): AsyncGenerator<Checksums> {
  const { algorithms = ['sha256'], blocks = false } = options;
  async function* tasks(): AsyncGenerator<ChecksumTask> {
    for await (const name of files) yield { name, place: placeOf(name), algorithms, blocks };
  }
  yield* withTools(options, async function* (tools) {
    for await (const { task, result } of checksumFiles(tasks(), tools)) {
      if (result instanceof TransferError) {
        if (result.code === 'canceled') throw result;
        yield { name: task.name, failure: result };
        continue;
      }
      const { size, blocks: ofBlocks, reused } = result;
      yield {
        name: task.name,
        digests: Object.fromEntries(result.digests.map(({ algorithm, value }) => [algorithm, value])),
        size,
        ...(ofBlocks ? { blocks: ofBlocks } : {}),
        ...(reused === undefined ? {} : { reused }),
      };
    }
  });
}

/** A file and what it must be. */
export interface Expectation {
  /** A path or URL. */
  readonly file: string;
  /** Such as `{ sha256: '…' }`: all of them must hold, and there must be one. */
  readonly digests: Readonly<Partial<Record<Algorithm, string>>>;
  /** Bytes. */
  readonly size?: number;
}

/** Options of {@link verify}. */
export interface VerifyOptions extends DigestOptions {
  /** Read every byte past every cache, whatever a service says that it stores. */
  readonly read?: boolean;
}

/**
 * Compares files with what they must be, in the order of `expected`: `proven`, `wrong`, `missing` or `unverifiable`. A
 * service's own digest counts where it is of the strongest algorithm given. Rejects with `invalid-request` for a name that
 * is no place and for digests that are none, `canceled` when aborted.
 */
export async function* verify(
  expected: Iterable<Expectation> | AsyncIterable<Expectation>,
  options: VerifyOptions = {},
): AsyncGenerator<Verdict> {
  const { read = false } = options;
  async function* tasks(): AsyncGenerator<VerifyTask> {
    for await (const one of expected) yield taskOf(one);
  }
  yield* withTools(options, (tools) => verifyFiles(tasks(), { ...tools, read, fresh: read }));
}

function taskOf({ file, digests, size }: Expectation): VerifyTask {
  const read = Object.entries(digests).map(([algorithm, value]) => parseDigest(algorithm, value));
  if (read.length === 0) {
    throw new TransferError('invalid-request', `verify \`${file}\`: expected a digest, got none`);
  }
  return { name: file, place: placeOf(file), digests: read, size };
}

/** What {@link DigestOptions.trustUnchanged} names. Throws `invalid-request` for what is not to be trusted. */
export function openTrust(paths: readonly string[]): Trusted {
  return openTrusted(paths, { isSlow });
}

async function* withTools<T>(
  options: DigestOptions,
  work: (tools: ChecksumTools) => AsyncIterable<T>,
): AsyncGenerator<T> {
  const { signal = new AbortController().signal, threads = DEFAULTS.threads, trustUnchanged = [] } = options;
  const trusted = trustUnchanged.length === 0 ? undefined : openTrust(trustUnchanged);
  const endpoints = openEndpoints(options, {
    connections: threads,
    warn: (_, message) => options.onWarning?.(message),
  });
  try {
    yield* work({
      open: endpoints.open,
      clock: systemClock,
      random: Math.random,
      signal,
      threads,
      trusted,
    });
  } finally {
    await endpoints.close();
  }
}

const FILE_URL = /^file:(?:\/\/(?:localhost)?(?=\/))?(.*)$/is;
const URL_NAME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//;

/** A path of this machine, unless it begins as a URL does. */
function placeOf(text: string): Place {
  const [, path] = FILE_URL.exec(text) ?? [];
  if (path === undefined && URL_NAME.test(text)) return parseUrl(text);
  if (text === '') throw new TransferError('invalid-request', 'expected a path or URL, got an empty text');
  return { location: localLocation(resolve(path ?? text)) };
}

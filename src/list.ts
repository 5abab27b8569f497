import { TransferError } from './errors.ts';
import { createHashSet, destinationKey, hashKey } from './list/duplicates.ts';
import { findBinary, locate } from './list/flaw.ts';
import { createJsonFormat, createTextFormat, startsAsText, withoutMark } from './list/formats.ts';
import { type ListInput, openFile, spoolStream } from './list/input.ts';
import { createProblems } from './list/problems.ts';
import { formatLocation } from './location.ts';
import type { Environment, Request } from './request.ts';

export interface ListSummary {
  readonly total: number;
  readonly transfers: number;
  readonly mkdirs: number;
  readonly removes: number;
  /** Transfers whose destination an earlier one of the list has already. */
  readonly duplicates: number;
}

export interface RequestList {
  readonly summary: ListSummary;
  /** The requests in the order of the input, read from it again; rejects with `changed` when it is no longer the same. */
  requests(kind?: Request['kind']): AsyncIterable<Request>;
  close(): Promise<void>;
}

export type ListSource =
  | { readonly path: string; readonly spoolDirectory?: string }
  | { readonly stream: AsyncIterable<Uint8Array>; readonly spoolDirectory: string };

export interface ListOptions {
  /** Variables that `$NAME` in local URLs may name. */
  readonly env: Environment;
  /** A destination named twice is counted, not refused. */
  readonly allowDuplicates?: boolean;
}

/** Destinations compared as texts at a time, which is what bounds the memory of a list full of duplicates. */
const SUSPECTS_AT_ONCE = 100_000;

/**
 * The transfer list in a file or stream, JSON or text, after a first pass that checked every entry and counted.
 * Memory does not grow with the list but for 16 bytes or so an entry. Rejects with `invalid-request`, naming the
 * first ten bad entries or destinations named twice, and as reading a file does.
 */
export async function openList(source: ListSource, options: ListOptions): Promise<RequestList> {
  const input =
    'path' in source
      ? await openFile(source.path, source.spoolDirectory)
      : await spoolStream('the transfer list', source.stream, source.spoolDirectory);
  try {
    const list = { input, env: options.env, isText: await startsAsText(input) };
    const summary = await survey(list, options);
    return {
      summary,
      requests: (kind) => readRequests(list, summary, kind),
      close: () => input.close(),
    };
  } catch (error) {
    await input.close().catch(() => {});
    throw error;
  }
}

/** What every pass over a list needs. */
interface OpenedList {
  readonly input: ListInput;
  readonly env: Environment;
  readonly isText: boolean;
}

async function survey(list: OpenedList, options: ListOptions): Promise<ListSummary> {
  const counts = { transfer: 0, mkdir: 0, remove: 0 };
  const problems = createProblems(list.input.name);
  const destinations = createHashSet();
  const suspects = new Set<number>();
  for await (const item of parseAll(list)) {
    if (item instanceof TransferError) {
      problems.add(item);
      continue;
    }
    counts[item.kind]++;
    if (item.kind !== 'transfer') continue;
    const hash = hashKey(destinationKey(item));
    if (!destinations.add(hash)) suspects.add(hash);
  }
  problems.throwAny();
  let duplicates = 0;
  for await (const duplicate of confirmDuplicates(list, suspects)) {
    duplicates++;
    if (!options.allowDuplicates) problems.add(duplicate);
  }
  problems.throwAny();
  const { transfer: transfers, mkdir: mkdirs, remove: removes } = counts;
  return { total: transfers + mkdirs + removes, transfers, mkdirs, removes, duplicates };
}

/** Equal hashes only make a suspect; the texts decide. */
async function* confirmDuplicates(
  list: OpenedList,
  suspects: ReadonlySet<number>,
): AsyncGenerator<TransferError, void, undefined> {
  const hashes = [...suspects];
  for (let done = 0; done < hashes.length; done += SUSPECTS_AT_ONCE) {
    const wanted = new Set(hashes.slice(done, done + SUSPECTS_AT_ONCE));
    const seen = new Map<string, number>();
    for await (const item of parseAll(list, 'transfer')) {
      if (item instanceof TransferError || item.kind !== 'transfer') continue;
      const key = destinationKey(item);
      if (!wanted.has(hashKey(key))) continue;
      const first = seen.get(key);
      if (first === undefined) {
        seen.set(key, item.index);
        continue;
      }
      const destination = formatLocation(item.destinations[0]!.location);
      const [here, there] = list.isText
        ? [`pair ${item.index + 1}`, `pair ${first + 1}`]
        : [`requests[${item.index}].dest_urls[0].url`, `requests[${first}]`];
      yield new TransferError(
        'invalid-request',
        `${here}: expected each destination once, \`${destination}\` is that of ${there} too`,
      );
    }
  }
}

async function* readRequests(
  list: OpenedList,
  summary: ListSummary,
  kind?: Request['kind'],
): AsyncGenerator<Request, void, undefined> {
  const counts = { transfer: summary.transfers, mkdir: summary.mkdirs, remove: summary.removes };
  if (kind !== undefined && counts[kind] === 0) return;
  for await (const item of parseAll(list, kind)) {
    if (item instanceof TransferError) throw item;
    yield item;
  }
}

/** Requests and, in their place, what is wrong with an entry. Throws what leaves no way to find the next entry. */
async function* parseAll(
  { input, env, isText }: OpenedList,
  kind?: Request['kind'],
): AsyncGenerator<Request | TransferError, void, undefined> {
  const format = isText ? createTextFormat(env, kind) : createJsonFormat(env, kind);
  let end = 0;
  for await (const chunk of input.chunks()) {
    end = chunk.offset + chunk.bytes.length;
    const binary = findBinary(chunk);
    if (binary) throw await locate(binary, input);
    for (const item of format.push(withoutMark(chunk))) {
      if ('flaw' in item) throw await locate(item, input);
      yield item;
    }
  }
  for (const item of format.end(end)) {
    if ('flaw' in item) throw await locate(item, input);
    yield item;
  }
}

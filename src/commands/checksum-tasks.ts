import { statSync } from 'node:fs';
import { normalize, relative } from 'node:path';
import type { ChecksumTask } from '../checksum.ts';
import { TransferError } from '../errors.ts';
import { BATCH } from '../integrity/digest-pool.ts';
import { listFiles } from '../local/tree.ts';
import { formatLocation } from '../location.ts';
import { isLocal } from '../plan.ts';
import type { Algorithm } from '../protocol.ts';
import type { Place } from '../request.ts';
import { below, isStandardStream, parseArgument, STANDARD_STREAM } from './arguments.ts';
import { type ExpandTools, expandPlaces } from './expand.ts';

export interface TaskTools extends ExpandTools {
  readonly algorithms: readonly Algorithm[];
  readonly blocks: boolean;
  /** Names are relative to this directory of this machine. */
  readonly root: string | undefined;
  /** Files below directories that are left out, by their path. */
  readonly isOwn: (path: string) => boolean;
  /** Takes the problem of an argument or an entry that cannot be digested; the rest goes on. */
  readonly refuse: (error: unknown) => void;
}

/**
 * The files that arguments stand for, directories with everything below, under the names they go by in the sums. Many at
 * a time.
 */
export async function* tasksOf(
  texts: Iterable<string> | AsyncIterable<string>,
  tools: TaskTools,
): AsyncGenerator<readonly ChecksumTask[]> {
  let batch: ChecksumTask[] = [];
  for await (const some of tasksOfEach(texts, tools)) {
    // Neither many small batches nor a copy of each large one.
    if (batch.length === 0 && some.length === BATCH) yield some;
    else for (const task of some) batch.push(task);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function* tasksOfEach(
  texts: Iterable<string> | AsyncIterable<string>,
  tools: TaskTools,
): AsyncGenerator<readonly ChecksumTask[]> {
  for await (const text of texts) {
    try {
      yield* tasksOfOne(text, tools);
    } catch (error) {
      tools.refuse(error);
    }
  }
}

async function* tasksOfOne(text: string, tools: TaskTools): AsyncGenerator<readonly ChecksumTask[]> {
  const { algorithms, blocks } = tools;
  if (text === '-') {
    yield [{ place: STANDARD_STREAM, name: '-', algorithms, blocks }];
    return;
  }
  const given = parseArgument(text);
  for (const place of await expandPlaces([given], tools)) {
    const shown = isLocal(place.location) ? localName(text) : formatLocation(place.location);
    if (!(await isDirectory(place, tools))) {
      yield [{ place, name: rooted(shown, tools), algorithms, blocks }];
      continue;
    }
    if (isLocal(place.location)) yield* tasksBelowHere(place, shown, tools);
    else yield* tasksBelowThere(place, tools);
  }
}

/** `file:` URLs name what their path does. */
function localName(text: string): string {
  const place = parseArgument(text);
  return /^[A-Za-z]+:/.test(text) && isLocal(place.location) ? place.location.path : text;
}

async function isDirectory(place: Place, { endpoints, signal }: TaskTools): Promise<boolean> {
  const { location } = place;
  if (isStandardStream(place)) return false;
  if (isLocal(location)) return statSync(location.path, { throwIfNoEntry: false })?.isDirectory() === true;
  const endpoint = await endpoints.open(place);
  if (!endpoint.list) return false;
  if (location.path === '' || location.path.endsWith('/')) return true;
  return (await endpoint.stat(location.path, { signal })).type === 'directory';
}

function* tasksBelowHere(place: Place, shown: string, tools: TaskTools): Generator<readonly ChecksumTask[]> {
  const { algorithms, blocks } = tools;
  const prefix = shown.replace(/\/+$/, '');
  let batch: ChecksumTask[] = [];
  try {
    for (const { name, problem } of listFiles(place.location.path)) {
      if (problem !== undefined) {
        tools.refuse(new TransferError('unsupported', problem));
        continue;
      }
      const file = below(place, name);
      if (tools.isOwn(file.location.path)) continue;
      batch.push({ place: file, name: rooted(`${prefix}/${name}`, tools), algorithms, blocks });
      if (batch.length < BATCH) continue;
      yield batch;
      batch = [];
    }
  } catch (error) {
    if (batch.length > 0) yield batch;
    throw error;
  }
  if (batch.length > 0) yield batch;
}

async function* tasksBelowThere(place: Place, tools: TaskTools): AsyncGenerator<readonly ChecksumTask[]> {
  const { algorithms, blocks, signal } = tools;
  const endpoint = await tools.endpoints.open(place);
  for await (const entry of endpoint.list?.(place.location.path, { recursive: true, signal }) ?? []) {
    if (entry.problem !== undefined) {
      tools.refuse(new TransferError('unsupported', entry.problem));
      continue;
    }
    // Links to directories are not entered: what they lead to is listed where it is, or not at all.
    if (entry.stat.type === 'directory' || entry.stat.type === 'symlink') continue;
    const file = below(place, entry.name);
    yield [{ place: file, name: rooted(formatLocation(file.location), tools), algorithms, blocks }];
  }
}

function rooted(name: string, { root }: TaskTools): string {
  if (root === undefined) return name;
  const from = relative(root, normalize(name));
  const isUrl = /^[A-Za-z][\w+.-]*:\/\//.test(name);
  // A lone dash would be standard input to whoever reads the sums.
  if (from !== '' && !from.startsWith('../') && from !== '..' && !isUrl) return from === '-' ? './-' : from;
  throw new TransferError('invalid-request', `\`${name}\`: expected a file below \`${root}\` (--root)`);
}

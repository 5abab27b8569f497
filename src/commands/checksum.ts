import { dirname, relative, resolve } from 'node:path';
import { type ChecksumResult, type ChecksumTask, checksumBatches } from '../checksum.ts';
import { systemClock } from '../clock.ts';
import { TransferError, toTransferError } from '../errors.ts';
import { findFormat } from '../integrity/manifests/formats.ts';
import type { FormatName } from '../integrity/manifests/manifest.ts';
import { isBelowRoot, isSelfRooted } from '../integrity/manifests/names.ts';
import { isLocal } from '../plan.ts';
import type { Algorithm } from '../protocol.ts';
import { safeText } from '../report/format.ts';
import { openPartialFile, type PartialFile } from '../report/partial-file.ts';
import { isStandardStream } from './arguments.ts';
import { type TaskTools, tasksOf } from './checksum-tasks.ts';
import { EXIT } from './failures.ts';
import type { Io } from './io.ts';
import type { Values } from './option.ts';
import { CHECKSUM_OPTIONS } from './options.ts';
import { ownFiles } from './own-files.ts';
import { parseOptions } from './parse-options.ts';
import { readLines } from './read-lines.ts';
import { openSession } from './session.ts';
import { statusOf, watchSignals } from './signals.ts';
import { noteReuse, readTrusted } from './trusted-files.ts';

/** Text collected before it is written: a call for each of a million lines would cost more than the lines. */
const BATCH = 64 * 1024;

/** `bridle checksum PLACE...`: digests of files, of everything below directories, and of URLs, written down in a format that others read. */
export async function checksum(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, CHECKSUM_OPTIONS, { env: io.env });
  const algorithms = values.algorithm;
  const writer = writerOf(values, algorithms);
  if (positionals.length === 0 && values.filesFrom === undefined) {
    throw new TransferError('invalid-request', 'expected a path or URL, got nothing', {
      hint: '`-` stands for standard input, `.` for everything here',
    });
  }
  const trusted = readTrusted(values.trustUnchanged);
  const endpoints = openSession(values, {
    env: io.env,
    connections: values.threads,
    warn: (_, message) => io.err(`warning: ${message}\n`),
  });
  const watch = watchSignals();
  const notes = noteReuse(values, io);
  let failures = 0;
  const refuse = (error: unknown) => {
    failures += 1;
    const { message, hint } = toTransferError(error, 'checksum');
    io.err(`bridle: ${safeText(message)}\n${hint === undefined ? '' : `hint: ${safeText(hint)}\n`}`);
  };
  const sink = openSink(values.output, io);
  const nameOf = namerOf(values);
  try {
    const tools: TaskTools = {
      endpoints,
      algorithms,
      blocks: values.blocks,
      signal: watch.signal,
      root: values.root,
      isOwn: ownFiles(values.output),
      refuse,
    };
    const tasks = tasksOf(namesFrom(values, positionals, io), tools);
    sink.write(writer.begin());
    for await (const some of checksumBatches(tasks, {
      open: endpoints.open,
      clock: systemClock,
      random: Math.random,
      signal: watch.signal,
      threads: values.threads,
      trusted,
    })) {
      if (watch.received() !== undefined) break;
      for (const { task, result } of some) {
        if (result instanceof TransferError) {
          refuse(result);
          continue;
        }
        notes.made(task, result);
        attempt(() => sink.write(writer.entry({ ...entryOf(task, result), name: nameOf(task) })), refuse);
      }
    }
    sink.write(writer.end());
    const signal = watch.received();
    if (signal !== undefined) return statusOf(signal);
    sink.close(failures === 0);
    notes.end();
    if (failures > 0 && values.output !== undefined) {
      io.err(`bridle checksum: \`${values.output}\` was not written: ${failures} failed\n`);
    }
    return failures === 0 ? EXIT.done : EXIT.failed;
  } catch (error) {
    const signal = watch.received();
    if (signal !== undefined) return statusOf(signal);
    throw error;
  } finally {
    sink.discard();
    watch.stop();
    await endpoints.close();
  }
}

function entryOf({ name, place }: ChecksumTask, { digests, size, blocks, reused }: ChecksumResult) {
  const more = { ...(blocks ? { blocks } : {}), ...(reused === undefined ? {} : { reused }) };
  return { name, digests, size, ...more, isStandardInput: isStandardStream(place) };
}

/** A list whose names are relative to its own directory gets such names wherever it is written to. */
function namerOf(values: Values<typeof CHECKSUM_OPTIONS>): (task: ChecksumTask) => string {
  const { output, root } = values;
  const directory = output === undefined ? resolve('.') : dirname(resolve(output));
  if (root !== undefined || directory === resolve('.') || !isSelfRooted(formatOf(values))) {
    return ({ name }) => name;
  }
  return ({ name, place }) => {
    if (!isLocal(place.location) || isStandardStream(place)) return name;
    const beside = relative(directory, resolve(name));
    return isBelowRoot(beside) ? beside : resolve(name);
  };
}

function formatOf({ format, blocks, algorithm }: Values<typeof CHECKSUM_OPTIONS>): FormatName {
  return format ?? (blocks ? 'json' : algorithm.length > 1 ? 'bsd' : 'sums');
}

function attempt(work: () => void, refuse: (error: unknown) => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    refuse(error);
  }
}

function writerOf(values: Values<typeof CHECKSUM_OPTIONS>, algorithms: readonly Algorithm[]) {
  const name = formatOf(values);
  const [algorithm] = algorithms;
  const format = findFormat(name);
  if (values.blocks && name !== 'json') {
    throw new TransferError('invalid-request', `--blocks: \`${name}\` has no room for them`, {
      hint: 'use --format json, or none',
    });
  }
  if (!format.write)
    throw new TransferError('invalid-request', `--format: \`${name}\` can be read, not written`);
  return format.write(algorithms.length === 1 && algorithm ? { algorithm } : {});
}

async function* namesFrom(
  values: Values<typeof CHECKSUM_OPTIONS>,
  positionals: readonly string[],
  io: Io,
): AsyncGenerator<string> {
  yield* positionals;
  if (values.filesFrom !== undefined) yield* readLines(values.filesFrom, values.null ? '\0' : '\n', io);
}

interface Sink {
  write(text: string): void;
  /** What was written is seen, or dropped where it went to a file. */
  close(isWhole: boolean): void;
  discard(): void;
}

function openSink(path: string | undefined, io: Io): Sink {
  const file: PartialFile | undefined = path === undefined ? undefined : openPartialFile(resolve(path));
  let pending = '';
  const flush = () => {
    if (pending !== '') io.out(pending);
    pending = '';
  };
  return {
    write(text) {
      if (file) return file.append(text);
      pending += text;
      if (pending.length >= BATCH) flush();
    },
    close(isWhole) {
      if (!file) flush();
      else if (isWhole) file.publish();
    },
    discard() {
      if (file) file.discard();
      else flush();
    },
  };
}

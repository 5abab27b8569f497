import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import { writerId, writerLives } from '../local/writer.ts';

/** Written in few large calls: one a record would cost more than the record. */
export const BATCH = 64 * 1024;

/** Names tried for one file before giving up. */
const MOST_NAMES = 10_000;

/** A file that grows under a hidden name and is seen under its own once it is whole. */
export interface PartialFile {
  /** Takes text; written in batches. After a failure nothing more is written. */
  append(text: string): void;
  /** Writes what is left and publishes the file: as `path`, replacing what was there. Throws the first failure. */
  publish(): void;
  /** As `publish`, under the first of `names(0), names(1), …` that does not exist; returns it. Never replaces a file. */
  publishAsNew(names: (attempt: number) => string): string;
  /** Removes the hidden file. Without effect after publishing. */
  discard(): void;
}

let sequence = 0;

/** What runs that were killed left of this file. */
function removeLeftovers(directory: string, visible: string): void {
  for (const name of namesIn(directory)) {
    if (!name.startsWith(`.${visible}.`) || !name.endsWith('.partial')) continue;
    const writer = /^([0-9a-f-]{30})-[0-9a-f]+\.partial$/.exec(name.slice(visible.length + 2))?.[1];
    const touched = statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs;
    if (writer === undefined || touched === undefined || writerLives(writer, touched, Date.now())) continue;
    rmSync(join(directory, name), { force: true });
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Opens the hidden file beside `path`, with the usual mode. Throws a `TransferError` when that cannot be done. */
export function openPartialFile(path: string): PartialFile {
  // Cut, because a name of 255 bytes leaves no room for more.
  const visible = basename(path).slice(0, 60);
  const doing = `writing \`${path}\``;
  removeLeftovers(dirname(path), visible);
  sequence += 1;
  const hidden = join(dirname(path), `.${visible}.${writerId()}-${sequence.toString(16)}.partial`);
  let descriptor: number | undefined = attempt(doing, () => openSync(hidden, 'wx', 0o666));
  let pending = '';
  let failure: TransferError | undefined;

  function flush(): void {
    const text = pending;
    pending = '';
    if (failure !== undefined || descriptor === undefined) return;
    const bytes = Buffer.from(text);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
    } catch (error) {
      failure = toTransferError(error, doing);
    }
  }

  function close(): void {
    if (descriptor === undefined) return;
    closeSync(descriptor);
    descriptor = undefined;
  }

  function discard(): void {
    const wasOpen = descriptor !== undefined;
    close();
    if (wasOpen) rmSync(hidden, { force: true });
  }

  function finish<T>(publish: () => T): T {
    flush();
    try {
      if (failure !== undefined) throw failure;
      return attempt(doing, () => {
        if (descriptor !== undefined) fsyncSync(descriptor);
        return publish();
      });
    } catch (error) {
      discard();
      throw error;
    } finally {
      close();
    }
  }

  return {
    append(text) {
      pending += text;
      if (pending.length >= BATCH) flush();
    },
    publish: () => finish(() => renameSync(hidden, path)),
    publishAsNew: (names) => finish(() => moveToFreeName(hidden, names)),
    discard,
  };
}

/** What `work` returns; what it throws is a `TransferError`. */
export function attempt<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

/** A hard link is refused for a name that exists, where a rename would replace the file. */
function moveToFreeName(hidden: string, names: (attempt: number) => string): string {
  for (let count = 0; count < MOST_NAMES; count++) {
    const name = names(count);
    try {
      claim(hidden, name);
      return name;
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }
  throw new TransferError('already-exists', `writing \`${names(0)}\`: ${MOST_NAMES} names are taken`);
}

function claim(hidden: string, name: string): void {
  try {
    linkSync(hidden, name);
    rmSync(hidden);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== 'EPERM' && errno !== 'ENOTSUP' && errno !== 'EOPNOTSUPP' && errno !== 'ENOSYS') throw error;
    // No hard links on this file system: an empty file of ours holds the name until the rename.
    closeSync(openSync(name, 'wx'));
    renameSync(hidden, name);
  }
}

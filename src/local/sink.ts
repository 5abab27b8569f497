import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import type { Bytes, PartialWrite, Staged, WriteCall } from '../protocol.ts';
import { fileVersion } from '../regular-file.ts';
import { giveBack, MEDIUM_BYTES } from '../slabs.ts';
import { syncDirectory } from './directory-sync.ts';
import { freeBytes, syncFile, writeAt } from './disk.ts';
import {
  claimPartial,
  dropJournal,
  dropPartial,
  forgetFolder,
  hasLeftovers,
  keepPartial,
  newPartial,
  type PartialFolder,
  partialFolder,
  releasePartial,
} from './partials.ts';
import { openSource } from './source.ts';
import { store } from './store-thread.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;

/** Files below this are not asked about free space: the answer costs more than the failed write. */
const SPACE_CHECK_BYTES = 1024 * 1024;

/** What stands under the final name, as far as a write cares: its permission bits when it is a file. */
export async function inspectDestination(place: PartialFolder, path: string): Promise<number | undefined> {
  const stat = await place.calls.look(path);
  if (stat?.isDirectory()) {
    throw new TransferError('already-exists', `write \`${path}\`: expected a file name, got a directory`);
  }
  if (stat && !stat.isFile() && !stat.isSymbolicLink()) {
    // A rename would put a file in the place of `/dev/null`, for all the machine.
    throw new TransferError(
      'already-exists',
      `write \`${path}\`: expected a file name, got a device, a FIFO or a socket`,
    );
  }
  return stat?.isFile() ? stat.mode & 0o777 : undefined;
}

/** Permission bits that the file must end up with; undefined when the umask decides. */
async function keptMode(place: PartialFolder, path: string, call: WriteCall): Promise<number | undefined> {
  const there = place.wasEmpty ? undefined : await inspectDestination(place, path);
  return call.exactMode === undefined ? there : call.exactMode & 0o777;
}

/** What a dead writer, or an earlier attempt, left under this key; claimed for this process. */
export function claimWrite(path: string, key: string): undefined | Promise<PartialWrite | undefined> {
  return hasLeftovers(dirname(path), key) ? claimLeft(path, key) : undefined;
}

async function claimLeft(path: string, key: string): Promise<PartialWrite | undefined> {
  try {
    const place = await partialFolder(dirname(path));
    const claimed = await claimPartial(place, key);
    if (claimed === undefined) return undefined;
    const { size } = await place.calls.lstat(claimed);
    return {
      ranges: [{ start: 0, end: Number(size) }],
      handle: claimed,
      read: (call) => openSource(claimed, call),
      release: async (keep) => (keep ? keepPartial(place, key, claimed) : dropPartial(place, claimed)),
    };
  } catch (error) {
    throw toTransferError(error, `write \`${path}\``);
  }
}

/** Writes every byte to a partial beside `path`; the name changes only on commit. */
export async function writeStaged(path: string, bytes: Bytes, call: WriteCall): Promise<Staged> {
  const place = await partialFolder(dirname(path)).catch((error: unknown) => {
    throw toTransferError(error, `write \`${path}\``);
  });
  const isSmall = call.size !== undefined && call.size <= MEDIUM_BYTES && !call.resume && !call.onPartial;
  return isSmall && place.kind === 'memory'
    ? holdSmall(place, path, bytes, call)
    : writePartial(place, path, bytes, call);
}

/** Keeps a small file in memory until commit, which then stores it in one go. Reading it back before stores it first. */
async function holdSmall(place: PartialFolder, path: string, bytes: Bytes, call: WriteCall): Promise<Staged> {
  const doing = `write \`${path}\``;
  const size = call.size ?? 0;
  let whole: Uint8Array | undefined;
  let count = 0;
  for await (const chunk of bytes) {
    if (count + chunk.length > size) throw wrongSize(doing, size, 'more');
    // Most come in one chunk, which is kept as it is.
    if (chunk.length === size) whole = chunk;
    else {
      whole ??= Buffer.allocUnsafe(size);
      whole.set(chunk, count);
      giveBack(chunk);
    }
    count += chunk.length;
  }
  if (count !== size) throw wrongSize(doing, size, String(count));
  const content = whole ?? new Uint8Array(0);
  let early: Staged | undefined;
  return {
    async read(read) {
      early ??= await writePartial(place, path, oneChunk(content), call);
      return early.read?.(read) ?? openSource(path, read);
    },
    async commit(signal) {
      if (early) return early.commit(signal);
      try {
        await storeSmall(place, path, content, call);
        giveBack(content);
        return { size, digests: [] };
      } catch (error) {
        throw toTransferError(error, doing);
      }
    },
    async abort() {
      await early?.abort();
    },
  };
}

async function* oneChunk(chunk: Uint8Array): AsyncGenerator<Uint8Array> {
  if (chunk.length > 0) yield chunk;
}

async function storeSmall(
  place: PartialFolder,
  path: string,
  content: Uint8Array,
  call: WriteCall,
): Promise<void> {
  const oldMode = await keptMode(place, path, call);
  for (let tries = 1; ; tries += 1) {
    const partial = newPartial(place, call.key);
    const mode = oldMode ?? (call.mode ?? 0o666) & 0o777;
    const modified = call.modified && call.modified.getTime() / 1000;
    try {
      const wait = store({ partial, path, mode, oldMode, modified }, content);
      if (wait) await wait;
      return;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || tries === 3) throw error;
      forgetFolder(place);
      place = await partialFolder(dirname(path));
    } finally {
      releasePartial(partial);
    }
  }
}

function wrongSize(doing: string, expected: number, got: string): TransferError {
  return new TransferError('size-mismatch', `${doing}: expected ${expected} bytes, got ${got}`);
}

async function writePartial(
  place: PartialFolder,
  path: string,
  bytes: Bytes,
  call: WriteCall,
): Promise<Staged> {
  const doing = `write \`${path}\``;
  let opened: OpenPartial | undefined;
  try {
    const oldMode = await keptMode(place, path, call);
    const start = call.resume?.ranges[0]?.end ?? 0;
    if (call.size !== undefined) requireSpace(place.directory, call.size - start, doing);
    opened = await openPartial(place, path, call, oldMode);
    call.onPartial?.(opened.partial);
    if (call.resume) await place.calls.ftruncate(opened.fd, start);
    const size = await writeBytes(opened, bytes, start, call);
    if (call.size !== undefined && size !== call.size) {
      throw wrongSize(doing, call.size, String(size));
    }
    return stagedFile(opened, path, size, call);
  } catch (error) {
    // What came so far stays when there is a journal to prove it by; the journal's owner decides on the next try.
    if (opened) await closeAfterFailure(opened, call);
    else await call.resume?.release(true);
    throw toTransferError(error, doing);
  }
}

export interface OpenPartial {
  readonly place: PartialFolder;
  readonly partial: string;
  readonly fd: number;
  /** Somebody keeps a journal beside it. */
  readonly isJournaled?: boolean;
}

async function openPartial(
  place: PartialFolder,
  path: string,
  call: WriteCall,
  oldMode?: number,
): Promise<OpenPartial> {
  const flags = O_RDWR | O_NOFOLLOW | (call.resume ? 0 : O_CREAT | O_EXCL);
  const mode = oldMode ?? (call.mode ?? 0o666) & 0o777;
  for (let tries = 1; ; tries += 1) {
    const partial = call.resume?.handle ?? newPartial(place, call.key);
    try {
      const fd = await place.calls.open(partial, flags, mode);
      // The umask applies to new files only; one that replaces another keeps that one's permissions.
      if (oldMode !== undefined) await place.calls.fchmod(fd, oldMode);
      return { place, partial, fd, isJournaled: call.onPartial !== undefined };
    } catch (error) {
      releasePartial(partial);
      if (errnoOf(error) !== 'ENOENT' || tries === 3 || call.resume) throw error;
      forgetFolder(place);
      place = await partialFolder(dirname(path));
    }
  }
}

async function writeBytes(file: OpenPartial, bytes: Bytes, start: number, call: WriteCall): Promise<number> {
  let at = start;
  for await (const chunk of bytes) {
    if (call.size !== undefined && at + chunk.length > call.size) {
      throw new TransferError('size-mismatch', `expected ${call.size} bytes, got more`);
    }
    await writeAt(file.fd, chunk, at, file.place.kind);
    at += chunk.length;
    giveBack(chunk);
  }
  return at;
}

function requireSpace(directory: string, bytes: number, doing: string): void {
  if (bytes < SPACE_CHECK_BYTES) return;
  const free = freeBytes(directory);
  if (free === undefined || free >= bytes) return;
  throw new TransferError('no-space', `${doing}: needs ${bytes} bytes, ${free} are free in \`${directory}\``);
}

async function closeAfterFailure(file: OpenPartial, call: WriteCall): Promise<void> {
  await file.place.calls.close(file.fd);
  if (call.onPartial) keepPartial(file.place, call.key, file.partial);
  else await dropPartial(file.place, file.partial);
}

function stagedFile(file: OpenPartial, path: string, size: number, call: WriteCall): Staged {
  const { place, partial, fd } = file;
  return {
    read: (read) => openSource(partial, read),
    commit: async () => {
      try {
        if (call.modified) await place.calls.futimes(fd, call.modified.getTime() / 1000);
        await syncFile(fd, place.kind);
        const version = await publish(file, path);
        return { size, digests: [], ...(version === undefined ? {} : { version }) };
      } catch (error) {
        await dropPartial(place, partial);
        throw toTransferError(error, `write \`${path}\``);
      } finally {
        await place.calls.close(fd);
      }
    },
    abort: async (options) => {
      await place.calls.close(fd);
      if (options?.keep) keepPartial(place, call.key, partial);
      else await dropPartial(place, partial);
    },
  };
}

/**
 * Gives a finished, synced partial its final name, durably. A rename over NFS whose answer was lost reports ENOENT when
 * the client repeats it, although it was done: the final name then has the partial's inode (L8). Resolves with what the
 * file was known by before anybody else could have changed it, where that can be told.
 */
export async function publish(file: OpenPartial, path: string): Promise<string | undefined> {
  const { place, partial, fd } = file;
  try {
    await place.calls.rename(partial, path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || !(await isAt(file, fd, path))) throw error;
  }
  const version = place.kind === 'network' ? undefined : fileVersion(await place.calls.fstat(fd));
  await syncDirectory(dirname(path), place.kind);
  // Only then is there nothing of this write in the folder any more.
  if (file.isJournaled) await dropJournal(place, partial);
  releasePartial(partial);
  return version;
}

async function isAt(file: OpenPartial, fd: number, path: string): Promise<boolean> {
  try {
    const [ours, there] = [await file.place.calls.fstat(fd), await file.place.calls.lstat(path)];
    return ours.ino === there.ino && ours.dev === there.dev;
  } catch {
    return false;
  }
}

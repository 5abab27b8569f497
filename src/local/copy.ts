import fs, { constants } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import type { CopyCall, Staged } from '../protocol.ts';
import { fileVersion } from '../regular-file.ts';
import { BLOCKING_BYTES, copyBytes } from './copy-bytes.ts';
import { syncDirectory } from './directory-sync.ts';
import { diskCalls, diskKind, freeBytes, syncFile } from './disk.ts';
import { dropPartial, inPartialFolder, newPartial, type PartialFolder, partialFolder } from './partials.ts';
import { inspectDestination, type OpenPartial, publish } from './sink.ts';
import { openSource } from './source.ts';

/** A copy on this machine. */
export interface LocalCopyCall extends CopyCall {
  /** Others may make links to the file meanwhile, which change its `ctime` as writing does; its `mtime` tells them apart. */
  readonly mayBeLinked?: boolean;
}

/** Copies on this machine (by reflink where the file system can) to a partial beside `to`, visible on commit. */
export async function copyStaged(from: string, to: string, call: LocalCopyCall): Promise<Staged> {
  const doing = `copy \`${from}\` to \`${to}\``;
  try {
    const before = await diskCalls(diskKind(dirname(from))).stat(from);
    if (before.isDirectory()) {
      throw new TransferError('invalid-request', `${doing}: the source is a directory`, {
        hint: '`--symlink`, or a destination such as `symlink:///path`, links to it as a whole',
      });
    }
    if (!before.isFile())
      throw new TransferError('invalid-request', `${doing}: the source is no regular file`);
    return await inPartialFolder(dirname(to), (place) => copyIn(place, from, to, before, call));
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

async function copyIn(
  place: PartialFolder,
  from: string,
  to: string,
  before: fs.BigIntStats,
  call: LocalCopyCall,
): Promise<Staged> {
  const oldMode = await inspectDestination(place, to);
  const size = Number(before.size);
  const free = size > BLOCKING_BYTES ? freeBytes(place.directory) : undefined;
  if (free !== undefined && free < size) {
    throw new TransferError(
      'no-space',
      `copy to \`${to}\`: needs ${size} bytes, ${free} are free in \`${place.directory}\``,
    );
  }
  const partial = newPartial(place, call.key);
  try {
    await copyBytes(from, partial, size, call);
    // Not for writing: a reflink has the source's mode, which may be read-only.
    const fd = await place.calls.open(partial, constants.O_RDONLY | constants.O_NOFOLLOW);
    await finishCopy({ place, partial, fd }, from, before, call, oldMode);
    return stagedCopy({ place, partial, fd }, to, size, call);
  } catch (error) {
    await dropPartial(place, partial);
    throw error;
  }
}

/** Copied is what was there; whether that was one version of the source shows only afterwards. */
async function finishCopy(
  file: OpenPartial,
  from: string,
  before: fs.BigIntStats,
  call: LocalCopyCall,
  oldMode?: number,
): Promise<void> {
  const { calls } = file.place;
  try {
    const [after, copied] = [await calls.stat(from), await calls.fstat(file.fd)];
    const version = (stat: fs.BigIntStats) => fileVersion(call.mayBeLinked ? { ...stat, ctimeNs: 0n } : stat);
    if (version(after) !== version(before) || copied.size !== before.size) {
      throw new TransferError('changed', `copy \`${from}\`: the file changed while it was copied`);
    }
    // A reflink carries every mode bit of the source over: setuid must not come along, the umask must apply.
    await calls.fchmod(file.fd, permissions(call, Number(before.mode), oldMode));
    if (call.modified) await calls.futimes(file.fd, call.modified.getTime() / 1000);
  } catch (error) {
    await calls.close(file.fd);
    throw error;
  }
}

function permissions(call: CopyCall, source: number, oldMode: number | undefined): number {
  if (call.exactMode !== undefined) return call.exactMode & 0o777;
  return oldMode ?? (call.mode ?? source) & 0o777 & ~umask();
}

let knownUmask: number | undefined;

/** The process's umask. Read once: reading means setting it for a moment. */
export function umask(): number {
  knownUmask ??= process.umask();
  return knownUmask;
}

function stagedCopy(file: OpenPartial, to: string, size: number, call: CopyCall): Staged {
  const { place, partial, fd } = file;
  return {
    read: (read) => openSource(partial, read),
    commit: async () => {
      try {
        await syncFile(fd, place.kind);
        await publish(file, to);
        call.progress?.(size);
        return { size, digests: [] };
      } catch (error) {
        await dropPartial(place, partial);
        throw toTransferError(error, `copy to \`${to}\``);
      } finally {
        await place.calls.close(fd);
      }
    },
    abort: async () => {
      await place.calls.close(fd);
      await dropPartial(place, partial);
    },
  };
}

/**
 * Moves by rename; across file systems by copy, proof, sync and removal of the source, in that order. Permissions (never
 * setuid, setgid or sticky) and modification time go along either way. A source that changes meanwhile stays.
 */
export async function moveFile(from: string, to: string, call: CopyCall): Promise<void> {
  try {
    const place = await partialFolder(dirname(to));
    await inspectDestination(place, to);
    await place.calls.rename(from, to);
    await syncDirectory(dirname(to), place.kind);
  } catch (error) {
    if (errnoOf(error) !== 'EXDEV') throw toTransferError(error, `move \`${from}\` to \`${to}\``);
    await moveByCopy(from, to, call);
  }
}

async function moveByCopy(from: string, to: string, call: CopyCall): Promise<void> {
  const doing = `move \`${from}\` to \`${to}\``;
  try {
    const before = await fs.promises.stat(from, { bigint: true });
    const modified = new Date(Number(before.mtimeNs / 1_000_000n));
    const staged = await copyStaged(from, to, { ...call, exactMode: Number(before.mode), modified });
    try {
      if (staged.read) await call.prove?.(staged.read);
    } catch (error) {
      await staged.abort();
      throw error;
    }
    await staged.commit(call.signal);
    if (fileVersion(await fs.promises.stat(from, { bigint: true })) !== fileVersion(before)) {
      throw new TransferError('changed', `${doing}: the file changed after it was copied, and stays`);
    }
    await fs.promises.unlink(from);
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

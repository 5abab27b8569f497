import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import type { Range, ReadCall, Source, Stat } from '../protocol.ts';
import { changedWhileRead, fileVersion, requireFile } from '../regular-file.ts';
import { chunksOf } from './chunks.ts';
import { type DiskCalls, type DiskKind, diskCalls, diskKind } from './disk.ts';

/** What lstat or stat said, in the contract's terms. */
export function statOf(stat: BigIntStats): Stat {
  const type = stat.isFile()
    ? 'file'
    : stat.isDirectory()
      ? 'directory'
      : stat.isSymbolicLink()
        ? 'symlink'
        : 'other';
  return {
    type,
    size: Number(stat.size),
    modified: new Date(Number(stat.mtimeNs / 1_000_000n)),
    mode: Number(stat.mode & 0o7777n),
    version: fileVersion(stat),
  };
}

/** What is at `path`; with `follow`, what a link there leads to. Rejects with `not-found` when nothing is. */
export async function statPath(path: string, { follow }: { readonly follow: boolean }): Promise<Stat> {
  const calls = diskCalls(diskKind(dirname(path)));
  try {
    return statOf(follow ? await calls.stat(path) : await calls.lstat(path));
  } catch (error) {
    throw toTransferError(error, `stat \`${path}\``);
  }
}

/** Opens a regular file for one read. Symlinks are followed; directories, FIFOs and devices reject with `invalid-request`. */
export async function openSource(path: string, call: ReadCall): Promise<Source> {
  const kind = diskKind(dirname(path));
  const calls = diskCalls(kind);
  const doing = `read \`${path}\``;
  let fd: number | undefined;
  try {
    requireFile(await calls.stat(path), doing);
    // O_NONBLOCK: should a FIFO have taken the name since, opening it must not wait for a writer.
    fd = await calls.open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await calls.fstat(fd);
    requireFile(stat, doing);
    const version = fileVersion(stat);
    if (call.version !== undefined && call.version !== version) {
      throw new TransferError('changed', `${doing}: the file changed since it was last looked at`);
    }
    return sourceOf({ fd, path, kind, calls, version }, statOf(stat), call);
  } catch (error) {
    if (fd !== undefined) await calls.close(fd);
    throw toTransferError(error, doing);
  }
}

interface OpenFile {
  readonly fd: number;
  readonly path: string;
  readonly kind: DiskKind;
  readonly calls: DiskCalls;
  readonly version: string;
}

function sourceOf(file: OpenFile, stat: Stat, call: ReadCall): Source {
  const size = stat.size ?? 0;
  const range: Range = call.range ?? { start: 0 };
  const end = Math.min(range.end ?? size, size);
  if (range.start > size) {
    throw new TransferError(
      'changed',
      `read \`${file.path}\`: expected at least ${range.start} bytes, it has ${size}`,
    );
  }
  let verdict: TransferError | undefined;
  let ended = false;
  let started = false;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    started = true;
    try {
      yield* chunksOf({ ...file, doing: `read \`${file.path}\`` }, { start: range.start, end }, call.signal);
      const now = fileVersion(await file.calls.fstat(file.fd));
      if (now !== file.version) verdict = changedWhileRead(`read \`${file.path}\``);
      ended = true;
    } catch (error) {
      throw toTransferError(error, `read \`${file.path}\``);
    } finally {
      await file.calls.close(file.fd);
    }
  }
  return {
    ...stat,
    bytes: bytes(),
    confirm: async () => {
      if (verdict) throw verdict;
      if (!ended) throw new TransferError('unexpected', `read \`${file.path}\`: not read to its end`);
    },
    discard: async () => {
      if (started) return;
      started = true;
      await file.calls.close(file.fd);
    },
  };
}

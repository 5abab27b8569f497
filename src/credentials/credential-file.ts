import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';

/** Real files of this kind have a few hundred bytes; a data file named by mistake is refused before it is read. */
const MAX_BYTES = 1024 * 1024;

/** A file that holds secrets, and what led to it. */
export interface NamedFile {
  readonly path: string;
  /** Variable that names the file, for messages. */
  readonly variable?: string;
  /** A symbolic link in the last place of the path is refused. For directories where anybody may plant one. */
  readonly refuseLink?: boolean;
}

export interface CredentialFile {
  readonly text: string;
  /** User id. */
  readonly owner: number;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  /** Differs whenever content, owner or mode do. */
  readonly identity: string;
}

/** The start of every message about this file. */
export function readingFile(file: NamedFile): string {
  return `reading \`${file.path}\`${file.variable === undefined ? '' : ` (${file.variable})`}`;
}

/**
 * The content of a credential file; undefined when there is none under this name. Never waits for a writer.
 * Rejects with `invalid-request` for anything but a regular file of up to 1 MiB of UTF-8, `permission-denied` when it
 * may not be read, `changed` when it is written to all the while.
 */
export async function readCredentialFile(file: NamedFile): Promise<CredentialFile | undefined> {
  // O_NONBLOCK: opening a FIFO would otherwise wait until somebody writes to it.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  let handle: FileHandle;
  try {
    handle = await open(file.path, file.refuseLink ? flags | constants.O_NOFOLLOW : flags);
  } catch (error) {
    if (isMissing(error)) return undefined;
    if (file.refuseLink && errnoOf(error) === 'ELOOP') throw notRegular(file, 'symbolic link');
    if (errnoOf(error) === 'ENXIO') throw notRegular(file, 'socket or device');
    throw toTransferError(error, readingFile(file));
  }
  try {
    return await readUnchanged(handle, file);
  } catch (error) {
    throw toTransferError(error, readingFile(file));
  } finally {
    await handle.close();
  }
}

/** `identity` of what the path names now; undefined when it names nothing or that cannot be told. */
export async function identityOf(file: NamedFile): Promise<string | undefined> {
  try {
    return identity(await stat(file.path, { bigint: true }));
  } catch {
    return undefined;
  }
}

/** Throws `permission-denied` unless the file belongs to `uid` or root and nobody else may use it. */
export function refuseExposed(found: CredentialFile, file: NamedFile, uid: number): void {
  if (found.owner !== uid && found.owner !== 0) {
    throw new TransferError(
      'permission-denied',
      `${readingFile(file)}: expected a file of user ${uid} or root, got one of user ${found.owner}`,
      { hint: `chown ${uid} ${file.path}` },
    );
  }
  if ((found.mode & 0o077) === 0) return;
  const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
  throw new TransferError(
    'permission-denied',
    `${readingFile(file)}: expected mode 0600, got ${mode}: secrets must not be open to group or others`,
    { hint: `chmod 600 ${file.path}` },
  );
}

async function readUnchanged(handle: FileHandle, file: NamedFile): Promise<CredentialFile> {
  for (let tries = 0; tries < 3; tries++) {
    const before = await handle.stat({ bigint: true });
    if (!before.isFile()) throw notRegular(file, before.isDirectory() ? 'directory' : 'FIFO or device');
    const bytes = await readUpTo(handle, MAX_BYTES + 1);
    if (bytes.length > MAX_BYTES) {
      throw new TransferError('invalid-request', `${readingFile(file)}: expected at most 1 MiB, got more`);
    }
    const after = identity(await handle.stat({ bigint: true }));
    if (after !== identity(before)) continue;
    return {
      text: decode(bytes, file),
      owner: Number(before.uid),
      mode: Number(before.mode) & 0o7777,
      identity: after,
    };
  }
  throw new TransferError('changed', `${readingFile(file)}: written to while it was read`);
}

async function readUpTo(handle: FileHandle, limit: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  while (length < limit) {
    const piece = Buffer.alloc(Math.min(64 * 1024, limit - length));
    const { bytesRead } = await handle.read(piece, 0, piece.length, length);
    if (bytesRead === 0) break;
    pieces.push(piece.subarray(0, bytesRead));
    length += bytesRead;
  }
  return Buffer.concat(pieces, length);
}

function decode(bytes: Buffer, file: NamedFile): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new TransferError('invalid-request', `${readingFile(file)}: expected UTF-8 text, got other bytes`);
  }
}

function identity(facts: BigIntStats): string {
  return `${facts.dev}:${facts.ino}:${facts.size}:${facts.mtimeNs}:${facts.ctimeNs}`;
}

function isMissing(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOENT' || errno === 'ENOTDIR';
}

function notRegular(file: NamedFile, kind: string): TransferError {
  return new TransferError('invalid-request', `${readingFile(file)}: expected a regular file, got a ${kind}`);
}

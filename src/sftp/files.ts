import { TransferError } from '../errors.ts';
import { type Attributes, encodeAttributes, readAttributes } from './attributes.ts';
import type { Session } from './session.ts';
import { STATUS, statusOf } from './status.ts';
import { type Field, MESSAGE } from './wire.ts';

/** Names an open file to the server. */
export type Handle = Uint8Array;

const NONE = encodeAttributes({});

async function simple(
  session: Session,
  type: number,
  fields: readonly Field[],
  doing: string,
): Promise<void> {
  await session.request(type, fields, doing);
}

async function extended(session: Session, fields: readonly Field[], doing: string, isSlow?: 'slow') {
  return session.request(MESSAGE.extended, fields, doing, isSlow);
}

/** Attributes of what is there, links followed. */
export async function statFile(session: Session, path: string, doing: string): Promise<Attributes> {
  return readAttributes((await session.request(MESSAGE.stat, [path], doing)).fields);
}

/** Attributes of the link itself, where it is one; undefined when nothing is there. */
export async function lookAt(session: Session, path: string, doing: string): Promise<Attributes | undefined> {
  try {
    return readAttributes((await session.request(MESSAGE.lstat, [path], doing)).fields);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

export async function statHandle(session: Session, handle: Handle, doing: string): Promise<Attributes> {
  return readAttributes((await session.request(MESSAGE.fstat, [handle], doing)).fields);
}

/** `flags` of `OPEN` in wire.ts; `permissions` for a file that this makes, less the server's umask. */
export async function openFile(
  session: Session,
  file: { readonly path: string; readonly flags: number; readonly permissions?: number | undefined },
  doing: string,
): Promise<Handle> {
  const attributes =
    file.permissions === undefined ? NONE : encodeAttributes({ permissions: file.permissions });
  const { fields } = await session.request(MESSAGE.open, [file.path, file.flags, attributes], doing);
  // The packet's memory is not kept for the few bytes of a handle.
  return Buffer.from(fields.bytes());
}

export function closeFile(session: Session, handle: Handle, doing: string): Promise<void> {
  return simple(session, MESSAGE.close, [handle], doing);
}

/** Closes what nothing depends on any more; a session that is gone has closed it already. */
export function letGo(session: Session, handle: Handle): void {
  closeFile(session, handle, 'close').catch(() => undefined);
}

export function setHandle(
  session: Session,
  handle: Handle,
  attributes: Attributes,
  doing: string,
): Promise<void> {
  return simple(session, MESSAGE.fsetstat, [handle, encodeAttributes(attributes)], doing);
}

export function removeFile(session: Session, path: string, doing: string): Promise<void> {
  return simple(session, MESSAGE.remove, [path], doing);
}

export function removeDirectory(session: Session, path: string, doing: string): Promise<void> {
  return simple(session, MESSAGE.rmdir, [path], doing);
}

export function makeDirectory(session: Session, path: string, doing: string): Promise<void> {
  return simple(session, MESSAGE.mkdir, [path, NONE], doing);
}

/** A name in a directory, to the byte. */
export interface NamedEntry {
  readonly name: Buffer;
  readonly attributes: Attributes;
}

/** Everything in a directory but `.` and `..`, in the server's order. */
export async function readDirectory(session: Session, path: string, doing: string): Promise<NamedEntry[]> {
  const { fields } = await session.request(MESSAGE.opendir, [path], doing);
  const handle = Buffer.from(fields.bytes());
  const entries: NamedEntry[] = [];
  try {
    for (;;) {
      const { fields: page } = await session.request(MESSAGE.readdir, [handle], doing);
      for (let left = page.u32(); left > 0; left -= 1) {
        const name = Buffer.from(page.bytes());
        page.bytes();
        const attributes = readAttributes(page);
        const text = name.toString('latin1');
        if (text !== '.' && text !== '..') entries.push({ name, attributes });
      }
    }
  } catch (error) {
    if (statusOf(error) === STATUS.eof) return entries;
    throw error;
  } finally {
    letGo(session, handle);
  }
}

/** On the disk there, where the server can say so (`fsync@openssh.com`, OpenSSH PROTOCOL §4.4). */
export async function syncFile(session: Session, handle: Handle, doing: string): Promise<void> {
  if (!session.extensions.has('fsync@openssh.com')) return;
  await extended(session, ['fsync@openssh.com', handle], doing, 'slow');
}

/**
 * Gives `from` the name `to`, over a file that has it: in one step where the server offers `posix-rename@openssh.com`
 * (PROTOCOL §4.3). Elsewhere RENAME refuses to replace (draft-02 §6.5), so what is there is put aside first and put
 * back when the rename fails: for a moment nothing has the name, never something wrong.
 */
export async function replaceFile(
  session: Session,
  names: { readonly from: string; readonly to: string; readonly aside: string },
  doing: string,
): Promise<void> {
  const { from, to, aside } = names;
  if (session.extensions.has('posix-rename@openssh.com')) {
    await extended(session, ['posix-rename@openssh.com', from, to], doing);
    return;
  }
  const rename = (a: string, b: string) => simple(session, MESSAGE.rename, [a, b], doing);
  const [there, ours] = [await lookAt(session, to, doing), await lookAt(session, from, doing)];
  if (!ours) throw new TransferError('not-found', `${doing}: no such file or directory`);
  if (!there) return rename(from, to);
  await rename(to, aside);
  try {
    await rename(from, to);
  } catch (error) {
    await rename(aside, to).catch(() => undefined);
    throw error;
  }
  await removeFile(session, aside, doing);
}

/** Bytes that are free for this user in the file system of `path`; undefined where the server does not say. */
export async function freeBytes(session: Session, path: string): Promise<number | undefined> {
  if (!session.extensions.has('statvfs@openssh.com')) return undefined;
  try {
    const { fields } = await extended(session, ['statvfs@openssh.com', path], 'ask for free space');
    // f_bsize, f_frsize, f_blocks, f_bfree, f_bavail (PROTOCOL §4.3).
    const [, fragment = 0, , , available = 0] = Array.from({ length: 5 }, () => fields.u64());
    return fragment * available;
  } catch {
    return undefined;
  }
}

/** A link at `path`. OpenSSH takes target and link the other way round than draft-02 §6.10, and others follow it (PROTOCOL §4.1). */
export async function makeLink(
  session: Session,
  link: { readonly kind: 'hard' | 'symbolic'; readonly target: string; readonly path: string },
  doing: string,
): Promise<void> {
  if (link.kind === 'symbolic') return simple(session, MESSAGE.symlink, [link.target, link.path], doing);
  if (!session.extensions.has('hardlink@openssh.com')) {
    throw new TransferError('unsupported', `${doing}: the server makes no hard links`);
  }
  await extended(session, ['hardlink@openssh.com', link.target, link.path], doing);
}

/** True for servers that copy by themselves (`copy-data`, draft-ietf-secsh-filexfer-extensions-00 §7; OpenSSH 9.0). */
export function canCopy(session: Session): boolean {
  return session.extensions.has('copy-data');
}

/** Copies `length` bytes, at least one, from the same offset to the same offset. */
export async function copyRange(
  session: Session,
  copy: { readonly from: Handle; readonly to: Handle; readonly offset: number; readonly length: number },
  doing: string,
): Promise<void> {
  const offset = BigInt(copy.offset);
  const fields = ['copy-data', copy.from, offset, BigInt(copy.length), copy.to, offset];
  await extended(session, fields, doing, 'slow');
}

export function isNotFound(error: unknown): boolean {
  return error instanceof TransferError && error.code === 'not-found';
}

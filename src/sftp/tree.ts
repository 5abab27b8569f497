import { posix } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import { isPartialName } from '../partial-name.ts';
import type { Entry, ListCall, RemoveCall, Stat } from '../protocol.ts';
import { abortable } from './abortable.ts';
import { type Attributes, statOf } from './attributes.ts';
import {
  isNotFound,
  lookAt,
  makeDirectory,
  type NamedEntry,
  readDirectory,
  removeDirectory,
  removeFile,
  statFile,
} from './files.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** Removals under way at a time in one directory. */
const REMOVALS = 64;

/** Makes `path` and what is missing above it. What exists is success; where a file is, `already-exists`. */
export async function makeDirectories(session: Session, path: string, doing: string): Promise<void> {
  try {
    await makeDirectory(session, path, doing);
  } catch (error) {
    const parent = posix.dirname(path);
    if (isNotFound(error) && parent !== path) {
      await makeDirectories(session, parent, doing);
      // Somebody else may have made it meanwhile.
      return makeOne(session, path, doing);
    }
    await requireDirectory(session, path, error, doing);
  }
}

async function makeOne(session: Session, path: string, doing: string): Promise<void> {
  try {
    await makeDirectory(session, path, doing);
  } catch (error) {
    await requireDirectory(session, path, error, doing);
  }
}

/** Version 3 has no code for "exists" (draft-02 §7): what is there tells. */
async function requireDirectory(
  session: Session,
  path: string,
  error: unknown,
  doing: string,
): Promise<void> {
  const there = await statFile(session, path, doing).catch(() => undefined);
  if (!there) throw error;
  if (statOf(there).type === 'directory') return;
  throw new TransferError('already-exists', `${doing}: \`${path}\` is a file`);
}

/** The directories above `path`. */
export function makeParents(session: Session, path: string, doing: string): Promise<void> {
  return makeDirectories(session, posix.dirname(path), doing);
}

/**
 * What is below `directory`, parents before their members, names in byte order. Links to files count as files; links to
 * directories are told as `symlink` and not entered, so that no listing leaves its tree or runs in a circle.
 */
export async function* listTree(
  sessions: Sessions,
  directory: string,
  call: ListCall,
): AsyncGenerator<Entry> {
  yield* listBelow(sessions, directory, '', call);
}

async function* listBelow(
  sessions: Sessions,
  root: string,
  below: string,
  call: ListCall,
): AsyncGenerator<Entry> {
  const path = below === '' ? root : posix.join(root, below);
  const doing = `list \`${path}\``;
  for (const { name, attributes } of await namesIn(sessions, path, call, doing)) {
    if (call.signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
    const text = name.toString('utf8');
    const relative = below === '' ? text : `${below}/${text}`;
    // A server that names something elsewhere must not choose where it lands here.
    if (text.includes('/') || !Buffer.from(text, 'utf8').equals(name)) {
      const shown = JSON.stringify(name.toString('latin1'));
      const problem = `${shown}: the name is ${text.includes('/') ? 'no plain name' : 'not UTF-8'}`;
      yield { name: relative, stat: { type: 'other' }, problem };
      continue;
    }
    if (isPartialName(text)) continue;
    const stat = await statEntry(sessions, posix.join(path, text), attributes, call, doing);
    if (!stat) continue;
    yield { name: relative, stat };
    if (call.recursive && stat.type === 'directory') yield* listBelow(sessions, root, relative, call);
  }
}

async function namesIn(
  sessions: Sessions,
  path: string,
  call: ListCall,
  doing: string,
): Promise<NamedEntry[]> {
  const lease = await sessions.acquire(call.signal, doing);
  try {
    const names = await abortable(readDirectory(lease.session, path, doing), call.signal, doing);
    return names.sort((a, b) => Buffer.compare(a.name, b.name));
  } catch (error) {
    throw toTransferError(error, doing);
  } finally {
    lease.release();
  }
}

async function statEntry(
  sessions: Sessions,
  path: string,
  known: Attributes,
  call: ListCall,
  doing: string,
): Promise<Stat | undefined> {
  if (known.permissions !== undefined && statOf(known).type !== 'symlink') return statOf(known);
  const lease = await sessions.acquire(call.signal, doing);
  const { session } = lease;
  try {
    const own = known.permissions === undefined ? await lookAt(session, path, doing) : known;
    if (!own || statOf(own).type !== 'symlink') return own && statOf(own);
    const target = await statFile(session, path, doing).catch(() => undefined);
    return target && statOf(target).type === 'file' ? statOf(target) : statOf(own);
  } finally {
    lease.release();
  }
}

/** Removes a file, a link (never what it points to) or an empty directory; with `recursive` a whole tree. Absent is success. */
export async function removeTree(session: Session, path: string, call: RemoveCall): Promise<void> {
  const doing = `remove \`${path}\``;
  const there = await lookAt(session, path, doing);
  if (!there) return;
  if (statOf(there).type !== 'directory') return absentIsFine(removeFile(session, path, doing));
  if (call.recursive) return removeBelow(session, path, call, doing);
  try {
    await absentIsFine(removeDirectory(session, path, doing));
  } catch (error) {
    const members = await readDirectory(session, path, doing).catch(() => []);
    if (members.length === 0) throw error;
    throw new TransferError('already-exists', `${doing}: directory not empty`, { cause: error });
  }
}

async function removeBelow(session: Session, path: string, call: RemoveCall, doing: string): Promise<void> {
  const members = await readDirectory(session, path, doing).catch((error: unknown) => {
    if (isNotFound(error)) return [];
    throw error;
  });
  const files: string[] = [];
  for (const { name, attributes } of members) {
    const text = name.toString('utf8');
    if (text.includes('/') || !Buffer.from(text, 'utf8').equals(name)) {
      const shown = JSON.stringify(name.toString('latin1'));
      throw new TransferError('invalid-request', `${doing}: ${shown} in it cannot be named`);
    }
    const member = posix.join(path, text);
    const own = attributes.permissions === undefined ? await lookAt(session, member, doing) : attributes;
    if (own && statOf(own).type === 'directory') await removeBelow(session, member, call, doing);
    else files.push(member);
  }
  for (let at = 0; at < files.length; at += REMOVALS) {
    if (call.signal.aborted) throw new TransferError('canceled', `${doing}: canceled`);
    const some = files.slice(at, at + REMOVALS);
    await Promise.all(some.map((file) => absentIsFine(removeFile(session, file, doing))));
  }
  await absentIsFine(removeDirectory(session, path, doing));
}

async function absentIsFine(removing: Promise<void>): Promise<void> {
  try {
    await removing;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

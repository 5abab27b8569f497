import { TransferError } from '../errors.ts';
import { isPartialName } from '../partial-name.ts';
import type { Entry, ListCall } from '../protocol.ts';
import type { Dialer } from './control.ts';
import type { Work } from './dial.ts';
import { sizeOf, statPath } from './inquire.ts';
import { entryOf, listDirectory, type Member, readDirectory } from './listing.ts';
import { join, parentOf } from './paths.ts';
import type { Pool } from './pool.ts';
import type { Reply } from './reply.ts';
import { replyError } from './reply-error.ts';
import type { Session } from './session.ts';

/** Directories below one another. A server that shows links as directories can run in a circle. */
const MAX_DEPTH = 200;

/** What the functions here need of an endpoint. */
export interface Place {
  readonly pool: Pool;
  readonly dialer: Dialer;
}

/**
 * What is below a directory, parents before their members, names in byte order. No session is held while the reader
 * looks at an entry. Links to files count as files, links to directories are told as `symlink` and not entered.
 */
export async function* listTree(
  place: Place,
  path: (session: Session) => string,
  call: ListCall & { readonly doing: string },
): AsyncGenerator<Entry> {
  const root = await place.pool.use(call, async (session) => path(session));
  yield* listBelow(place, { root, below: '', shown: '', depth: 0 }, call);
}

interface Level {
  readonly root: string;
  readonly below: string;
  /** `below` as text. */
  readonly shown: string;
  readonly depth: number;
}

async function* listBelow(
  place: Place,
  { root, below, shown, depth }: Level,
  call: ListCall & { readonly doing: string },
): AsyncGenerator<Entry> {
  if (depth > MAX_DEPTH) {
    throw new TransferError(
      'unexpected',
      `${call.doing}: more than ${MAX_DEPTH} directories deep at \`${shown}\``,
    );
  }
  const directory = below === '' ? root : join(root, below);
  const members = await place.pool.use(call, async (session) => {
    const found = await readDirectory(session, place.dialer, directory, call);
    const all: Member[] = [];
    for (const member of found) all.push(await resolveLink(session, directory, member, call));
    return all;
  });
  for (const member of members) {
    if (isPartialName(member.name)) continue;
    const entry = entryOf(shown, member);
    yield entry;
    if (!call.recursive || member.problem !== undefined || member.stat.type !== 'directory') continue;
    const next = below === '' ? member.name : `${below}/${member.name}`;
    yield* listBelow(place, { root, below: next, shown: entry.name, depth: depth + 1 }, call);
  }
}

/** A link to a file has a size: SIZE follows it. */
async function resolveLink(session: Session, directory: string, member: Member, work: Work): Promise<Member> {
  if (member.stat.type !== 'symlink' || member.problem !== undefined) return member;
  const size = await sizeOf(session, join(directory, member.name), work);
  return size === undefined ? member : { ...member, stat: { type: 'file', size } };
}

/** Makes a directory and those above it. Rejects with `already-exists` where a file has the name. */
export async function makeDirectory(session: Session, path: string, work: Work): Promise<void> {
  const reply = await session.control.ask(`MKD ${path}`, work);
  if (reply.code < 300) return;
  if (reply.code === 421 || reply.code === 530) throw replyError(reply, work.doing);
  const there = await statOrAbsent(session, path, work);
  if (there?.type === 'directory') return;
  if (there) {
    throw new TransferError('already-exists', `${work.doing}: expected a directory, a file has its place`);
  }
  const parent = parentOf(path);
  const above = parent === undefined ? undefined : await statOrAbsent(session, parent, work);
  if (parent === undefined) throw replyError(reply, work.doing);
  // One that is there now may have been made by somebody else since MKD was refused.
  if (above?.type !== 'directory') await makeDirectory(session, parent, work);
  const again = await session.control.ask(`MKD ${path}`, work);
  if (again.code < 300) return;
  // Somebody else may have made it meanwhile.
  if ((await statOrAbsent(session, path, work))?.type !== 'directory') throw replyError(again, work.doing);
}

/**
 * Removes a file, a link (never what it leads to) or an empty directory; with `recursive` a whole tree. Absent is
 * success. DELE goes first everywhere: it takes a link to a directory for what it is, whatever a listing calls it.
 */
export async function removePath(
  session: Session,
  path: string,
  work: Work & { readonly recursive: boolean; readonly dialer: Dialer },
): Promise<void> {
  const deleted = await session.control.ask(`DELE ${path}`, work);
  if (deleted.code < 300) return;
  const emptied = await session.control.ask(`RMD ${path}`, work);
  if (emptied.code < 300) return;
  const there = await statOrAbsent(session, path, work);
  if (!there) return requireGone(deleted, work);
  if (there.type !== 'directory') throw replyError(deleted, work.doing);
  if (!work.recursive) {
    const refused = replyError(emptied, work.doing);
    if (refused.code !== 'not-found') throw refused;
    throw new TransferError('already-exists', `${refused.message} (a directory with something in it)`);
  }
  await removeMembers(session, path, await readDirectory(session, work.dialer, path, work), work);
  let last = await session.control.ask(`RMD ${path}`, work);
  if (last.code >= 300 && session.features.has('MLST')) {
    // ProFTPD's MLSD leaves out links that lead nowhere; LIST has them.
    await removeMembers(session, path, await listDirectory(session, work.dialer, path, work), work);
    last = await session.control.ask(`RMD ${path}`, work);
  }
  if (last.code >= 300 && (await statOrAbsent(session, path, work))) throw replyError(last, work.doing);
}

async function removeMembers(
  session: Session,
  path: string,
  members: readonly Member[],
  work: Parameters<typeof removePath>[2],
): Promise<void> {
  for (const { name, problem } of members) {
    if (problem !== undefined && /[\r\n\0\xff/]/.test(name)) {
      throw new TransferError('invalid-request', `${work.doing}: ${problem}`);
    }
    await removePath(session, join(path, name), work);
  }
}

/** What cannot be seen may be hidden from us, not absent. */
function requireGone(reply: Reply, work: Work): void {
  const refused = replyError(reply, work.doing);
  if (refused.code !== 'not-found' && refused.code !== 'invalid-request') throw refused;
}

export async function statOrAbsent(session: Session, path: string, work: Work) {
  try {
    return await statPath(session, path, work);
  } catch (error) {
    if (error instanceof TransferError && error.code === 'not-found') return undefined;
    throw error;
  }
}

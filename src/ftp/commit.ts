import { TransferError } from '../errors.ts';
import type { WriteCall } from '../protocol.ts';
import type { Work } from './dial.ts';
import { formatTime } from './facts.ts';
import { isUnknown, sizeOf } from './inquire.ts';
import type { Pool } from './pool.ts';
import type { Reply } from './reply.ts';
import { replyError } from './reply-error.ts';
import type { Session } from './session.ts';
import { statOrAbsent } from './tree.ts';

/** Permission bits that a new file gets by itself nearly everywhere are not worth a round trip. */
const EXECUTABLE = 0o111;

export interface Publishing {
  readonly pool: Pool;
  readonly partial: string;
  readonly path: string;
  readonly size: number;
  readonly call: WriteCall;
  readonly work: Work;
}

/**
 * Gives a complete partial its final name. RNTO replaces what is there in one step on servers of Unix; where it is
 * refused because something is there, that is put aside first and back again should it fail: the name is then absent
 * for a moment, never wrong. A rename whose answer was lost is recognised by what is there.
 */
export async function publish(publishing: Publishing): Promise<void> {
  const { pool, call, work } = publishing;
  let wasAsked = false;
  await call.retry(async (signal) => {
    const now = { ...work, signal };
    await pool.use(now, async (session) => {
      if (wasAsked && (await isPublished(session, publishing, now))) return;
      await setFacts(session, publishing, now);
      const from = await session.control.ask(`RNFR ${publishing.partial}`, now);
      if (from.code !== 350) throw renameError(from, now);
      wasAsked = true;
      const to = await session.control.ask(`RNTO ${publishing.path}`, now);
      if (to.code >= 300) await replace(session, publishing, to, now);
    });
  });
}

/** The partial is gone and the name has a file of its size: the server did what it was asked before the connection broke. */
async function isPublished(session: Session, { partial, path, size }: Publishing, work: Work) {
  if ((await statOrAbsent(session, partial, work)) !== undefined) return false;
  return (await statOrAbsent(session, path, work))?.size === size;
}

async function setFacts(session: Session, { partial, call }: Publishing, work: Work): Promise<void> {
  const { control, features } = session;
  if (call.modified && features.has('MFMT')) {
    await control.ask(`MFMT ${formatTime(call.modified)} ${partial}`, work);
  }
  const mode = call.exactMode ?? ((call.mode ?? 0) & EXECUTABLE ? call.mode : undefined);
  // Never setuid, setgid or sticky. Servers that do not know SITE CHMOD have their own ideas of permissions.
  if (mode !== undefined) await control.ask(`SITE CHMOD ${(mode & 0o777).toString(8)} ${partial}`, work);
}

async function replace(
  session: Session,
  { partial, path }: Publishing,
  refused: Reply,
  work: Work,
): Promise<void> {
  if (refused.code < 500 || isUnknown(refused.code)) throw renameError(refused, work);
  const there = await statOrAbsent(session, path, work);
  if (there?.type === 'directory') {
    throw new TransferError('already-exists', `${work.doing}: expected a file name, got a directory`);
  }
  if (there?.type !== 'file') throw renameError(refused, work);
  const aside = partial.replace(/\.part$/, '.old');
  if (!(await rename(session, path, aside, work))) throw renameError(refused, work);
  if (await rename(session, partial, path, work)) {
    await session.control.ask(`DELE ${aside}`, work);
    return;
  }
  await rename(session, aside, path, work);
  throw renameError(refused, work);
}

async function rename({ control }: Session, from: string, to: string, work: Work): Promise<boolean> {
  const first = await control.ask(`RNFR ${from}`, work);
  if (first.code !== 350) return false;
  return (await control.ask(`RNTO ${to}`, work)).code < 300;
}

/** RNFR and RNTO for those who asked for a move. */
export async function movePath(session: Session, from: string, to: string, work: Work): Promise<void> {
  const first = await session.control.ask(`RNFR ${from}`, work);
  if (first.code !== 350) throw replyError(first, work.doing);
  const reply = await session.control.ask(`RNTO ${to}`, work);
  if (reply.code >= 300) throw renameError(reply, work);
}

function renameError(reply: Reply, work: Work): TransferError {
  const error = replyError(reply, work.doing);
  if (error.code !== 'permission-denied' && !isUnknown(reply.code)) return error;
  return new TransferError(error.code, error.message, {
    hint: 'files are uploaded under a hidden name and renamed when they are whole: the login must be allowed to rename',
  });
}

/** What the server has of `partial`, for a comparison with what was sent. */
export async function requireSize(session: Session, path: string, size: number, work: Work): Promise<void> {
  const stored = await sizeOf(session, path, work);
  const there = stored ?? (await statOrAbsent(session, path, work))?.size;
  if (there === undefined || there === size) return;
  throw new TransferError('size-mismatch', `${work.doing}: ${size} bytes were sent, the server has ${there}`);
}

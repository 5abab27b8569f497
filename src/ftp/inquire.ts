import { TransferError } from '../errors.ts';
import type { Stat } from '../protocol.ts';
import type { Work } from './dial.ts';
import { numberOf, parseFacts, statOfFacts, timeOf } from './facts.ts';
import { replyError } from './reply-error.ts';
import type { Session } from './session.ts';

/** A file that changed twice within what its time can tell looks unchanged: times this fresh prove nothing. */
const FRESH_MS = 2000;

/** Codes of a command that the server does not know or does not let us use. */
const UNKNOWN: ReadonlySet<number> = new Set([500, 501, 502, 503, 504]);

/** Size and time as SIZE and MDTM tell them (RFC 3659 §3, §4): of the file that a link leads to, as a read gives it. */
export interface Mark {
  readonly size: number | undefined;
  readonly modified: Date | undefined;
}

/** What can be told of a file without reading it. Undefined where the server does not know the command, or has no such file. */
export async function markOf(session: Session, path: string, work: Work): Promise<Mark> {
  const size = await sizeOf(session, path, work);
  const reply = await session.control.ask(`MDTM ${path}`, work);
  const modified = reply.code === 213 ? timeOf(reply.lines[0]?.trim()) : undefined;
  if (reply.code === 421) throw replyError(reply, work.doing);
  return { size, modified };
}

/** Bytes of the file; undefined where the server does not tell, or has no such file. */
export async function sizeOf(session: Session, path: string, work: Work): Promise<number | undefined> {
  const reply = await session.control.ask(`SIZE ${path}`, work);
  if (reply.code === 421) throw replyError(reply, work.doing);
  return reply.code === 213 ? numberOf(reply.lines[0]?.trim()) : undefined;
}

/**
 * Differs whenever size or time do; undefined without a time, and for one of the last two seconds: servers tell whole
 * seconds, so that what is written now could still be followed by something else of the same time.
 */
export function versionOf({ size, modified }: Mark): string | undefined {
  if (size === undefined || !modified || Date.now() - modified.getTime() < FRESH_MS) return undefined;
  return `modified ${modified.toISOString()} size ${size}`;
}

/** What is there. Links are followed. Rejects with `not-found` when nothing is. */
export async function statPath(session: Session, path: string, work: Work): Promise<Stat> {
  const listed = await mlst(session, path, work);
  if (listed && listed.type === 'directory') return listed;
  const mark = await markOf(session, path, work);
  const { size, modified } = mark;
  if (size === undefined && listed?.type === 'file') return listed;
  if (size !== undefined) {
    // ProFTPD tells size, time and mode of a link itself there, and the type of what it leads to.
    const mode = listed?.size === size ? listed.mode : undefined;
    return {
      type: 'file',
      size,
      modified: modified ?? listed?.modified,
      version: versionOf(mark),
      ...(mode === undefined ? {} : { mode }),
    };
  }
  if (listed?.type === 'other') return listed;
  if (await isDirectory(session, path, work)) return { type: 'directory', modified };
  if (listed) return listed;
  throw new TransferError('not-found', `${work.doing}: no such file or directory`);
}

/** MLST of the path itself; undefined where the server does not know it, or finds nothing. */
async function mlst(session: Session, path: string, work: Work): Promise<Stat | undefined> {
  if (!session.features.has('MLST')) return undefined;
  const reply = await session.control.ask(`MLST ${path}`, work);
  if (reply.code !== 250) {
    if (reply.code === 421 || reply.code === 530) throw replyError(reply, work.doing);
    return undefined;
  }
  const facts = parseFacts((reply.lines[1] ?? '').replace(/^ (?=[^=; ]+=)/, ''));
  if (!facts) return undefined;
  // Of a directory that is asked for by its own name, some servers tell the type of a listing's first line.
  const isSelf = /^[cp]dir$/i.test(facts.facts.get('type') ?? '');
  return isSelf ? { type: 'directory', modified: timeOf(facts.facts.get('modify')) } : statOfFacts(facts);
}

/** A directory is what one can go to (and come back from). */
export async function isDirectory(session: Session, path: string, work: Work): Promise<boolean> {
  const reply = await session.control.ask(`CWD ${path}`, work);
  if (reply.code === 421) throw replyError(reply, work.doing);
  if (reply.code >= 300) return false;
  await goHome(session, work);
  return true;
}

/** Back to where relative names begin. Where PWD tells nothing, every name is relative and we never leave. */
export async function goHome({ control, home }: Session, work: Work): Promise<void> {
  const reply = await control.ask(home === undefined ? 'CDUP' : `CWD ${home}`, work);
  if (reply.code < 300) return;
  control.close();
  throw replyError(reply, work.doing);
}

/** True for a reply that says that there is no such command here. */
export function isUnknown(code: number): boolean {
  return UNKNOWN.has(code);
}

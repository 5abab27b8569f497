import { TransferError } from '../errors.ts';
import type { Entry, Stat } from '../protocol.ts';
import type { Dialer } from './control.ts';
import type { Work } from './dial.ts';
import { retrieve } from './download.ts';
import { parseFacts, statOfFacts } from './facts.ts';
import { goHome } from './inquire.ts';
import { shownText } from './reply.ts';
import { replyError } from './reply-error.ts';
import type { Session } from './session.ts';

/** One member of a directory. */
export interface Member {
  /** Bytes, one character each. */
  readonly name: string;
  readonly stat: Stat;
  readonly problem?: string | undefined;
}

/** Every member of a directory, in byte order of their names. Rejects with `not-found` when there is no such directory. */
export async function readDirectory(
  session: Session,
  dialer: Dialer,
  path: string,
  work: Work,
): Promise<readonly Member[]> {
  const members =
    (await byMlsd(session, dialer, path, work)) ?? (await listDirectory(session, dialer, path, work));
  return members.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

async function byMlsd(
  session: Session,
  dialer: Dialer,
  path: string,
  work: Work,
): Promise<Member[] | undefined> {
  if (!session.features.has('MLST')) return undefined;
  const text = await readText(session, dialer, `MLSD ${path}`, work);
  // Only CR and LF end a line: a name may hold a LF alone.
  const lines = text.includes('\r\n') ? text.split('\r\n') : text.split('\n');
  return lines.flatMap((line) => {
    if (line === '') return [];
    const facts = parseFacts(line);
    if (!facts) {
      return [
        { name: line, stat: { type: 'other' }, problem: `\`${shownText(line)}\`: no line of a listing` },
      ];
    }
    const stat = statOfFacts(facts);
    return stat ? [memberOf(facts.name, stat)] : [];
  });
}

/** Where MLSD is not there, or leaves something out: what LIST prints for people, as `basic-ftp` reads it. Its times have no zone, and are left out. */
export async function listDirectory(
  session: Session,
  dialer: Dialer,
  path: string,
  work: Work,
): Promise<Member[]> {
  const { parseList, FileType } = await import('basic-ftp');
  const { control } = session;
  // An argument with a path is an option, or a pattern, for some servers.
  const reply = await control.ask(`CWD ${path}`, work);
  if (reply.code >= 300) throw replyError(reply, work.doing);
  let text: string;
  try {
    text = await readText(session, dialer, 'LIST -a', work).catch((error: unknown) => {
      if (error instanceof TransferError && error.code !== 'unsupported' && error.code !== 'invalid-request')
        throw error;
      return readText(session, dialer, 'LIST', work);
    });
  } finally {
    if (control.isOpen()) await goHome(session, work);
  }
  try {
    return parseList(text).flatMap((info) => {
      if (info.name === '.' || info.name === '..') return [];
      const type =
        info.type === FileType.File
          ? 'file'
          : info.type === FileType.Directory
            ? 'directory'
            : info.type === FileType.SymbolicLink
              ? 'symlink'
              : 'other';
      return [memberOf(info.name, { type, ...(type === 'file' ? { size: info.size } : {}) })];
    });
  } catch (error) {
    throw new TransferError('unsupported', `${work.doing}: the listing has a form that is not known here`, {
      cause: error,
    });
  }
}

function memberOf(name: string, stat: Stat): Member {
  const problem = problemOf(name);
  return problem === undefined ? { name, stat } : { name, stat, problem };
}

/** Why a name cannot be asked for, or must not be believed. */
function problemOf(name: string): string | undefined {
  const shown = JSON.stringify(Buffer.from(name, 'latin1').toString('utf8'));
  if (/[\r\n\0\xff]/.test(name)) return `${shown}: FTP cannot carry the name`;
  if (name.includes('/')) return `${shown}: a name in a listing must not be a path`;
  if (Buffer.from(name, 'latin1').toString('utf8').includes('\ufffd'))
    return `${shown}: the name is not UTF-8`;
  return undefined;
}

async function readText(session: Session, dialer: Dialer, command: string, work: Work): Promise<string> {
  const download = await retrieve({
    session,
    dialer,
    work,
    command,
    start: 0,
    length: undefined,
    isPrefix: false,
  });
  const chunks: Buffer[] = [];
  for await (const chunk of download.bytes) chunks.push(Buffer.from(chunk));
  await download.over;
  return Buffer.concat(chunks).toString('latin1');
}

/** The member as the contract has it, below `directory`. */
export function entryOf(directory: string, { name, stat, problem }: Member): Entry {
  const text = Buffer.from(name, 'latin1').toString('utf8');
  const whole = directory === '' ? text : `${directory}/${text}`;
  return problem === undefined ? { name: whole, stat } : { name: whole, stat, problem };
}

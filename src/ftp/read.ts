import { TransferError } from '../errors.ts';
import type { ReadCall, Source } from '../protocol.ts';
import { retrieve } from './download.ts';
import { isDirectory, type Mark, markOf, versionOf } from './inquire.ts';
import type { Server } from './server.ts';
import type { Session } from './session.ts';

export interface Reading {
  readonly server: Server;
  readonly path: (session: Session) => string;
  readonly doing: string;
  readonly call: ReadCall;
}

/**
 * Opens a file: size and time are asked before, and again after the last byte. A range without a known size is refused:
 * nothing would show that the server began elsewhere.
 */
export async function readPath({ server, path: pathOf, doing, call }: Reading): Promise<Source> {
  const { dialer, readers } = server;
  const work = { doing, signal: call.signal };
  const session = await readers.acquire(work);
  let path: string;
  let mark: Mark;
  try {
    path = pathOf(session);
    mark = await markOf(session, path, work);
    const { start, length, isPrefix } = rangeOf(call, mark, doing);
    const source = {
      type: 'file',
      size: mark.size,
      modified: mark.modified,
      version: versionOf(mark),
    } as const;
    const download = await retrieve({
      session,
      dialer,
      work,
      command: `RETR ${path}`,
      start,
      length,
      isPrefix,
    }).catch(async (error: unknown) => {
      throw await refusedRead(session, path, error, { ...work });
    });
    download.over.then(() => readers.release(session));
    return {
      ...source,
      bytes: download.bytes,
      confirm: () => confirm(server, path, mark, { doing, signal: call.signal }),
      discard: () => download.discard(),
    };
  } catch (error) {
    readers.release(session);
    throw error;
  }
}

function rangeOf(call: ReadCall, mark: Mark, doing: string) {
  const { start, end } = call.range ?? { start: 0 };
  const { size } = mark;
  if (call.version !== undefined && versionOf(mark) !== call.version) {
    throw new TransferError('changed', `${doing}: it is no longer the version that was asked for`);
  }
  if (size === undefined) {
    if (start === 0 && end === undefined) return { start, length: undefined, isPrefix: false };
    throw new TransferError('range-ignored', `${doing}: the server does not tell how large the file is`);
  }
  if (start > size) {
    throw new TransferError('changed', `${doing}: expected at least ${start} bytes, it has ${size}`);
  }
  const last = Math.min(end ?? size, size);
  return { start, length: Math.max(0, last - start), isPrefix: last < size };
}

/** Servers refuse a directory with words that say nothing about it. */
async function refusedRead(
  session: Session,
  path: string,
  error: unknown,
  work: { readonly doing: string; readonly signal: AbortSignal },
): Promise<unknown> {
  if (!(error instanceof TransferError) || error.code !== 'not-found' || !session.control.isOpen())
    return error;
  if (!(await isDirectory(session, path, work))) return error;
  return new TransferError('invalid-request', `${work.doing}: expected a regular file, got a directory`);
}

async function confirm(
  { readers }: Server,
  path: string,
  before: Mark,
  work: { readonly doing: string; readonly signal: AbortSignal },
): Promise<void> {
  const after = await readers.use(work, (session) => markOf(session, path, work));
  if (after.size === before.size && after.modified?.getTime() === before.modified?.getTime()) return;
  throw new TransferError('changed', `${work.doing}: the file changed while it was read`);
}

import { TransferError, toTransferError } from '../errors.ts';
import type { Staged, Stored, WriteCall } from '../protocol.ts';
import { type Attributes, statOf, versionOf } from './attributes.ts';
import {
  type Handle,
  isNotFound,
  lookAt,
  removeFile,
  replaceFile,
  setHandle,
  statHandle,
  syncFile,
} from './files.ts';
import type { Holding } from './holding.ts';
import { bookKey, newAsidePath } from './partials.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import type { SinkTools } from './sink.ts';
import { openSource } from './source.ts';
import { STATUS, statusOf } from './status.ts';

/** Milliseconds that clearing up may take when the server does not answer; a later clean-up finds what stays. */
const CLEAR_MS = 5000;

/** A partial that has all its bytes. */
export interface WholePartial {
  readonly path: string;
  readonly partial: string;
  readonly size: number;
  readonly session: Session;
  readonly handle: Handle;
  /** Permission bits of the file that this one replaces. */
  readonly oldMode: number | undefined;
  readonly holding: Holding;
}

/** What a commit needs to know of the write. */
export type StageCall = Pick<WriteCall, 'key' | 'exactMode' | 'modified' | 'signal'> &
  Partial<Pick<WriteCall, 'retry' | 'onPartial'>>;

/** The staged write of a whole partial: set, flush, count, close, rename. */
export function stage(tools: SinkTools, file: WholePartial, call: StageCall): Staged {
  const { sessions, book } = tools;
  const { path, partial, size } = file;
  const doing = `write \`${path}\``;
  const keep = () => book.kept.set(bookKey(path, call.key), { partial, end: size });
  return {
    read: (read) => openSource(sessions, partial, read),
    async commit(signal): Promise<Stored> {
      try {
        const attributes = await settle(file, call, doing);
        await publish(tools, file, attributes, { ...call, signal });
        return { size, digests: [], version: versionOf(attributes) };
      } catch (error) {
        const known = toTransferError(error, doing);
        if (call.onPartial && known.transient) keep();
        else await dropPartial(sessions, partial, signal);
        throw known;
      } finally {
        file.holding.close();
        book.claimed.delete(partial);
      }
    },
    async abort(options) {
      file.holding.close();
      if (options?.keep) keep();
      else await dropPartial(sessions, partial, call.signal);
      book.claimed.delete(partial);
    },
  };
}

/** Mode, time, and every byte on the disk there; counted by the server. */
async function settle(file: WholePartial, call: StageCall, doing: string): Promise<Attributes> {
  const { session, handle, size, oldMode } = file;
  const { modified, exactMode } = call;
  const permissions = exactMode ?? oldMode;
  if (permissions !== undefined || modified) {
    const setting = setHandle(
      session,
      handle,
      {
        ...(permissions === undefined ? {} : { permissions }),
        ...(modified ? { modified: Math.floor(modified.getTime() / 1000) } : {}),
      },
      doing,
    );
    const isAsked = exactMode !== undefined || modified !== undefined;
    // A server may forbid it; then a replaced file's mode is not worth the transfer.
    await setting.catch((error: unknown) => {
      if (isAsked) throw error;
    });
  }
  const [, attributes] = await Promise.all([
    syncFile(session, handle, doing),
    statHandle(session, handle, doing),
  ]);
  if (attributes.size !== undefined && attributes.size !== size) {
    throw new TransferError(
      'size-mismatch',
      `${doing}: sent ${size} bytes, the server has ${attributes.size}`,
    );
  }
  // Network file systems tell of a failed write only here.
  await file.holding.finish(doing);
  return attributes;
}

/** The rename whose answer is lost is made again; what it finds then tells whether the first was done (F22). */
async function publish(
  { sessions }: SinkTools,
  file: WholePartial,
  attributes: Attributes,
  call: StageCall,
): Promise<void> {
  const { path, partial } = file;
  const doing = `write \`${path}\``;
  const retry = call.retry ?? ((unit) => unit(call.signal));
  let tries = 0;
  await retry(async (signal) => {
    tries += 1;
    const lease = file.session.failure() ? await sessions.acquire(signal, doing) : undefined;
    const session = lease?.session ?? file.session;
    try {
      await replaceFile(session, { from: partial, to: path, aside: newAsidePath(path, call.key) }, doing);
    } catch (error) {
      if (tries > 1 && isNotFound(error) && (await isThere(session, path, attributes))) return;
      throw await explainRename(error, session, path, doing);
    } finally {
      lease?.release();
    }
  });
}

async function isThere(session: Session, path: string, attributes: Attributes): Promise<boolean> {
  const there = await lookAt(session, path, `stat \`${path}\``);
  return there !== undefined && versionOf(there) === versionOf(attributes);
}

async function explainRename(
  error: unknown,
  session: Session,
  path: string,
  doing: string,
): Promise<unknown> {
  if (statusOf(error) !== STATUS.failure) return error;
  const there = await lookAt(session, path, doing).catch(() => undefined);
  if (!there || statOf(there).type !== 'directory') return error;
  return new TransferError('already-exists', `${doing}: expected a file name, got a directory`);
}

/** Removes a partial, if the server can be reached at all; never fails, and never takes long. */
export async function dropPartial(sessions: Sessions, partial: string, signal: AbortSignal): Promise<void> {
  const doing = `remove \`${partial}\``;
  const removing = (async () => {
    const lease = sessions.present() ?? (signal.aborted ? undefined : await sessions.acquire(signal, doing));
    if (lease) await removeFile(lease.session, partial, doing).finally(lease.release);
  })().catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLEAR_MS);
  });
  await Promise.race([removing, patience]);
  clearTimeout(timer);
}

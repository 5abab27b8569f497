import { FULL_HINT, TransferError, toTransferError } from '../errors.ts';
import type { Bytes, Staged, WriteCall } from '../protocol.ts';
import { giveBack } from '../slabs.ts';
import { abortable, refuseAborted } from './abortable.ts';
import { statOf } from './attributes.ts';
import {
  freeBytes,
  type Handle,
  isNotFound,
  letGo,
  lookAt,
  openFile,
  removeFile,
  setHandle,
} from './files.ts';
import { createLanes, type Lane, type Lanes } from './lanes.ts';
import { bookKey, newPartialPath, type PartialBook } from './partials.ts';
import { createReach, type Reach } from './reach.ts';
import type { Session } from './session.ts';
import type { Lease, Sessions } from './sessions.ts';
import { dropPartial, stage } from './staged.ts';
import { STATUS, statusOf } from './status.ts';
import { makeParents } from './tree.ts';
import { OPEN } from './wire.ts';

/** Smaller files are not asked about free space. */
const SPACE_CHECK_BYTES = 1024 * 1024;

/** What writes of one endpoint share. */
export interface SinkTools {
  readonly sessions: Sessions;
  readonly book: PartialBook;
}

/** A new or resumed partial, open for writing. */
export interface OpenPartial {
  readonly lease: Lease;
  readonly handle: Handle;
  readonly partial: string;
  /** Permission bits of the file that this one is to replace. */
  readonly oldMode: number | undefined;
}

/** Writes every byte to a partial beside `path`, many requests at a time; the name changes only on commit. */
export async function writeStaged(
  tools: SinkTools,
  path: string,
  bytes: Bytes,
  call: WriteCall,
): Promise<Staged> {
  const doing = `write \`${path}\``;
  const { sessions, book } = tools;
  const start = call.resume?.ranges[0]?.end ?? 0;
  const progress: Progress = { at: start, acknowledged: start };
  let opened: OpenPartial | undefined;
  const reach = createReach(sessions);
  let lanes: Lanes | undefined;
  try {
    refuseAborted(call.signal, doing);
    opened = await openPartial(tools, path, call, doing, reach);
    const { lease, handle, partial, oldMode } = opened;
    if (call.resume) await setHandle(lease.session, handle, { size: start }, doing);
    call.onPartial?.(partial);
    lanes = createLanes(
      sessions,
      { lease, handle },
      {
        reach,
        bytes: (call.size ?? 0) - start,
        open: (session) => openFile(session, { path: partial, flags: OPEN.write }, doing),
      },
    );
    const size = await pump(lanes, bytes, { call, doing, progress });
    if (call.size !== undefined && size !== call.size) throw wrongSize(doing, call.size, String(size));
    const { session } = lease;
    return stage(tools, { path, partial, size, handle, oldMode, session, holding: lanes }, call);
  } catch (error) {
    reach.drop();
    if (opened) {
      if (lanes) lanes.close();
      else letGo(opened.lease.session, opened.handle);
      opened.lease.release();
      const keep = call.onPartial !== undefined;
      if (keep)
        book.kept.set(bookKey(path, call.key), { partial: opened.partial, end: progress.acknowledged });
      else await dropPartial(sessions, opened.partial, call.signal);
      book.claimed.delete(opened.partial);
    } else {
      await call.resume?.release(true);
    }
    throw toTransferError(await explain(error, tools, path, call), doing);
  }
}

/** FAILURE says nothing; that the file system is full, the server tells when asked. */
async function explain(
  error: unknown,
  { sessions }: SinkTools,
  path: string,
  call: WriteCall,
): Promise<unknown> {
  if (statusOf(error) !== STATUS.failure || call.signal.aborted) return error;
  try {
    const lease = await sessions.acquire(call.signal, 'ask for free space');
    const free = await freeBytes(lease.session, parentOf(path)).finally(lease.release);
    if (free === undefined || free >= SPACE_CHECK_BYTES) return error;
    return new TransferError(
      'no-space',
      `write \`${path}\`: no space left on the server (${free} bytes are free)`,
      { cause: error, hint: FULL_HINT },
    );
  } catch {
    return error;
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** What stands at `path` is looked at while the partial is opened; missing directories are made. `reach` is for who sends bytes. */
export async function openPartial(
  tools: SinkTools,
  path: string,
  call: Pick<WriteCall, 'key' | 'mode' | 'size' | 'resume' | 'signal'>,
  doing: string,
  reach?: Reach,
): Promise<OpenPartial> {
  const lease = await tools.sessions.acquire(call.signal, doing);
  const { session } = lease;
  const partial = call.resume?.handle ?? newPartialPath(path, call.key);
  try {
    const bytes = (call.size ?? 0) - (call.resume?.ranges[0]?.end ?? 0);
    reach?.begin(session, bytes);
    if (call.resume) await requirePlain(session, partial, doing);
    else await requireSpace(session, path, call.size, doing);
    const flags = OPEN.write | (call.resume ? 0 : OPEN.create | OPEN.exclusive);
    const permissions = (call.mode ?? 0o666) & 0o777;
    // Both at once: a small file should not wait for what its destination is like.
    const [looked, made] = await Promise.allSettled([
      inspectDestination(session, path, doing),
      openWithParents(session, { path: partial, flags, permissions }, doing),
    ]);
    const isWanted = looked.status === 'fulfilled' && !call.signal.aborted;
    if (made.status === 'fulfilled' && !isWanted) {
      letGo(session, made.value);
      if (!call.resume) await removeFile(session, partial, doing).catch(() => undefined);
    }
    refuseAborted(call.signal, doing);
    if (looked.status === 'rejected') throw looked.reason;
    if (made.status === 'rejected') throw made.reason;
    return { lease, handle: made.value, partial, oldMode: looked.value };
  } catch (error) {
    lease.release();
    throw error;
  }
}

async function openWithParents(
  session: Session,
  file: { readonly path: string; readonly flags: number; readonly permissions: number },
  doing: string,
): Promise<Handle> {
  try {
    return await openFile(session, file, doing);
  } catch (error) {
    if (!isNotFound(error) || (file.flags & OPEN.create) === 0) throw error;
    await makeParents(session, file.path, doing);
    return openFile(session, file, doing);
  }
}

async function inspectDestination(
  session: Session,
  path: string,
  doing: string,
): Promise<number | undefined> {
  const there = await lookAt(session, path, doing);
  if (!there) return undefined;
  const { type, mode } = statOf(there);
  if (type === 'directory') {
    throw new TransferError('already-exists', `${doing}: expected a file name, got a directory`);
  }
  if (type === 'other') {
    throw new TransferError(
      'already-exists',
      `${doing}: expected a file name, got a device, a FIFO or a socket`,
    );
  }
  return type === 'file' && mode !== undefined ? mode & 0o777 : undefined;
}

/** A link in the place of a partial would choose where our bytes go. */
async function requirePlain(session: Session, partial: string, doing: string): Promise<void> {
  const there = await lookAt(session, partial, doing);
  if (there && statOf(there).type === 'file') return;
  throw new TransferError('changed', `${doing}: the partial is no regular file any more`);
}

async function requireSpace(
  session: Session,
  path: string,
  size: number | undefined,
  doing: string,
): Promise<void> {
  if (size === undefined || size < SPACE_CHECK_BYTES) return;
  const free = await freeBytes(session, parentOf(path));
  if (free === undefined || free >= size) return;
  const text = `${doing}: needs ${size} bytes, ${free} are free on the server`;
  throw new TransferError('no-space', text, { hint: FULL_HINT });
}

function wrongSize(doing: string, expected: number, got: string): TransferError {
  return new TransferError('size-mismatch', `${doing}: expected ${expected} bytes, got ${got}`);
}

/** How far a write came. `acknowledged`: the server has everything before it, without a gap. */
export interface Progress {
  at: number;
  acknowledged: number;
}

interface Pumping {
  readonly call: WriteCall;
  readonly doing: string;
  readonly progress: Progress;
}

/** Sends the bytes as they come, with a window of unanswered ones. Resolves with the end of the file when all are acknowledged. */
async function pump(lanes: Lanes, bytes: Bytes, { call, doing, progress }: Pumping): Promise<number> {
  const queue: { readonly sending: Promise<void>; readonly length: number }[] = [];
  let underWay = 0;
  const settleFirst = async () => {
    const [first] = queue;
    if (!first) return;
    await abortable(first.sending, call.signal, doing);
    queue.shift();
    underWay -= first.length;
    progress.acknowledged += first.length;
  };
  for await (const chunk of bytes) {
    refuseAborted(call.signal, doing);
    const { length } = chunk;
    if (length === 0) continue;
    if (call.size !== undefined && progress.at + length > call.size)
      throw wrongSize(doing, call.size, 'more');
    const sending = send(lanes.pick(), progress.at, chunk, doing);
    sending.catch(() => undefined);
    queue.push({ sending, length });
    progress.at += length;
    underWay += length;
    while (underWay > lanes.window()) await settleFirst();
  }
  while (queue.length > 0) await settleFirst();
  return progress.at;
}

async function send(lane: Lane, offset: number, chunk: Uint8Array, doing: string): Promise<void> {
  const { session, handle } = lane;
  const requests = Math.ceil(chunk.length / session.limits.write);
  const size = Math.ceil(chunk.length / requests);
  lane.underWay += chunk.length;
  try {
    const writing: Promise<void>[] = [];
    for (let at = 0; at < chunk.length; at += size) {
      writing.push(session.write(handle, offset + at, chunk.subarray(at, at + size), doing));
    }
    const failed = (await Promise.allSettled(writing)).find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    giveBack(chunk);
  } finally {
    lane.underWay -= chunk.length;
  }
}

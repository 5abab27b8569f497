import { TransferError, toTransferError } from '../errors.ts';
import type { ReadCall, Source } from '../protocol.ts';
import { giveBack, SLAB_BYTES, takeSlab } from '../slabs.ts';
import { abortable, refuseAborted } from './abortable.ts';
import { type Attributes, statOf, versionOf } from './attributes.ts';
import { type Handle, letGo, openFile, statFile, statHandle } from './files.ts';
import { createLanes, type Lane, type Lanes } from './lanes.ts';
import { createReach, type Reach } from './reach.ts';
import type { Lease, Sessions } from './sessions.ts';
import { OPEN } from './wire.ts';

/** Chunks up to this size get memory of their own instead of a slab. */
const SMALL = 64 * 1024;

/**
 * Opens a regular file for one read, links followed. Directories, FIFOs and devices reject with `invalid-request`
 * before they are opened: opening a FIFO would hold the whole session up.
 */
export async function openSource(sessions: Sessions, path: string, call: ReadCall): Promise<Source> {
  const doing = `read \`${path}\``;
  const { signal } = call;
  refuseAborted(signal, doing);
  const lease = await sessions.acquire(signal, doing);
  const { session } = lease;
  const reach = createReach(sessions);
  let handle: Handle | undefined;
  try {
    const there = await abortable(statFile(session, path, doing), signal, doing);
    requireFile(there, doing);
    reach.begin(session, bytesOf(call, there.size));
    handle = await openOrLetGo(lease, path, signal, doing);
    const attributes = await abortable(statHandle(session, handle, doing), signal, doing);
    requireFile(attributes, doing);
    if (call.version !== undefined && call.version !== versionOf(attributes)) throw changed(doing);
    const size = await knownSize(lease, handle, attributes, doing);
    const start = call.range?.start ?? 0;
    if (size !== undefined && start > size) throw changed(doing);
    const file: OpenFile = { sessions, reach, lease, handle, path, attributes, doing };
    return sourceOf(file, size, call);
  } catch (error) {
    reach.drop();
    if (handle) letGo(session, handle);
    lease.release();
    throw toTransferError(error, doing);
  }
}

interface OpenFile {
  readonly sessions: Sessions;
  readonly reach: Reach;
  readonly lease: Lease;
  readonly handle: Handle;
  readonly path: string;
  readonly attributes: Attributes;
  readonly doing: string;
}

function bytesOf({ range }: ReadCall, size = 0): number {
  return Math.min(range?.end ?? size, size) - (range?.start ?? 0);
}

/** A handle that comes after the call was canceled is closed. */
async function openOrLetGo(
  { session }: Lease,
  path: string,
  signal: AbortSignal,
  doing: string,
): Promise<Handle> {
  const opening = openFile(session, { path, flags: OPEN.read }, doing);
  try {
    return await abortable(opening, signal, doing);
  } catch (error) {
    opening.then(
      (handle) => letGo(session, handle),
      () => undefined,
    );
    throw error;
  }
}

function requireFile(attributes: Attributes, doing: string): void {
  const { type } = statOf(attributes);
  if (type === 'file') return;
  const what = type === 'directory' ? 'a directory' : 'a FIFO, a socket or a device';
  throw new TransferError('invalid-request', `${doing}: expected a regular file, got ${what}`);
}

function changed(doing: string): TransferError {
  return new TransferError('changed', `${doing}: it is no longer the version that was asked for`);
}

/** Files that the system makes up (/proc) have size 0 and content: their size is not known. */
async function knownSize(
  { session }: Lease,
  handle: Handle,
  { size }: Attributes,
  doing: string,
): Promise<number | undefined> {
  if (size !== 0) return size;
  return (await session.read(handle, 0, Buffer.allocUnsafe(1), doing)) === 0 ? 0 : undefined;
}

function sourceOf(file: OpenFile, size: number | undefined, call: ReadCall): Source {
  const { sessions, reach, lease, handle, doing, attributes } = file;
  const { signal } = call;
  const start = call.range?.start ?? 0;
  const end = Math.min(call.range?.end ?? Number.POSITIVE_INFINITY, size ?? Number.POSITIVE_INFINITY);
  const version = size === undefined ? undefined : versionOf(attributes);
  let verdict: TransferError | undefined;
  let state: 'fresh' | 'reading' | 'read' | 'over' = 'fresh';

  async function* bytes(): AsyncGenerator<Uint8Array> {
    if (state !== 'fresh') return;
    state = 'reading';
    const lanes = createLanes(
      sessions,
      { lease, handle },
      { reach, bytes: end - start, open: (session) => openSame(file, session) },
    );
    try {
      if (size === undefined) yield* toTheEnd(lanes.pick(), start, end, { signal, doing });
      else yield* inWindow(lanes, start, end, { signal, doing });
      // Lengths were checked read by read; this is for what was written over meanwhile.
      const now = await abortable(statHandle(lease.session, handle, doing), signal, doing);
      if (size !== undefined && versionOf(now) !== version) {
        verdict = new TransferError('changed', `${doing}: the file changed while it was read`);
      }
      state = 'read';
    } catch (error) {
      throw toTransferError(error, doing);
    } finally {
      if (state === 'reading') state = 'over';
      lanes.close();
    }
  }

  return {
    ...statOf(attributes),
    size,
    version,
    bytes: bytes(),
    async confirm() {
      if (verdict) throw verdict;
      if (state !== 'read') throw new TransferError('unexpected', `${doing}: not read to its end`);
    },
    async discard() {
      if (state !== 'fresh') return;
      state = 'over';
      reach.drop();
      letGo(lease.session, handle);
      lease.release();
    },
  };
}

/** The file on another session; undefined when it is another file by now. */
async function openSame(file: OpenFile, session: Lease['session']): Promise<Handle | undefined> {
  const handle = await openFile(session, { path: file.path, flags: OPEN.read }, file.doing);
  const attributes = await statHandle(session, handle, file.doing).catch(() => undefined);
  if (attributes && versionOf(attributes) === versionOf(file.attributes)) return handle;
  letGo(session, handle);
  return undefined;
}

interface Reading {
  readonly signal: AbortSignal;
  readonly doing: string;
}

/** Chunks in order, with many requests under way. */
async function* inWindow(
  lanes: Lanes,
  start: number,
  end: number,
  reading: Reading,
): AsyncGenerator<Uint8Array> {
  const queue: Promise<Uint8Array>[] = [];
  let next = start;
  let underWay = 0;
  try {
    while (next < end || queue.length > 0) {
      while (next < end && (queue.length === 0 || underWay + SLAB_BYTES <= lanes.window())) {
        const length = Math.min(SLAB_BYTES, end - next);
        const fetching = fetchChunk(lanes.pick(), next, length, reading.doing);
        // One that fails is told when its turn comes.
        fetching.catch(() => undefined);
        queue.push(fetching);
        next += length;
        underWay += length;
      }
      const chunk = await abortable(queue[0] as Promise<Uint8Array>, reading.signal, reading.doing);
      void queue.shift();
      underWay -= chunk.length;
      yield chunk;
    }
  } finally {
    // Whoever left early has no use for what is still to come.
    for (const fetching of queue) fetching.then(giveBack, () => undefined);
  }
}

async function fetchChunk(lane: Lane, offset: number, length: number, doing: string): Promise<Uint8Array> {
  const chunk = length <= SMALL ? Buffer.allocUnsafe(length) : takeSlab().subarray(0, length);
  const requests = Math.ceil(length / lane.session.limits.read);
  const size = Math.ceil(length / requests);
  lane.underWay += length;
  try {
    const filling: Promise<void>[] = [];
    for (let at = 0; at < length; at += size) {
      filling.push(fill(lane, offset + at, chunk.subarray(at, Math.min(at + size, length)), doing));
    }
    // All of them, also after one failed: the others still write into the chunk.
    const failed = (await Promise.allSettled(filling)).find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    return chunk;
  } catch (error) {
    giveBack(chunk);
    throw error;
  } finally {
    lane.underWay -= length;
  }
}

/** A server may answer with less than was asked for (draft-02 §6.4); the rest is asked for again. */
async function fill(
  { session, handle }: Lane,
  offset: number,
  into: Uint8Array,
  doing: string,
): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const got = await session.read(handle, offset + at, into.subarray(at), doing);
    if (got === 0) throw new TransferError('changed', `${doing}: the file became shorter while it was read`);
    at += got;
  }
}

/** One request after the other: nothing says where the end is. */
async function* toTheEnd(
  lane: Lane,
  start: number,
  end: number,
  reading: Reading,
): AsyncGenerator<Uint8Array> {
  const { session, handle } = lane;
  for (let at = start; at < end; ) {
    const chunk = Buffer.allocUnsafe(Math.min(session.limits.read, end - at));
    const got = await abortable(
      session.read(handle, at, chunk, reading.doing),
      reading.signal,
      reading.doing,
    );
    if (got === 0) return;
    at += got;
    yield chunk.subarray(0, got);
  }
}

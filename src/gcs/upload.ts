import { TransferError } from '../errors.ts';
import type { Algorithm, Bytes, Staged, WriteCall } from '../protocol.ts';
import { type Api, nameOf } from './api.ts';
import { putSmall } from './put-small.ts';
import { metadataOf, type ObjectResource, storedOf } from './resource.ts';
import { openSession, type Progress, type Session, startSession } from './session.ts';
import { createTail, type Tail } from './tail.ts';

/**
 * Bytes of one request of a resumable upload, held until the service has them: a multiple of 256 KiB, of at least 8 MiB
 * for speed (Cloud Storage documentation, Resumable uploads). Smaller objects go in one request.
 */
export const CHUNK_BYTES = 8 * 1024 * 1024;

/** Answers without progress, in a row, that end a try. */
const FRUITLESS = 3;

/** Digests of the whole content. */
type Digests = ReadonlyMap<Algorithm, string>;

/**
 * Sends all but the last chunk, which waits for commit: nothing is under the name before. What the service says that it
 * has is trusted, and nothing else.
 */
export async function writeObject(api: Api, path: string, bytes: Bytes, call: WriteCall): Promise<Staged> {
  const name = nameOf(path);
  const doing = `write \`gs://${api.bucket}/${name}\``;
  if (name === '') throw new TransferError('invalid-request', `${doing}: expected the name of an object`);
  const upload: Upload = {
    api,
    name,
    doing,
    call,
    session: undefined,
    tail: createTail(0, 0),
    isBroken: false,
  };
  try {
    const start = call.resume?.ranges[0]?.end ?? 0;
    const at = call.resume ? await goOn(upload, call.resume.handle, start) : 0;
    upload.tail = createTail(
      at,
      call.size === undefined ? CHUNK_BYTES : Math.max(0, Math.min(CHUNK_BYTES, call.size - at)),
    );
    await sendAll(upload, bytes, start);
  } catch (error) {
    if (!call.onPartial) await cancel(upload);
    throw error;
  }
  return {
    commit: async (signal, digests = new Map()) => storedOf(await finish(upload, digests, signal)),
    abort: async (options) => (options?.keep ? undefined : cancel(upload)),
  };
}

interface Upload {
  readonly api: Api;
  readonly name: string;
  readonly doing: string;
  readonly call: WriteCall;
  session: Session | undefined;
  /** What was not acknowledged yet. */
  tail: Tail;
  /** A try failed since the service last said what it has. */
  isBroken: boolean;
}

async function goOn(upload: Upload, handle: string, start: number): Promise<number> {
  const { api, call, doing } = upload;
  const session = openSession(api.context.http, handle, await api.origin(), doing);
  const progress = await session?.ask(call.signal);
  if (!session || progress?.kind !== 'more' || progress.committed < start) {
    throw new TransferError('unavailable', `${doing}: the service does not know the upload any more`);
  }
  upload.session = session;
  call.onPartial?.(handle);
  return progress.committed;
}

async function sendAll(upload: Upload, bytes: Bytes, start: number): Promise<void> {
  const { call, doing, tail } = upload;
  let count = start;
  for await (const chunk of bytes) {
    count += chunk.length;
    if (call.size !== undefined && count > call.size) throw wrongSize(doing, call.size, 'more');
    // Bytes that the service has already.
    let rest = chunk.subarray(
      Math.max(0, Math.min(chunk.length, tail.start + tail.length - count + chunk.length)),
    );
    while (rest.length > 0) {
      if (tail.length === CHUNK_BYTES) await flush(upload);
      rest = rest.subarray(tail.add(rest, CHUNK_BYTES));
    }
    tail.release(chunk);
  }
  if (call.size !== undefined && count < call.size) throw wrongSize(doing, call.size, String(count));
}

/** Sends the whole chunk as one that others follow. */
async function flush(upload: Upload): Promise<void> {
  const { api, name, call, tail } = upload;
  if (!upload.session) {
    const about = { size: call.size, metadata: metadataOf(call) };
    upload.session = await call.retry((signal) => startSession(api, name, { ...about, signal }));
    call.onPartial?.(upload.session.handle);
  }
  const { session } = upload;
  await call.retry((signal) => send(upload, session, { total: call.size, isLast: false }, signal));
  tail.drop();
}

/** Sends the rest with the digests of the whole. A lost answer is asked for again. */
async function finish(upload: Upload, digests: Digests, signal: AbortSignal): Promise<ObjectResource> {
  const { api, name, call, session, tail } = upload;
  if (signal.aborted) throw new TransferError('canceled', `${upload.doing}: canceled`);
  if (!session) {
    const metadata = { ...metadataOf(call), name };
    return call.retry((inner) => putSmall(api, { name, metadata, content: tail.bytes(), digests }, inner));
  }
  const total = tail.start + tail.length;
  const hash = hashField(digests);
  try {
    const ended = await call.retry((inner) =>
      send(upload, session, { total, hash, isLast: true }, inner).catch(unlessRefused),
    );
    if (ended instanceof TransferError) throw ended;
    if (ended) return ended;
  } catch (error) {
    if (isRefused(error) || !call.onPartial) await cancel(upload);
    throw error;
  }
  throw new TransferError('unexpected', `${upload.doing}: the service keeps asking for more`);
}

/** What was refused as a whole is of no use, and must not be asked about again: that could end it. */
function isRefused(error: unknown): error is TransferError {
  return error instanceof TransferError && error.code === 'digest-mismatch';
}

function unlessRefused(error: unknown): TransferError {
  if (isRefused(error)) return error;
  throw error;
}

/** One try: goes on from what the service says that it has. Resolves with the object when that is made. */
async function send(
  upload: Upload,
  session: Session,
  how: { readonly total: number | undefined; readonly isLast: boolean; readonly hash?: string | undefined },
  signal: AbortSignal,
): Promise<ObjectResource | undefined> {
  const { tail, doing } = upload;
  const end = tail.start + tail.length;
  let from = tail.start;
  if (upload.isBroken) {
    const progress = await session.ask(signal);
    if (progress.kind === 'done') return finished(progress.object, how.isLast, doing);
    from = committedOf(progress, upload);
  }
  upload.isBroken = true;
  for (let fruitless = 0; from < end || how.isLast; ) {
    const bytes = tail.bytes().subarray(from - tail.start);
    const hash = how.hash === undefined ? {} : { hash: how.hash };
    const progress = await session.put({ start: from, bytes, total: how.total, ...hash }, signal);
    if (progress.kind === 'done') return finished(progress.object, how.isLast, doing);
    const committed = committedOf(progress, upload);
    fruitless = committed > from ? 0 : fruitless + 1;
    if (fruitless === FRUITLESS) {
      throw new TransferError('unavailable', `${doing}: the service takes no more than ${committed} bytes`);
    }
    from = committed;
  }
  upload.isBroken = false;
  return undefined;
}

function finished(object: ObjectResource, isLast: boolean, doing: string): ObjectResource {
  if (isLast) return object;
  throw new TransferError('unexpected', `${doing}: the service said done before it had the whole`);
}

/** What the service has, when that can be gone on from. */
function committedOf(progress: Progress, { tail, doing }: Upload): number {
  if (progress.kind !== 'more') {
    throw new TransferError('unavailable', `${doing}: the upload ended at the service before its time`);
  }
  const { committed } = progress;
  if (committed < tail.start) {
    throw new TransferError('unavailable', `${doing}: the service lost bytes that it had acknowledged`);
  }
  if (committed > tail.start + tail.length) {
    throw new TransferError('unexpected', `${doing}: the service has bytes that nobody sent`);
  }
  return committed;
}

/** Best effort: a session that stays is gone after a week. */
async function cancel({ session }: Upload): Promise<void> {
  await session?.cancel(AbortSignal.timeout(10_000)).catch(() => undefined);
}

/** Both digests that the service knows, as X-Goog-Hash spells them; undefined when we have none. */
function hashField(digests: Digests): string | undefined {
  const known = (['crc32c', 'md5'] as const).flatMap((algorithm) => {
    const value = digests.get(algorithm);
    return value === undefined ? [] : [`${algorithm}=${Buffer.from(value, 'hex').toString('base64')}`];
  });
  return known.length === 0 ? undefined : known.join(',');
}

function wrongSize(doing: string, expected: number, got: string): TransferError {
  return new TransferError('size-mismatch', `${doing}: expected ${expected} bytes, got ${got}`);
}

import { TransferError } from '../errors.ts';
import { MEDIUM_BYTES, SLAB_BYTES, SMALL_BYTES, takeSlab, takeSlabFor } from '../slabs.ts';
import { type ChunkDecoder, createChunkDecoder, decodeChunks } from './chunked.ts';
import type { Framing } from './head.ts';

/** A slab with less room than this is handed on: reads into a short rest cost as much as long ones. */
const MIN_ROOM = 16 * 1024;

/** A waiting reader gets the slab itself from this fill on: every chunk costs a message to the hasher and a write. */
const WORTH_A_SLAB = 768 * 1024;
/** Milliseconds that a waiting reader waits for a slab to fill; then it gets a copy of what there is. */
const PATIENCE = 20;

/** Chunks that wait for a slow reader before the socket is paused. */
const MAX_READY = 2;

/** Headroom behind a small body, so that a read shows bytes beyond the declared length. */
const TAIL_ROOM = 1;

/** What the connection is told about by the one who reads the body. */
export interface BodyReader {
  /** There is room for chunks again. */
  wanted(): void;
  /** The reader left before the end. */
  left(): void;
}

/** A body on its way from the socket to its reader. Fields are this file's own but for `framing`, `received` and `state`. */
export interface Incoming {
  readonly framing: Framing;
  readonly reader: BodyReader;
  readonly decoder: ChunkDecoder | undefined;
  /** Payload bytes so far. */
  received: number;
  state: 'open' | 'ended' | 'failed';
  memory: Uint8Array | undefined;
  /** Bytes of `memory` before this were handed on as a copy. */
  start: number;
  fill: number;
  readonly ready: Uint8Array[];
  dropping: boolean;
  taken: boolean;
  error: TransferError | undefined;
  waiter: ((result: IteratorResult<Uint8Array> | TransferError) => void) | undefined;
  flushing: NodeJS.Timeout | undefined;
  endWaiters: (() => void)[];
}

export function createIncoming(framing: Framing, reader: BodyReader): Incoming {
  return {
    framing,
    reader,
    decoder: framing.kind === 'chunked' ? createChunkDecoder() : undefined,
    received: 0,
    state: 'open',
    memory: undefined,
    start: 0,
    fill: 0,
    ready: [],
    dropping: false,
    taken: false,
    error: undefined,
    waiter: undefined,
    flushing: undefined,
    endWaiters: [],
  };
}

/** What a read did to the body: more is to come, it is complete, bytes came behind its end, or it is broken. */
export type Verdict = 'more' | 'complete' | 'extra' | { readonly problem: string };

/** Memory that the next read should go to; undefined when it is to go through the connection's own buffer and `acceptCopy`. */
export function readTarget(body: Incoming): Uint8Array | undefined {
  if (body.dropping || isFull(body)) return undefined;
  if (body.memory === undefined) {
    if (body.framing.kind === 'length') body.memory = memoryFor(body.framing.length);
    else if (body.received < SMALL_BYTES) return undefined;
    else body.memory = takeSlab();
    body.start = 0;
    body.fill = 0;
  }
  return body.memory.subarray(body.fill);
}

function memoryFor(length: number): Uint8Array {
  return length > MEDIUM_BYTES ? takeSlab() : takeSlabFor(length).subarray(0, length + TAIL_ROOM);
}

/** `count` bytes were read into the memory of {@link readTarget}. */
export function acceptRead(body: Incoming, count: number): Verdict {
  const from = body.fill;
  const { payloadEnd, verdict } = account(body, body.memory!, from, from + count);
  body.fill = payloadEnd;
  const isDone = verdict === 'complete' || verdict === 'extra';
  const isSlab = body.memory!.length === SLAB_BYTES;
  const filled = payloadEnd - body.start;
  if (isDone || (isSlab && body.memory!.length - payloadEnd < MIN_ROOM)) handOver(body);
  else if (isSlab && body.waiter && filled >= WORTH_A_SLAB) handOver(body);
  else if (isSlab && body.waiter && filled > 0) flushSoon(body);
  return verdict;
}

/** `bytes` were read elsewhere and will be overwritten: what belongs to the body is copied. */
export function acceptCopy(body: Incoming, bytes: Uint8Array): Verdict {
  if (body.framing.kind === 'length' && body.framing.length > bytes.length && !body.dropping) {
    return copyIn(body, bytes);
  }
  const { payloadEnd, verdict } = account(body, bytes, 0, bytes.length);
  if (payloadEnd > 0 && !body.dropping) {
    handOver(body);
    const copy = Buffer.allocUnsafe(payloadEnd);
    copy.set(payloadEnd === bytes.length ? bytes : bytes.subarray(0, payloadEnd));
    push(body, copy);
  }
  return verdict;
}

/** Into the same memory that direct reads fill, so that a small body stays one chunk and a large one fills its slabs. */
function copyIn(body: Incoming, bytes: Uint8Array): Verdict {
  let at = 0;
  let verdict: Verdict = 'more';
  while (at < bytes.length && verdict === 'more') {
    if (body.memory === undefined) {
      body.memory = memoryFor(body.framing.kind === 'length' ? body.framing.length : SLAB_BYTES);
      body.start = 0;
      body.fill = 0;
    }
    const count = Math.min(bytes.length - at, body.memory.length - body.fill);
    body.memory.set(bytes.subarray(at, at + count), body.fill);
    verdict = acceptRead(body, count);
    at += count;
  }
  return verdict === 'complete' && at < bytes.length ? 'extra' : verdict;
}

function account(
  body: Incoming,
  buffer: Uint8Array,
  from: number,
  to: number,
): { readonly payloadEnd: number; readonly verdict: Verdict } {
  if (body.framing.kind === 'length') {
    const left = body.framing.length - body.received;
    const count = Math.min(left, to - from);
    body.received += count;
    const verdict = to - from > left ? 'extra' : count === left ? 'complete' : 'more';
    return { payloadEnd: from + count, verdict };
  }
  if (!body.decoder) {
    body.received += to - from;
    return { payloadEnd: to, verdict: 'more' };
  }
  const decoded = decodeChunks(body.decoder, buffer, from, to);
  body.received += decoded.payloadEnd - from;
  const isDone = body.decoder.step === 'done';
  const verdict: Verdict =
    decoded.problem !== undefined
      ? { problem: decoded.problem }
      : !isDone
        ? 'more'
        : decoded.consumed < to
          ? 'extra'
          : 'complete';
  return { payloadEnd: decoded.payloadEnd, verdict };
}

/** Gives the filled part of the memory away. Only where the socket gets another buffer before its next read. */
function handOver(body: Incoming): void {
  const { memory, start, fill } = body;
  if (!memory) return;
  body.memory = undefined;
  if (fill > start && !body.dropping) push(body, memory.subarray(start, fill));
}

/** The socket may still write behind `fill`, so the memory stays here and the reader gets a copy. */
function flushSoon(body: Incoming): void {
  body.flushing ??= setTimeout(() => {
    body.flushing = undefined;
    if (body.waiter) flushCopy(body);
  }, PATIENCE);
}

function flushCopy(body: Incoming): void {
  if (!body.memory || body.fill <= body.start) return;
  const copy = body.memory.slice(body.start, body.fill);
  body.start = body.fill;
  push(body, copy);
}

function push(body: Incoming, chunk: Uint8Array): void {
  const waiter = body.waiter;
  if (!waiter) {
    body.ready.push(chunk);
    return;
  }
  body.waiter = undefined;
  waiter({ done: false, value: chunk });
}

/** True while the reader is behind and the socket should rest. */
export function isFull(body: Incoming): boolean {
  return body.ready.length >= MAX_READY && !body.dropping;
}

/** The body is complete; what was received is handed on first. */
export function endBody(body: Incoming): void {
  if (body.state !== 'open') return;
  handOver(body);
  body.state = 'ended';
  body.waiter?.({ done: true, value: undefined });
  settle(body);
}

/** The body is broken: its reader gets every byte that came before, then `error`. */
export function failBody(body: Incoming, error: TransferError): void {
  if (body.state !== 'open') return;
  if (!body.dropping) flushCopy(body);
  body.memory = undefined;
  body.state = 'failed';
  body.error = error;
  body.waiter?.(error);
  settle(body);
}

function settle(body: Incoming): void {
  body.waiter = undefined;
  clearTimeout(body.flushing);
  const waiters = body.endWaiters;
  body.endWaiters = [];
  for (const waiter of waiters) waiter();
}

/** Drops what was received and what is to come. */
export function dropBody(body: Incoming): void {
  body.dropping = true;
  body.ready.length = 0;
}

/** Trailer fields, once the body has ended; rejects with what broke the body. */
export async function trailersOf(body: Incoming): Promise<Readonly<Record<string, string>>> {
  if (body.state === 'open') await new Promise<void>((resolve) => body.endWaiters.push(resolve));
  if (body.error) throw body.error;
  return body.decoder?.trailers ?? {};
}

/** The body for its reader. */
export function bytesOf(body: Incoming): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      if (body.taken) throw new TransferError('unexpected', 'reading a response body: it was read before');
      body.taken = true;
      return { next: () => next(body), return: () => leave(body) };
    },
  };
}

function next(body: Incoming): Promise<IteratorResult<Uint8Array>> {
  const chunk = body.ready.shift();
  if (chunk) {
    if (body.state === 'open' && body.ready.length === MAX_READY - 1) body.reader.wanted();
    return Promise.resolve({ done: false, value: chunk });
  }
  if (body.state === 'failed') return Promise.reject(body.error);
  if (body.state === 'ended') return Promise.resolve({ done: true, value: undefined });
  if (body.memory && body.fill > body.start && body.memory.length === SLAB_BYTES) flushSoon(body);
  return new Promise((resolve, reject) => {
    body.waiter = (result) => (result instanceof TransferError ? reject(result) : resolve(result));
  });
}

function leave(body: Incoming): Promise<IteratorResult<Uint8Array>> {
  if (body.state === 'open') body.reader.left();
  return Promise.resolve({ done: true, value: undefined });
}

import type { Socket } from 'node:net';
import { TransferError, toTransferError } from '../errors.ts';
import { giveBack } from '../slabs.ts';
import { type Outgoing, wrongSize } from './outgoing.ts';
import { type Exchange, kill, type Wire } from './wire.ts';

/** How long to wait for leave to send, in milliseconds. Servers that do not know Expect say nothing (RFC 9110 §10.1.1). */
const CONTINUE_WAIT = 1000;

/** Progress is seen per piece: at this size the slowest link that counts as alive still shows some in time. */
const PIECE = 64 * 1024;

/** Pieces handed to the socket at a time, so that the kernel never waits for us. */
const IN_FLIGHT = 4;

/**
 * Sends the head and then the body of `exchange`. An answer that comes early ends the sending; a body that breaks or
 * has not its promised size closes the connection, so that the server never sees a complete request.
 */
export async function sendBody(
  wire: Wire,
  exchange: Exchange,
  head: string,
  options: { readonly body: Outgoing; readonly expect: boolean },
): Promise<void> {
  const { body, expect } = options;
  const socket = wire.socket!;
  const framing =
    body.size === undefined ? 'transfer-encoding: chunked\r\n' : `content-length: ${body.size}\r\n`;
  const text = `${head}${framing}${expect ? 'expect: 100-continue\r\n' : ''}\r\n`;
  try {
    if (body.whole) return sendWhole(wire, exchange, text, body.whole);
    if (expect) {
      socket.write(text, 'latin1');
      await leaveToSend(exchange);
    } else socket.cork();
    if (!isWanted(wire, exchange)) return;
    body.isTouched = true;
    if (!expect) socket.write(text, 'latin1');
    exchange.owes = 'nothing';
    const isComplete = await sendChunks(wire, exchange, body);
    if (isComplete) finish(exchange);
  } catch (error) {
    kill(wire, toTransferError(error, `${exchange.label}: reading the body to send`));
  } finally {
    if (socket.writableCorked > 0) socket.uncork();
  }
}

function sendWhole(wire: Wire, exchange: Exchange, head: string, whole: readonly Uint8Array[]): void {
  const socket = wire.socket!;
  finish(exchange);
  socket.cork();
  socket.write(head, 'latin1');
  for (const chunk of whole) socket.write(chunk);
  socket.uncork();
}

function finish(exchange: Exchange): void {
  exchange.sent = true;
  if (!exchange.answered) exchange.owes = 'answer';
}

/** True while the exchange goes on and has no answer yet. */
function isWanted(wire: Wire, exchange: Exchange): boolean {
  return wire.exchange === exchange && !exchange.answered;
}

function leaveToSend(exchange: Exchange): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, CONTINUE_WAIT);
    function done(): void {
      clearTimeout(timer);
      exchange.wake = undefined;
      resolve();
    }
    exchange.wake = done;
  });
}

async function sendChunks(wire: Wire, exchange: Exchange, body: Outgoing): Promise<boolean> {
  const socket = wire.socket!;
  const isChunked = body.size === undefined;
  const iterator = body.bytes[Symbol.asyncIterator]();
  let count = 0;
  try {
    let step = await iterator.next();
    while (!step.done) {
      const chunk = step.value;
      if (!isWanted(wire, exchange)) return false;
      count += chunk.length;
      let next: IteratorResult<Uint8Array> | undefined;
      if (body.size !== undefined && count >= body.size) {
        // The last chunk completes the request: it must not go before it is known to be the last.
        next = await ending(iterator, count, body.size, exchange);
        if (!isWanted(wire, exchange)) return false;
      }
      // From here on an answer may be one to the whole request: the last bytes are on their way.
      if (next?.done) exchange.isClosing = true;
      if (chunk.length > 0) {
        if (isChunked) socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
        if (!(await sendPieces(wire, exchange, chunk))) return false;
        if (isChunked) socket.write('\r\n', 'latin1');
        giveBack(chunk);
      }
      step = next ?? (await iterator.next());
    }
    if (body.size !== undefined && count < body.size) throw wrongSize(exchange.label, count, body.size);
    if (!isWanted(wire, exchange)) return false;
    if (isChunked) socket.write('0\r\n\r\n', 'latin1');
    if (socket.writableCorked > 0) socket.uncork();
    return true;
  } finally {
    // Not awaited: a source that hangs must not keep the answer from the caller.
    Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

async function ending(
  iterator: AsyncIterator<Uint8Array>,
  count: number,
  size: number,
  exchange: Exchange,
): Promise<IteratorResult<Uint8Array>> {
  if (count > size) throw wrongSize(exchange.label, count, size);
  for (;;) {
    const step = await iterator.next();
    if (step.done) return step;
    if (step.value.length > 0) throw wrongSize(exchange.label, count + step.value.length, size);
  }
}

/** True when the whole chunk was handed to the kernel; false when nobody wants it any more. */
function sendPieces(wire: Wire, exchange: Exchange, chunk: Uint8Array): Promise<boolean> {
  const socket = wire.socket!;
  return new Promise((resolve) => {
    let at = 0;
    let inFlight = 0;
    function settle(result: boolean): void {
      exchange.wake = undefined;
      if (!exchange.answered) exchange.owes = 'nothing';
      resolve(result);
    }
    function written(size: number): void {
      inFlight--;
      exchange.moved += size;
      pump();
    }
    function pump(): void {
      if (!isWanted(wire, exchange)) {
        settle(false);
        return;
      }
      while (inFlight < IN_FLIGHT && at < chunk.length) {
        const piece = chunk.subarray(at, at + PIECE);
        at += piece.length;
        inFlight++;
        writePiece(socket, piece, written);
      }
      if (inFlight === 0) settle(true);
    }
    exchange.owes = 'bytes';
    exchange.wake = () => {
      if (!isWanted(wire, exchange)) settle(false);
    };
    pump();
    if (socket.writableCorked > 0) socket.uncork();
  });
}

function writePiece(socket: Socket, piece: Uint8Array, written: (size: number) => void): void {
  socket.write(piece, () => written(piece.length));
}

/** The error of an answer that claims success while the body was still on its way. */
export function earlySuccess(exchange: Exchange, status: number): TransferError {
  const text = `the server answered ${status} before the body was sent`;
  return new TransferError('unavailable', `${exchange.label}: ${text}`);
}

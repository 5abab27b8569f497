import { TransferError, toTransferError } from '../errors.ts';
import { SMALL_BYTES } from '../slabs.ts';
import {
  framingOf,
  type Head,
  isReusable,
  keepAliveSeconds,
  MAX_HEAD_BYTES,
  NO_HTTP,
  parseHead,
} from './head.ts';
import {
  acceptCopy,
  acceptRead,
  createIncoming,
  type Incoming,
  isFull,
  readTarget,
  type Verdict,
} from './incoming.ts';
import { certificateAlert } from './tls.ts';
import { complete, drop, type Exchange, kill, resume, type Wire } from './wire.ts';

/** Interim answers (1xx) before the real one; more is an attack or a loop. */
const MAX_INTERIM = 100;

/** Memory for the next read of the socket. */
export function nextBuffer(wire: Wire): Uint8Array {
  const target = wire.state === 'body' && wire.exchange?.body ? readTarget(wire.exchange.body) : undefined;
  wire.intoBody = target !== undefined;
  // Never without room, also on a closed wire: Node's TLS reads into an empty buffer for ever.
  return target ?? (wire.state === 'head' ? wire.buffer.subarray(wire.fill) : wire.buffer);
}

/** `count` bytes were read into the memory of {@link nextBuffer}. False: rest until the reader catches up. */
export function received(wire: Wire, count: number): boolean {
  const { exchange } = wire;
  if (!exchange || wire.state === 'idle' || wire.state === 'closed') {
    // Who speaks without being asked does not speak HTTP; while still connecting, the one who connects looks at this.
    if (wire.socket) kill(wire);
    else wire.reusable = false;
    return true;
  }
  exchange.moved += count;
  if (wire.state === 'head') readHead(wire, exchange, count);
  else if (wire.state === 'body') {
    const body = exchange.body!;
    judge(wire, wire.intoBody ? acceptRead(body, count) : acceptCopy(body, wire.buffer.subarray(0, count)));
  } else judge(wire, 'extra');
  return !rest(wire);
}

/** `chunk` came from a socket that cannot read into our memory (TLS inside a tunnel). */
export function receivedChunk(wire: Wire, chunk: Uint8Array): boolean {
  let goOn = true;
  for (let at = 0; at < chunk.length && wire.state !== 'closed'; ) {
    const target = nextBuffer(wire);
    const count = Math.min(target.length, chunk.length - at);
    target.set(chunk.subarray(at, at + count));
    at += count;
    goOn = received(wire, count);
  }
  return goOn;
}

function rest(wire: Wire): boolean {
  const body = wire.exchange?.body;
  if (wire.state !== 'body' || !body || !isFull(body)) return false;
  wire.paused = true;
  wire.exchange!.owes = 'nothing';
  return true;
}

function readHead(wire: Wire, exchange: Exchange, count: number): void {
  const before = wire.fill;
  wire.fill += count;
  let searched = Math.max(0, before - 3);
  while (wire.exchange === exchange && wire.fill > 0) {
    const end = wire.buffer.subarray(0, wire.fill).indexOf('\r\n\r\n', searched, 'latin1');
    if (end < 0) {
      makeRoom(wire, exchange);
      return;
    }
    const head = parseHead(wire.buffer.toString('latin1', 0, end));
    if (typeof head === 'string') kill(wire, malformed(exchange, head));
    else if (head.status >= 200) {
      readFinal(wire, exchange, head, end + 4);
      return;
    } else readInterim(wire, exchange, head, end + 4);
    searched = 0;
  }
}

function readInterim(wire: Wire, exchange: Exchange, head: Head, rest: number): void {
  if (head.status === 101 || ++exchange.interim > MAX_INTERIM) {
    kill(wire, malformed(exchange, 'the answer never gets past interim statuses'));
    return;
  }
  wire.buffer.copyWithin(0, rest, wire.fill);
  wire.fill -= rest;
  if (head.status === 100) exchange.wake?.();
}

function makeRoom(wire: Wire, exchange: Exchange): void {
  if (!looksLikeHttp(wire.buffer, wire.fill)) {
    kill(wire, malformed(exchange, NO_HTTP));
  } else if (wire.fill >= MAX_HEAD_BYTES) {
    kill(wire, malformed(exchange, `the head of the answer is longer than ${MAX_HEAD_BYTES} bytes`));
  } else if (wire.fill === wire.buffer.length) {
    const larger = Buffer.allocUnsafeSlow(Math.min(MAX_HEAD_BYTES, wire.buffer.length * 2));
    wire.buffer.copy(larger, 0, 0, wire.fill);
    wire.buffer = larger;
  }
}

function looksLikeHttp(buffer: Buffer, fill: number): boolean {
  const length = Math.min(fill, 5);
  return buffer.toString('latin1', 0, length) === 'HTTP/'.slice(0, length);
}

function malformed(exchange: Exchange, text: string): TransferError {
  const hint = text === NO_HTTP ? { hint: 'look at the port: it may be that of another service' } : {};
  return new TransferError('unexpected', `${exchange.label}: ${text}`, hint);
}

function readFinal(wire: Wire, exchange: Exchange, head: Head, rest: number): void {
  const framing = framingOf(head, exchange.method);
  if (typeof framing === 'string') {
    kill(wire, malformed(exchange, framing));
    return;
  }
  // Some servers send a body behind a HEAD: what it does to the connection ends with it.
  const isStray = exchange.method === 'HEAD' && wire.fill > rest;
  const fill = isStray ? rest : wire.fill;
  wire.reusable = isReusable(head, framing) && exchange.sent && !isStray;
  wire.keepAliveSeconds = keepAliveSeconds(head);
  const needsWatching = framing.kind === 'close' && wire.secure && !wire.wasCut;
  if (needsWatching && exchange.method === 'GET' && exchange.mayAskAgain) {
    exchange.needsWatching = true;
    kill(wire, unwatchedEnd(exchange));
    return;
  }
  exchange.answered = true;
  exchange.owes = 'bytes';
  const body = createIncoming(framing, {
    wanted: () => resume(wire, exchange),
    left: () => drop(wire, exchange),
  });
  exchange.body = body;
  wire.state = 'body';
  wire.fill = 0;
  // First the bytes, then the answer: a small file is complete before anybody asks for it.
  if (fill > rest || framing.kind !== 'close')
    judge(wire, acceptCopy(body, wire.buffer.subarray(rest, fill)));
  exchange.wake?.();
  exchange.respond(head, body);
  if (needsWatching) kill(wire, unwatchedEnd(exchange));
}

function unwatchedEnd(exchange: Exchange): TransferError {
  const text = 'the answer tells no length, and its end cannot be told from a cut';
  return new TransferError('unsupported', `${exchange.label}: ${text}`);
}

function judge(wire: Wire, verdict: Verdict): void {
  const exchange = wire.exchange!;
  const body = exchange.body!;
  if (verdict === 'more') return;
  if (verdict === 'extra') {
    const text = `bytes came behind the declared end of the body, at ${body.received}`;
    kill(wire, new TransferError('size-mismatch', `${exchange.label}: ${text}`));
  } else if (verdict !== 'complete') kill(wire, malformed(exchange, verdict.problem));
  else if (body.received <= SMALL_BYTES) complete(wire);
  else {
    // Bytes behind a small body came with it or will be seen on the idle connection. Behind a large one they may still
    // be in the kernel: one more turn of the event loop shows them.
    wire.state = 'tail';
    setImmediate(() => {
      if (wire.state === 'tail' && wire.exchange === exchange) complete(wire);
    });
  }
}

/** The other side ended the connection in order (`end`) or the connection is gone (`close`). */
export function ended(wire: Wire): void {
  const { exchange } = wire;
  if (!exchange || wire.state === 'closed') kill(wire);
  else if (!exchange.body) endedInHead(wire, exchange);
  else if (wire.state === 'tail') complete(wire);
  else endedInBody(wire, exchange, exchange.body);
}

function endedInHead(wire: Wire, exchange: Exchange): void {
  const isUntouched = wire.fill === 0 && exchange.interim === 0;
  exchange.stale = isUntouched && wire.used > 0;
  kill(
    wire,
    lost(wire, exchange, isUntouched ? 'before an answer' : 'in the middle of the head of the answer'),
  );
}

function endedInBody(wire: Wire, exchange: Exchange, body: Incoming): void {
  const { framing, received } = body;
  if (framing.kind !== 'close') {
    const count = framing.kind === 'length' ? ` of ${framing.length}` : '';
    kill(wire, lost(wire, exchange, `after ${received}${count} bytes`));
  } else if (wire.failure || wire.wasCut?.()) kill(wire, lost(wire, exchange, `after ${received} bytes`));
  else complete(wire);
}

function lost(wire: Wire, exchange: Exchange, where: string): TransferError {
  const alert = certificateAlert(wire.failure, exchange.label);
  if (alert) return alert;
  const reason = wire.failure ? toTransferError(wire.failure, exchange.label) : undefined;
  const code = reason && reason.code !== 'unexpected' ? reason.code : 'unavailable';
  return new TransferError(code, `${exchange.label}: connection closed ${where}`, { cause: wire.failure });
}

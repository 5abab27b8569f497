import type { Socket } from 'node:net';
import { onAbort } from '../abort.ts';
import { TransferError } from '../errors.ts';
import { SMALL_BYTES } from '../slabs.ts';
import type { Head } from './head.ts';
import { dropBody, endBody, failBody, type Incoming } from './incoming.ts';
import type { Watchdog, Watched } from './watchdog.ts';

/** Heads and small bodies are read through this much memory per connection. */
const OWN_BUFFER = 16 * 1024;

/** One request and its answer on a wire. */
export interface Exchange extends Watched {
  readonly method: string;
  /** Who asked whom, for messages: `GET https://host/path`. */
  readonly label: string;
  readonly signal: AbortSignal;
  /** The answer; its body may still be on the way. */
  respond(head: Head, body: Incoming): void;
  reject(error: TransferError): void;
  /** A 100 came, a final answer came, or the wire is gone: whoever is sending a body looks again. */
  wake?: (() => void) | undefined;
  /** The whole request was handed to the kernel. */
  sent: boolean;
  /** The last bytes of the body are on their way: the answer may come before the socket says that they have left. */
  isClosing: boolean;
  answered: boolean;
  /** The connection, used before, ended without a byte of an answer: another one may do. */
  stale: boolean;
  /** Only the end of the connection tells the end of the body, and how TLS ends was not watched: ask again, watching. */
  needsWatching: boolean;
  readonly mayAskAgain: boolean;
  interim: number;
  body: Incoming | undefined;
}

/** What the pool learns from a wire. */
export interface WireOwner {
  readonly watchdog: Watchdog;
  /** The wire is ready for another exchange. */
  release(wire: Wire): void;
  /** The wire is closed. Called once. */
  gone(wire: Wire): void;
}

/** One connection that speaks HTTP/1.1, one exchange at a time. */
export interface Wire {
  readonly owner: WireOwner;
  socket: Socket | undefined;
  state: 'idle' | 'head' | 'body' | 'tail' | 'closed';
  buffer: Buffer<ArrayBuffer>;
  fill: number;
  /** The next read goes into the body's own memory. */
  intoBody: boolean;
  paused: boolean;
  reusable: boolean;
  /** Exchanges completed. */
  used: number;
  idleSince: number;
  keepAliveSeconds: number | undefined;
  readonly secure: boolean;
  /** On connections that are watched for it: whether TLS was cut. */
  wasCut: (() => boolean) | undefined;
  exchange: Exchange | undefined;
  failure: Error | undefined;
  readonly onAbort: () => void;
  /** Stops listening for the abort of the present exchange. */
  forget: () => void;
}

/** Requests whose answer was lost after all of it had been sent: the other side may have done what was asked. */
const lostAnswers = new WeakSet<TransferError>();

/** True when the request behind `error` had been sent whole, so that it may have taken effect. */
export function isAnswerLost(error: unknown): boolean {
  return error instanceof TransferError && lostAnswers.has(error);
}

export function createWire(owner: WireOwner, secure: boolean): Wire {
  const wire: Wire = {
    owner,
    socket: undefined,
    state: 'idle',
    buffer: Buffer.allocUnsafeSlow(OWN_BUFFER),
    fill: 0,
    intoBody: false,
    paused: false,
    reusable: true,
    used: 0,
    idleSince: 0,
    keepAliveSeconds: undefined,
    secure,
    wasCut: undefined,
    exchange: undefined,
    failure: undefined,
    forget: () => undefined,
    onAbort: () => {
      const { exchange } = wire;
      if (exchange) kill(wire, canceled(exchange.signal, exchange.label));
    },
  };
  return wire;
}

/** The error of an aborted signal: its reason when that is one of ours. */
export function canceled(signal: AbortSignal, doing: string): TransferError {
  return signal.reason instanceof TransferError
    ? signal.reason
    : new TransferError('canceled', `${doing}: canceled`, { cause: signal.reason });
}

/** The answer is whole: the wire is free for the next exchange, or closed. */
export function complete(wire: Wire): void {
  const { body } = detach(wire)!;
  endBody(body!);
  wire.used++;
  if (!wire.reusable) {
    kill(wire);
    return;
  }
  wire.state = 'idle';
  wire.paused = false;
  wire.owner.release(wire);
}

/** The reader has room again. */
export function resume(wire: Wire, exchange: Exchange): void {
  if (!wire.paused || wire.exchange !== exchange) return;
  wire.paused = false;
  exchange.owes = 'bytes';
  wire.socket?.resume();
}

/** Nobody wants the rest: a short rest is read past to keep the connection, a long one ends it. */
export function drop(wire: Wire, exchange: Exchange): void {
  if (wire.exchange !== exchange) return;
  const body = exchange.body!;
  dropBody(body);
  const left =
    body.framing.kind === 'length' ? body.framing.length - body.received : Number.POSITIVE_INFINITY;
  if (left > SMALL_BYTES || !wire.reusable) {
    kill(wire, new TransferError('canceled', `${exchange.label}: the body was not wanted`));
  } else resume(wire, exchange);
}

/** Starts `exchange`. The caller then writes the request. */
export function begin(wire: Wire, exchange: Exchange): void {
  wire.exchange = exchange;
  wire.state = 'head';
  wire.fill = 0;
  wire.forget = onAbort(exchange.signal, wire.onAbort);
  wire.owner.watchdog.watch(exchange);
}

function detach(wire: Wire): Exchange | undefined {
  const { exchange } = wire;
  if (!exchange) return undefined;
  wire.exchange = undefined;
  wire.forget();
  wire.owner.watchdog.unwatch(exchange);
  return exchange;
}

/** Closes the wire; what was going on fails with `error`. */
export function kill(wire: Wire, error?: TransferError): void {
  if (wire.state === 'closed') return;
  wire.state = 'closed';
  const exchange = detach(wire);
  wire.socket?.destroy();
  wire.owner.gone(wire);
  if (!exchange) return;
  const failure = error ?? new TransferError('unavailable', `${exchange.label}: connection closed`);
  if (exchange.body) failBody(exchange.body, failure);
  else {
    if (exchange.sent) lostAnswers.add(failure);
    exchange.reject(failure);
  }
  exchange.wake?.();
}

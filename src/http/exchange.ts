import { TransferError } from '../errors.ts';
import type { Route } from './connect.ts';
import type { Head } from './head.ts';
import type { Incoming } from './incoming.ts';
import { type Message, requestHead } from './message.ts';
import { isSendable, type Outgoing } from './outgoing.ts';
import type { Pools } from './pool.ts';
import { earlySuccess, sendBody } from './upload.ts';
import { begin, canceled, drop, type Exchange, kill, type Wire } from './wire.ts';

/** Methods that may be repeated when it is unknown whether they took effect (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PROPFIND',
  'PUT',
  'DELETE',
  'REPORT',
]);

/** What is to be asked along which way. */
export interface Asking {
  readonly route: Route;
  readonly message: Message;
  readonly body: Outgoing | undefined;
  readonly signal: AbortSignal;
  /** For messages: `GET https://host/path`. */
  readonly label: string;
}

/** An answer and the connection that its body still comes from. */
export interface WireAnswer {
  readonly head: Head;
  readonly body: Incoming;
  drop(): void;
}

/**
 * The answer to one request over a pooled connection. When a kept connection turns out to be dead, another one is
 * tried, once; a server that refuses `Expect` is asked again without; an answer over TLS without a length is asked for
 * again over a connection whose end is watched.
 */
export async function ask(pools: Pools, asking: Asking): Promise<WireAnswer> {
  const { body, message } = asking;
  let { route } = asking;
  const head = requestHead(message);
  let expect = body !== undefined && body.whole === undefined;
  for (let isRetry = false; ; isRetry = true) {
    const got = pools.acquire(route, asking.signal, asking.label);
    const wire = got instanceof Promise ? await got : got;
    if (asking.signal.aborted) {
      wire.owner.release(wire);
      throw canceled(asking.signal, asking.label);
    }
    try {
      const answer = await exchange(wire, asking, head, expect);
      if (answer.head.status !== 417 || !expect || !body || !isSendable(body)) return answer;
      answer.drop();
      expect = false;
    } catch (error) {
      if (unwatchedErrors.delete(error as TransferError)) {
        route = { ...route, watchesEnd: true };
        continue;
      }
      const mayRepeat = IDEMPOTENT.has(message.method) && (body === undefined || isSendable(body));
      if (isRetry || !staleErrors.delete(error as TransferError) || !mayRepeat) throw error;
      pools.distrust(route);
    }
  }
}

/** Errors that only say that a kept connection was dead. */
const staleErrors = new WeakSet<TransferError>();

/** Errors that only say that the end of the connection has to be watched. */
const unwatchedErrors = new WeakSet<TransferError>();

function exchange(wire: Wire, asking: Asking, head: string, expect: boolean): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    const current: Exchange = {
      method: asking.message.method,
      label: asking.label,
      signal: asking.signal,
      owes: 'answer',
      moved: 0,
      seen: 0,
      silentMs: 0,
      windowMs: 0,
      windowStart: 0,
      sent: false,
      isClosing: false,
      answered: false,
      stale: false,
      needsWatching: false,
      mayAskAgain: asking.route.origin.secure,
      interim: 0,
      body: undefined,
      wake: undefined,
      expire: (code, text) => kill(wire, new TransferError(code, `${current.label}: ${text}`)),
      respond(answer, body) {
        // A success that did not wait for the body cannot be one of this body.
        if (!current.sent && !current.isClosing && answer.status < 300) {
          const error = earlySuccess(current, answer.status);
          kill(wire, error);
          reject(error);
          return;
        }
        resolve({ head: answer, body, drop: () => drop(wire, current) });
      },
      reject(error) {
        if (current.stale) staleErrors.add(error);
        if (current.needsWatching) unwatchedErrors.add(error);
        reject(error);
      },
    };
    begin(wire, current);
    if (asking.body) {
      void sendBody(wire, current, head, { body: asking.body, expect });
      return;
    }
    current.sent = true;
    wire.socket?.write(bodyless(head, asking.message.method), 'latin1');
  });
}

/** Methods that usually carry content say that there is none; servers wait for it otherwise (RFC 9110 §8.6). */
function bodyless(head: string, method: string): string {
  return method === 'PUT' || method === 'POST' || method === 'PATCH'
    ? `${head}content-length: 0\r\n\r\n`
    : `${head}\r\n`;
}

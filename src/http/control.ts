import type { Dispatcher, Pool } from 'undici';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import type { Route } from './connect.ts';
import { type ConnectOptions, connect, routeKey } from './connect.ts';
import { MAX_HEAD_BYTES } from './head.ts';
import { type Message, requestFields, requestTarget } from './message.ts';
import { certificateAlert } from './tls.ts';
import type { Timeouts } from './watchdog.ts';
import { canceled } from './wire.ts';

/** A control request has an answer of a few lines; an error page may be longer, a file never comes this way. */
const MAX_ANSWER = 1024 * 1024;

/**
 * Requests that carry no body and whose answer has none of interest. Not HEAD: undici closes the connection after each,
 * and asking about thousands of files must not take thousands of handshakes. Nor MOVE: it ends every upload to WebDAV, on
 * the connection that the upload came by.
 */
const CONTROL: ReadonlySet<string> = new Set(['DELETE', 'OPTIONS', 'MKCOL']);

/** May be asked again when the connection ended without an answer. */
const REPEATABLE: ReadonlySet<string> = new Set(['OPTIONS', 'DELETE']);

/** True for requests that go by undici. */
export function isControl(method: string, hasBody: boolean): boolean {
  return CONTROL.has(method) && !hasBody;
}

export interface ControlAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

export interface ControlOptions {
  readonly connections: number;
  readonly timeouts: Timeouts;
  readonly connect: Omit<ConnectOptions, 'doing' | 'onread'>;
}

export interface Control {
  send(route: Route, message: Message, signal: AbortSignal, label: string): Promise<ControlAnswer>;
  close(): Promise<void>;
}

/** undici for control requests: it is loaded by the first of them, and connects the way everything else does. */
export function createControl(options: ControlOptions): Control {
  const pools = new Map<string, Promise<Pool>>();

  function poolFor(route: Route, label: string): Promise<Pool> {
    const key = routeKey(route);
    let pool = pools.get(key);
    if (!pool) {
      pool = createPool(route, options, label);
      pools.set(key, pool);
    }
    return pool;
  }

  return {
    async send(route, message, signal, label) {
      const pool = await poolFor(route, label);
      try {
        return await dispatch(pool, message, signal, label);
      } catch (error) {
        if (!isDeadConnection(error) || !REPEATABLE.has(message.method)) throw error;
        return await dispatch(pool, message, signal, label);
      }
    },
    async close() {
      const all = [...pools.values()];
      pools.clear();
      await Promise.all(all.map(async (pool) => (await pool).destroy()));
    },
  };
}

async function createPool(route: Route, options: ControlOptions, label: string): Promise<Pool> {
  // The pool alone: the whole package takes three times as long to load.
  const path: string = 'undici/lib/dispatcher/pool.js';
  const loaded: { readonly default: typeof Pool } = await import(path);
  const { timeouts } = options;
  return new loaded.default(poolOrigin(route), {
    connections: options.connections,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: MAX_HEAD_BYTES,
    headersTimeout: timeouts.firstByte * 1000,
    bodyTimeout: timeouts.stall * 1000,
    keepAliveTimeout: timeouts.idle * 1000,
    connect: (_options: unknown, done: (error: Error | null, socket: never) => void) => {
      connect(route, { ...options.connect, doing: label }).then(
        ({ socket }) => done(null, socket as never),
        (error: Error) => done(error, null as never),
      );
    },
  });
}

function poolOrigin(route: Route): string {
  return route.proxy && !route.origin.secure ? route.proxy.origin.key : route.origin.key;
}

function dispatch(pool: Pool, message: Message, signal: AbortSignal, label: string): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let status = 0;
    let headers: Record<string, string> = {};
    const chunks: Uint8Array[] = [];
    let count = 0;
    const onAbort = () => finish(canceled(signal, label));
    function finish(error?: TransferError): void {
      signal.removeEventListener('abort', onAbort);
      if (!error) {
        resolve({ status, headers, body: Buffer.concat(chunks) });
        return;
      }
      reject(error);
      controller?.abort(error);
    }
    signal.addEventListener('abort', onAbort);
    pool.dispatch(
      {
        path: requestTarget(message),
        method: message.method as Dispatcher.HttpMethod,
        headers: requestFields(message).flat(),
        body: null,
      },
      {
        onRequestStart(started) {
          controller = started;
          if (signal.aborted) started.abort(canceled(signal, label));
        },
        onResponseStart(_controller, code, fields) {
          status = code;
          headers = joined(fields);
        },
        onResponseData(_controller, chunk) {
          count += chunk.length;
          if (count > MAX_ANSWER) {
            finish(
              new TransferError('unexpected', `${label}: the answer is longer than ${MAX_ANSWER} bytes`),
            );
          } else chunks.push(chunk);
        },
        onResponseEnd: () => finish(),
        onResponseError: (_controller, error) => finish(controlError(error, label)),
      },
    );
  });
}

function joined(fields: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const headers: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) headers[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}

function isDeadConnection(error: unknown): boolean {
  if (!(error instanceof TransferError)) return false;
  const code = errnoOf(error.cause);
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

function controlError(error: Error, label: string): TransferError {
  if (error instanceof TransferError) return error;
  const code = errnoOf(error) ?? '';
  if (code === 'UND_ERR_HEADERS_TIMEOUT') {
    return new TransferError('timed-out', `${label}: no answer in time`, { cause: error });
  }
  if (code === 'UND_ERR_BODY_TIMEOUT') {
    return new TransferError('stalled', `${label}: the answer stopped coming`, { cause: error });
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') {
    const text = `the head of the answer is longer than ${MAX_HEAD_BYTES} bytes`;
    return new TransferError('unexpected', `${label}: ${text}`, { cause: error });
  }
  if (code === 'UND_ERR_SOCKET') {
    return new TransferError('unavailable', `${label}: connection closed before the end of the answer`, {
      cause: error,
    });
  }
  const alert = certificateAlert(error, label);
  if (alert) return alert;
  if (code.startsWith('HPE_')) {
    return new TransferError('unexpected', `${label}: the answer is not HTTP/1.1`, { cause: error });
  }
  return toTransferError(error, label);
}

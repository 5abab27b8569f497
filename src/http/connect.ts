import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import type { ClientCertificate } from '../protocol.ts';
import type { HttpProxy } from './proxy.ts';
import type { Origin } from './target.ts';
import {
  certificateAlert,
  certificateError,
  isNoTls,
  isUnknownAuthority,
  NO_TLS_TEXT,
  rememberSession,
  type TlsState,
  tlsOptions,
  trustMore,
} from './tls.ts';
import { watchEnd } from './tls-end.ts';
import { openTunnel } from './tunnel.ts';

/** The way to an origin. */
export interface Route {
  readonly origin: Origin;
  readonly proxy?: HttpProxy;
  readonly verifyTls: boolean;
  /** For https: what the origin, and it alone, is shown when it asks. */
  readonly certificate?: ClientCertificate;
  /** For https: how the connection ends is looked at, see `tls-end.ts`. */
  readonly watchesEnd?: boolean;
}

export interface ConnectOptions {
  readonly tls: TlsState;
  /** Seconds for everything: name resolution, TCP, proxies, TLS. */
  readonly timeout: number;
  readonly userAgent: string;
  /** What is being connected for, for messages. */
  readonly doing: string;
  /** Reads straight into the caller's memory. Not possible inside a tunnel: see {@link Connected}. */
  readonly onread?: { readonly buffer: () => Uint8Array; readonly callback: (count: number) => boolean };
}

/** A connection, TLS done and verified. With `isDirect` its bytes go to `onread`, else they come as `data` events. */
export interface Connected {
  readonly socket: Socket;
  readonly isDirect: boolean;
  /** On routes that watch for it: whether the connection was cut. */
  readonly wasCut?: () => boolean;
}

/**
 * Connects along `route`. Rejects with `timed-out` after the timeout, `not-found` for an unknown host,
 * `permission-denied` for a refused certificate, `unavailable` for the rest.
 */
export async function connect(route: Route, options: ConnectOptions): Promise<Connected> {
  const trusted = options.tls.ca;
  try {
    return await connectInTime(route, options);
  } catch (error) {
    if (!isUnknownAuthority(error)) throw error;
    // Another connection, refused at the same time, may have been the first to look for more.
    if (options.tls.ca === trusted && !trustMore(options.tls)) throw error;
    return connectInTime(route, options);
  }
}

/** What tells the ways to an origin apart: connections along one must not serve another. */
export function routeKey(route: Route): string {
  const proxy = route.proxy ? `${route.proxy.origin.key} ${route.proxy.authorization ?? ''}` : '';
  const certificate = route.certificate ? ` as ${route.certificate.id}` : '';
  return `${route.origin.key} ${proxy}${route.verifyTls ? '' : ' unverified'}${certificate}${route.watchesEnd ? ' watched' : ''}`;
}

async function connectInTime(route: Route, options: ConnectOptions): Promise<Connected> {
  const { origin } = route;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), options.timeout * 1000);
  try {
    return await openRoute(route, options, abort.signal);
  } catch (error) {
    if (abort.signal.aborted) {
      const text = `no connection to \`${origin.hostHeader}\` within ${options.timeout} s`;
      throw new TransferError('timed-out', `${options.doing}: ${text}`, { cause: error });
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function openRoute(route: Route, options: ConnectOptions, signal: AbortSignal): Promise<Connected> {
  const { origin, proxy } = route;
  const hop = { route, options, signal };
  if (!origin.secure) return open({ ...hop, origin: proxy?.origin ?? origin, isLast: true });
  if (!proxy && !route.watchesEnd) return open({ ...hop, origin, isLast: true });
  const first = await open({ ...hop, origin: proxy?.origin ?? { ...origin, secure: false }, isLast: false });
  const through = proxy
    ? await openTunnel(first.socket, origin, proxy, {
        userAgent: options.userAgent,
        doing: options.doing,
        signal,
      })
    : first.socket;
  if (!route.watchesEnd) return open({ ...hop, origin, isLast: true, through });
  const watched = watchEnd(through);
  const connected = await open({ ...hop, origin, isLast: true, through: watched.transport });
  watched.watch(connected.socket);
  return { ...connected, wasCut: watched.wasCut };
}

interface Hop {
  readonly origin: Origin;
  readonly route: Route;
  readonly options: ConnectOptions;
  readonly signal: AbortSignal;
  readonly isLast: boolean;
  /** The connection is there already. */
  readonly through?: Duplex;
}

/** One hop: TCP to `origin` (unless `through` is there already), and TLS when the origin has it. */
function open({ origin, route, options, signal, isLast, through }: Hop): Promise<Connected> {
  const isDirect = isLast && through === undefined && options.onread !== undefined;
  const onread = isDirect ? toNodeOnread(options.onread!) : undefined;
  const isProxy = origin === route.proxy?.origin;
  const session = {
    key: origin.key,
    verify: route.verifyTls,
    ...(route.certificate && !isProxy ? { certificate: route.certificate } : {}),
  };
  const common = { port: origin.port, noDelay: true, keepAlive: true, ...(onread ? { onread } : {}) };
  const socket = origin.secure
    ? connectTls({
        ...common,
        ...tlsOptions(options.tls, origin.host, session),
        ...(through ? { socket: through } : {}),
      })
    : connectTcp({ ...common, host: origin.host, autoSelectFamily: true });
  if (origin.secure) socket.on('session', (data: Buffer) => rememberSession(options.tls, session, data));
  // There is never a moment without a listener: an error nobody listens for ends the process.
  socket.on('error', () => {});
  return new Promise((resolve, reject) => {
    function finish(): void {
      signal.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      socket.off('close', onClose);
      socket.off(origin.secure ? 'secureConnect' : 'connect', onConnect);
    }
    function fail(error: unknown): void {
      finish();
      socket.destroy();
      reject(error);
    }
    const onAbort = () => fail(signal.reason);
    const onError = (error: Error) => fail(connectError(error, origin, isProxy, options.doing));
    const onClose = () => fail(closed(origin, options.doing));
    const onConnect = () => {
      finish();
      resolve({ socket, isDirect });
    };
    signal.addEventListener('abort', onAbort);
    socket.on('error', onError);
    socket.on('close', onClose);
    socket.on(origin.secure ? 'secureConnect' : 'connect', onConnect);
  });
}

function toNodeOnread(onread: NonNullable<ConnectOptions['onread']>) {
  return { buffer: onread.buffer, callback: (count: number) => onread.callback(count) };
}

function closed(origin: Origin, doing: string): TransferError {
  const text = `\`${origin.hostHeader}\` closed the connection ${origin.secure ? 'during the TLS handshake' : 'at once'}`;
  return new TransferError('unavailable', `${doing}: ${text}`);
}

function connectError(error: Error, origin: Origin, isProxy: boolean, doing: string): TransferError {
  const refused =
    certificateError(error, origin.hostHeader, doing) ??
    (isProxy ? undefined : certificateAlert(error, doing));
  if (refused) return refused;
  const where = `connecting to ${isProxy ? 'proxy ' : ''}\`${origin.hostHeader}\``;
  const known = toTransferError(error, `${doing}: ${where}`);
  if (known.code === 'not-found' && isProxy) {
    return new TransferError('unavailable', known.message, { cause: error });
  }
  if (known.code !== 'unexpected') return known;
  if (isNoTls(error)) {
    return new TransferError('unavailable', `${doing}: ${where}: ${NO_TLS_TEXT}`, {
      cause: error,
      hint: 'if it is no TLS port, write `http:` for `https:`, `dav:` for `davs:`',
    });
  }
  // TLS alerts and broken handshakes: servers that are starting or overloaded give these too.
  return new TransferError('unavailable', `${doing}: ${where}: ${errnoOf(error) ?? error.message}`, {
    cause: error,
  });
}

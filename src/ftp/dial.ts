import type { Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { onAbort } from '../abort.ts';
import { TransferError, toTransferError } from '../errors.ts';
import { certificateError, isNoTls, NO_TLS_TEXT, type TlsState, tlsOptions } from '../http/tls.ts';

/** Something that is being done for somebody: how messages begin, and what ends it. */
export interface Work {
  readonly doing: string;
  readonly signal: AbortSignal;
}

/** The error of an aborted signal: its reason when that is one of ours. */
export function canceled({ doing, signal }: Work): TransferError {
  return signal.reason instanceof TransferError
    ? signal.reason
    : new TransferError('canceled', `${doing}: canceled`, { cause: signal.reason });
}

/**
 * Resolves with `event` of the socket. Closes it and rejects with `timed-out`, `canceled`, `permission-denied` for a
 * refused certificate, `not-found` for an unknown host, `unavailable` for everything else that comes between.
 */
export function connected(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  { doing, signal, where, seconds }: Work & { readonly where: string; readonly seconds: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    let forget = () => {};
    const timer = setTimeout(() => {
      fail(new TransferError('timed-out', `${doing}: no connection to \`${where}\` within ${seconds} s`));
    }, seconds * 1000);
    const onError = (error: Error) => fail(connectError(error, where, doing));
    const onClose = () =>
      fail(new TransferError('unavailable', `${doing}: \`${where}\` closed the connection at once`));
    const onEvent = () => {
      finish();
      resolve();
    };
    socket.on('error', onError);
    socket.on('close', onClose);
    socket.on(event, onEvent);
    function finish(): void {
      clearTimeout(timer);
      forget();
      socket.off('error', onError);
      socket.off('close', onClose);
      socket.off(event, onEvent);
      // There is never a moment without a listener: an error nobody listens for ends the process.
      socket.on('error', () => {});
    }
    function fail(error: TransferError): void {
      finish();
      socket.destroy();
      reject(error);
    }
    forget = onAbort(signal, () => fail(canceled({ doing, signal })));
  });
}

/** The error of a connection that was not made, or broke. */
export function connectError(error: Error, where: string, doing: string): TransferError {
  const refused = certificateError(error, where, doing);
  if (refused) {
    return new TransferError(refused.code, refused.message, {
      cause: error,
      hint: `${refused.hint}; for an \`ftp\` URL without TLS: BRIDLE_FTP_TLS=off`,
    });
  }
  if (isNoTls(error)) {
    return new TransferError('unavailable', `${doing}: connecting to \`${where}\`: ${NO_TLS_TEXT}`, {
      cause: error,
      hint: 'if it is no port for TLS from the first byte, write `ftp:` for `ftps:`, or port 21 for AUTH TLS',
    });
  }
  const known = toTransferError(error, `${doing}: connecting to \`${where}\``);
  if (known.code !== 'unexpected') return known;
  return new TransferError('unavailable', known.message, { cause: error });
}

/** The error of a data connection whose certificate was refused here; undefined for one that broke for any other reason. */
export function refusedData(broken: Error | undefined, { doing }: Work): TransferError | undefined {
  return broken && certificateError(broken, 'the data connection', doing);
}

/** Whose certificate is expected, and how it is looked at. */
export interface TlsTarget {
  readonly state: TlsState;
  readonly host: string;
  readonly verify: boolean;
}

/** What `tls.connect` needs for this host. Without ALPN: what HTTP asks for there, a careful FTP server refuses. */
export function tlsFor({ state, host, verify }: TlsTarget, session?: Buffer): ConnectionOptions {
  const { ALPNProtocols: _, ...options } = tlsOptions(state, host, { key: '', verify });
  return session ? { ...options, session } : options;
}

/** TLS over a connection that is there. Not yet secure: see {@link connected}. */
export function secure(socket: Socket, target: TlsTarget): TLSSocket {
  return connectTls({ ...tlsFor(target), socket });
}

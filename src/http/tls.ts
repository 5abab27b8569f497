import { isIP } from 'node:net';
import { type ConnectionOptions, createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { errnoOf, TransferError } from '../errors.ts';

/** TLS sessions kept for resumption, one per server. */
const KEPT_SESSIONS = 64;

/** What the TLS connections of a client share. */
export interface TlsState {
  /** PEM texts trusted beside the roots of this Node. */
  readonly ca: readonly string[];
  context: SecureContext | undefined;
  readonly sessions: Map<string, Buffer>;
}

export function createTlsState(ca: readonly string[] = []): TlsState {
  return { ca, context: undefined, sessions: new Map() };
}

/** Options for `tls.connect` to `host`; `key` names the server for session resumption. */
export function tlsOptions(
  state: TlsState,
  host: string,
  options: { readonly key: string; readonly verify: boolean },
): ConnectionOptions {
  if (state.ca.length > 0) {
    // One context for all connections: reading the roots takes longer than a handshake.
    state.context ??= createSecureContext({ ca: [...rootCertificates, ...state.ca] });
  }
  const name = host.split('%', 1)[0] ?? host;
  const session = state.sessions.get(sessionKey(options));
  return {
    host: name,
    // No name for addresses (RFC 6066 §3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    rejectUnauthorized: options.verify,
    ...(state.context ? { secureContext: state.context } : {}),
    ...(session ? { session } : {}),
  };
}

export function rememberSession(
  state: TlsState,
  options: { readonly key: string; readonly verify: boolean },
  session: Buffer,
): void {
  const key = sessionKey(options);
  if (!state.sessions.has(key) && state.sessions.size >= KEPT_SESSIONS) {
    for (const oldest of state.sessions.keys()) {
      state.sessions.delete(oldest);
      break;
    }
  }
  state.sessions.set(key, session);
}

/** A session made without verification must not stand in for one. */
function sessionKey(options: { readonly key: string; readonly verify: boolean }): string {
  return options.verify ? options.key : `${options.key} unverified`;
}

const CERTIFICATE_ERROR =
  /^(CERT_|CRL_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|UNABLE_TO_(GET|VERIFY|DECRYPT|DECODE)|ERR_TLS_CERT|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|ERROR_IN_CERT)/;

/** The error of a refused certificate; undefined when `error` is about something else. */
export function certificateError(error: unknown, host: string, doing: string): TransferError | undefined {
  const code = errnoOf(error);
  if (code === undefined || !CERTIFICATE_ERROR.test(code)) return undefined;
  const reason = error instanceof Error ? error.message : code;
  const text = `the certificate of \`${host}\` was refused: ${reason.slice(0, 500)}`;
  return new TransferError('permission-denied', `${doing}: ${text}`, {
    cause: error,
    hint:
      'to trust a CA: --ca FILE or SSL_CERT_FILE; to accept it anyway: BRIDLE_TLS_VERIFY=off, ' +
      'or `verify = false` in the section [host] of the credentials file',
  });
}

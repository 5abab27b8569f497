import { isIP } from 'node:net';
import { type ConnectionOptions, createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { errnoOf, TransferError } from '../errors.ts';
import type { ClientCertificate } from '../protocol.ts';

/** TLS sessions kept for resumption, one per server. */
const KEPT_SESSIONS = 64;

/** Client certificates whose contexts are kept. */
const KEPT_CONTEXTS = 16;

/** What the TLS connections of a client share. */
export interface TlsState {
  /** PEM texts trusted beside the roots of this Node. */
  ca: readonly string[];
  /** Further ones, until they were needed. */
  more: (() => readonly string[]) | undefined;
  /** One for each client certificate; reading the roots takes longer than a handshake. */
  readonly contexts: Map<number, SecureContext>;
  readonly sessions: Map<string, Buffer>;
}

/** `more` is asked at the first certificate of an authority that is unknown: a system's own bundle takes long to read. */
export function createTlsState(ca: readonly string[] = [], more?: () => readonly string[]): TlsState {
  return { ca, more, contexts: new Map(), sessions: new Map() };
}

/** True when there were authorities left to trust, which are trusted now: a refused certificate may be looked at again. */
export function trustMore(state: TlsState): boolean {
  const { more } = state;
  state.more = undefined;
  const known = new Set([...rootCertificates, ...state.ca].map(withoutSpace));
  const added = more?.().filter((certificate) => !known.has(withoutSpace(certificate))) ?? [];
  if (added.length === 0) return false;
  state.ca = [...state.ca, ...added];
  state.contexts.clear();
  return true;
}

function withoutSpace(certificate: string): string {
  return certificate.replace(/\s+/g, '');
}

/** A server and how it is spoken to: what a session may be taken up by. */
export interface TlsPeer {
  readonly key: string;
  readonly verify: boolean;
  readonly certificate?: ClientCertificate;
}

function contextFor(state: TlsState, certificate: ClientCertificate | undefined): SecureContext | undefined {
  if (state.ca.length === 0 && !certificate) return undefined;
  const id = certificate?.id ?? 0;
  let context = state.contexts.get(id);
  if (!context) {
    context = createSecureContext({
      ...(state.ca.length > 0 ? { ca: [...rootCertificates, ...state.ca] } : {}),
      ...(certificate ? { cert: certificate.chain, key: certificate.key } : {}),
    });
    if (state.contexts.size >= KEPT_CONTEXTS) state.contexts.clear();
    state.contexts.set(id, context);
  }
  return context;
}

/** Options for `tls.connect` to `host`; `key` names the server for session resumption. */
export function tlsOptions(state: TlsState, host: string, options: TlsPeer): ConnectionOptions {
  const context = contextFor(state, options.certificate);
  const name = host.split('%', 1)[0] ?? host;
  const session = state.sessions.get(sessionKey(options));
  return {
    host: name,
    // No name for addresses (RFC 6066 §3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    rejectUnauthorized: options.verify,
    ...(context ? { secureContext: context } : {}),
    ...(session ? { session } : {}),
  };
}

export function rememberSession(state: TlsState, options: TlsPeer, session: Buffer): void {
  const key = sessionKey(options);
  if (!state.sessions.has(key) && state.sessions.size >= KEPT_SESSIONS) {
    for (const oldest of state.sessions.keys()) {
      state.sessions.delete(oldest);
      break;
    }
  }
  state.sessions.set(key, session);
}

/** A session made without verification must not stand in for one, nor that of one client for another's. */
function sessionKey({ key, verify, certificate }: TlsPeer): string {
  return `${key}${verify ? '' : ' unverified'}${certificate ? ` as ${certificate.id}` : ''}`;
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

/** What OpenSSL makes of a peer whose first bytes are no TLS record. */
const NO_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
]);

/** True for a handshake that failed because the other side does not speak TLS. */
export function isNoTls(error: unknown): boolean {
  return NO_TLS.has(errnoOf(error) ?? '');
}

/** What is said then. */
export const NO_TLS_TEXT = 'what it answers is not TLS';

const UNKNOWN_AUTHORITY =
  /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/;

/** True for a certificate that was refused because nobody known has signed it. */
export function isUnknownAuthority(error: unknown): boolean {
  return error instanceof TransferError && UNKNOWN_AUTHORITY.test(errnoOf(error.cause) ?? '');
}

/** What servers say of a client's certificate, or of none (RFC 8446 §6.2), as OpenSSL spells it. */
const CERTIFICATE_ALERT =
  /ALERT_(CERTIFICATE_REQUIRED|CERTIFICATE_EXPIRED|CERTIFICATE_REVOKED|CERTIFICATE_UNKNOWN|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)$/;

/** The error of a server that refused our certificate, or the lack of one; undefined when `error` is about something else. */
export function certificateAlert(error: unknown, doing: string): TransferError | undefined {
  const alert = CERTIFICATE_ALERT.exec(errnoOf(error) ?? '')?.[1];
  if (alert === undefined) return undefined;
  const text = `the server refused us in the TLS handshake: ${alert.toLowerCase().replaceAll('_', ' ')}`;
  return new TransferError('unauthenticated', `${doing}: ${text}`, {
    cause: error,
    hint: 'it wants a client certificate that it trusts: X509_USER_PROXY names the file, with certificate and key',
  });
}

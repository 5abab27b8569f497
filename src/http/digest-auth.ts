import { createHash, randomBytes } from 'node:crypto';
import type { Challenge } from './challenge.ts';

/** Strongest first, as clients are to choose (RFC 7616 §3.7); what Node calls each. */
const HASHES: readonly (readonly [name: string, hash: string])[] = [
  ['sha-512-256', 'sha512-256'],
  ['sha-256', 'sha256'],
  ['md5', 'md5'],
];

/** One nonce of a server and how often it was used (RFC 7616). */
export interface DigestSession {
  readonly realm: string;
  nonce: string;
  readonly opaque: string | undefined;
  /** As the server wrote it; undefined when it did not. */
  readonly algorithm: string | undefined;
  readonly hash: string;
  /** The server takes digests of what it was not told in the clear (RFC 7616 §3.3, `-sess`). */
  readonly isSession: boolean;
  /** False for servers of before 1999 (RFC 2069). */
  readonly hasQop: boolean;
  readonly hashesUser: boolean;
  /** Requests made with the nonce. */
  count: number;
}

/** A session by the strongest Digest challenge that can be answered; undefined when there is none. */
export function sessionFor(challenges: readonly Challenge[]): DigestSession | undefined {
  for (const [name, hash] of HASHES) {
    for (const { scheme, parameters } of challenges) {
      if (scheme !== 'digest') continue;
      const session = sessionOf(parameters, name, hash);
      if (session) return session;
    }
  }
  return undefined;
}

function sessionOf(
  parameters: Challenge['parameters'],
  name: string,
  hash: string,
): DigestSession | undefined {
  const algorithm = parameters.get('algorithm');
  const lower = algorithm?.toLowerCase() ?? 'md5';
  const isSession = lower === `${name}-sess`;
  const realm = parameters.get('realm');
  const nonce = parameters.get('nonce');
  const qop = parameters.get('qop');
  const hasQop = qop?.split(/[ \t]*,[ \t]*/).some((each) => each.toLowerCase() === 'auth') ?? false;
  if ((lower !== name && !isSession) || realm === undefined || nonce === undefined) return undefined;
  // `auth-int` alone would mean hashing the body before its first byte goes.
  if (qop !== undefined && !hasQop) return undefined;
  return {
    realm,
    nonce,
    opaque: parameters.get('opaque'),
    algorithm,
    hash,
    isSession,
    hasQop,
    hashesUser: parameters.get('userhash')?.toLowerCase() === 'true',
    count: 0,
  };
}

/** True when the server says that only the nonce was too old (RFC 7616 §3.3). */
export function isStale(challenges: readonly Challenge[]): boolean {
  return challenges.some(
    ({ scheme, parameters }) => scheme === 'digest' && parameters.get('stale')?.toLowerCase() === 'true',
  );
}

export interface DigestRequest {
  readonly method: string;
  /** Path and query as in the request line. */
  readonly uri: string;
  readonly username: string;
  readonly password: string;
  /** Random by default. */
  readonly cnonce?: string;
}

/** Value of the Authorization field for one request; counts the use of the nonce (RFC 7616 §3.4). */
export function digestAuthorization(session: DigestSession, request: DigestRequest): string {
  const { realm, nonce, hash, hasQop } = session;
  const { username, password, method, uri } = request;
  const h = (text: string) => createHash(hash).update(text).digest('hex');
  const cnonce = request.cnonce ?? randomBytes(16).toString('hex');
  const nc = (++session.count).toString(16).padStart(8, '0');
  const login = h(`${username}:${realm}:${password}`);
  const secret = session.isSession ? h(`${login}:${nonce}:${cnonce}`) : login;
  const what = h(`${method}:${uri}`);
  const response = h(
    hasQop ? `${secret}:${nonce}:${nc}:${cnonce}:auth:${what}` : `${secret}:${nonce}:${what}`,
  );
  const fields = [
    userField(session, username, h),
    `realm=${quoted(realm)}`,
    `nonce=${quoted(nonce)}`,
    `uri=${quoted(uri)}`,
    `response="${response}"`,
    ...(session.algorithm === undefined ? [] : [`algorithm=${session.algorithm}`]),
    ...(session.opaque === undefined ? [] : [`opaque=${quoted(session.opaque)}`]),
    ...(hasQop || session.isSession ? [`cnonce="${cnonce}"`] : []),
    ...(hasQop ? ['qop=auth', `nc=${nc}`] : []),
    ...(session.hashesUser ? ['userhash=true'] : []),
  ];
  return `Digest ${fields.join(', ')}`;
}

function userField(session: DigestSession, username: string, h: (text: string) => string): string {
  if (session.hashesUser) return `username="${h(`${username}:${session.realm}`)}"`;
  // What a quoted string cannot hold goes in the form of RFC 5987 (RFC 7616 §3.4).
  return /[^\x20-\x7e]/.test(username)
    ? `username*=UTF-8''${encodeURIComponent(username)}`
    : `username=${quoted(username)}`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

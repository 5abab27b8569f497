import type { Secrets } from '../protocol.ts';
import { credentialFields } from './auth.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { type DigestSession, digestAuthorization, isStale, sessionFor } from './digest-auth.ts';

/** Logins that are remembered, one a user of an origin. */
const MOST_KNOWN = 256;

/** Challenges that one request answers: Basic, Digest, and a nonce that was too old, twice. */
const MOST_ANSWERED = 4;

/** How one request stands with the challenges it met. */
export interface LoginState {
  answered: number;
  /** What the last try showed. */
  shown: 'nothing' | 'basic' | 'digest';
}

export interface LoginRequest {
  readonly secrets: Secrets;
  /** `key` of the origin. */
  readonly origin: string;
  readonly method: string;
  readonly uri: string;
  /** No password goes before the server asked for one. */
  readonly asksFirst: boolean;
}

/** The ways in which servers want user names and passwords, learned from their challenges. */
export interface Logins {
  /** Credential fields of one request. */
  fields(request: LoginRequest, state: LoginState): Record<string, string>;
  /** True when the 401 can be answered: the request is to be made again. */
  learn(request: LoginRequest, state: LoginState, challenge: string | undefined): boolean;
  /** The nonce for the next requests, where the answer names one (RFC 7616 §3.5). */
  renew(request: LoginRequest, info: string): void;
}

export function createLogins(): Logins {
  const known = new Map<string, DigestSession | 'basic'>();
  const keyOf = ({ origin, secrets }: LoginRequest) => `${origin} ${secrets.username}`;

  function remember(request: LoginRequest, way: DigestSession | 'basic'): true {
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(keyOf(request), way);
    return true;
  }

  return {
    fields(request, state) {
      const { secrets, method, uri } = request;
      const fields = credentialFields(secrets);
      if (!isLogin(secrets)) return fields;
      const way = known.get(keyOf(request));
      state.shown = 'basic';
      if (way === undefined && request.asksFirst) {
        delete fields.authorization;
        state.shown = 'nothing';
      } else if (way !== undefined && way !== 'basic') {
        const { username = '', password = '' } = secrets;
        fields.authorization = digestAuthorization(way, { method, uri, username, password });
        state.shown = 'digest';
      }
      return fields;
    },

    learn(request, state, challenge) {
      if (!isLogin(request.secrets) || state.answered >= MOST_ANSWERED) return false;
      const challenges = parseChallenges(challenge);
      const session = sessionFor(challenges);
      state.answered++;
      if (session && (state.shown !== 'digest' || isStale(challenges))) return remember(request, session);
      return !session && state.shown !== 'basic' && offersBasic(challenges) && remember(request, 'basic');
    },

    renew(request, info) {
      const way = known.get(keyOf(request));
      const nonce = parseChallenges(`Digest ${info}`)[0]?.parameters.get('nextnonce');
      if (nonce === undefined || way === undefined || way === 'basic') return;
      way.nonce = nonce;
      way.count = 0;
    },
  };
}

/** A user name that no header of the user's own stands in for. */
function isLogin(secrets: Secrets): boolean {
  const names = Object.keys(secrets.headers ?? {});
  return secrets.username !== undefined && !names.some((name) => name.toLowerCase() === 'authorization');
}

function offersBasic(challenges: readonly Challenge[]): boolean {
  return challenges.some(({ scheme }) => scheme === 'basic');
}

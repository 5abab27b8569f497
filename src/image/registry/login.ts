import { parseChallenges } from '../../http/challenge.ts';
import type { HttpClient, Secrets } from '../../protocol.ts';
import { fetchToken, type TokenService } from './token.ts';

/** A token is not used in its last seconds: it may take that long to arrive. */
const MARGIN_MS = 5000;

/** How one registry is shown who asks. */
export interface Login {
  /** The `authorization` field for requests of these scopes, as far as it is known how; undefined for none. */
  field(scopes: readonly string[], call: LoginCall): Promise<string | undefined>;
  /**
   * Takes in the challenge of a 401 to a request that showed `shown`, which is not shown again where there is anything
   * else. False when nothing is understood of it.
   */
  learn(challenge: string | undefined, shown: string | undefined): boolean;
  /** True when there is something to show but a token for everybody. */
  isKnown(): boolean;
}

export interface LoginCall {
  readonly doing: string;
  readonly signal: AbortSignal;
}

type Way =
  | { readonly kind: 'none' }
  | { readonly kind: 'basic' }
  | { readonly kind: 'token'; readonly service: TokenService; readonly asked: readonly string[] };

/** Logins of one registry: tokens are kept for each set of scopes until they expire. `now` counts milliseconds. */
export function createLogin(tools: {
  readonly http: HttpClient;
  readonly secrets: (again?: boolean) => Promise<Secrets>;
  readonly mayBePlain: boolean;
  readonly now?: () => number;
}): Login {
  const { http, mayBePlain, now = () => performance.now() } = tools;
  const tokens = new Map<string, Promise<{ readonly value: string; readonly until: number }>>();
  /** Fields that were made, and the key of the token in them. */
  const issued = new Map<string, string>();
  let way: Way = { kind: 'none' };
  let again = false;
  let hasLogin = false;

  async function secretsNow(): Promise<Secrets> {
    const secrets = await tools.secrets(again);
    again = false;
    hasLogin =
      secrets.username !== undefined || secrets.bearer !== undefined || secrets.registry !== undefined;
    return secrets;
  }

  async function tokenFor(
    service: TokenService,
    scopes: readonly string[],
    call: LoginCall,
  ): Promise<string> {
    const key = JSON.stringify([service, scopes]);
    const known = await tokens.get(key)?.catch(() => undefined);
    if (known && now() < known.until) return known.value;
    const asked = now();
    const fresh = secretsNow()
      .then((secrets) => fetchToken(service, { http, secrets, scopes, mayBePlain, ...call }))
      .then(({ value, seconds }) => ({
        value,
        until: asked + seconds * 1000 - Math.min(MARGIN_MS, seconds * 100),
      }));
    tokens.set(key, fresh);
    fresh.catch(() => tokens.delete(key));
    const { value } = await fresh;
    issued.set(`Bearer ${value}`, key);
    return value;
  }

  return {
    async field(scopes, call) {
      if (way.kind === 'none') return undefined;
      const secrets = await secretsNow();
      if (way.kind === 'basic') {
        const { username, password = '' } = secrets;
        return username === undefined
          ? undefined
          : `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
      }
      // A token that the login file holds is for the registry itself, not for its token service.
      if (secrets.bearer !== undefined) return `Bearer ${secrets.bearer}`;
      const wanted = [...new Set([...scopes, ...way.asked.filter((scope) => isSame(scope, scopes))])];
      return `Bearer ${await tokenFor(way.service, wanted, call)}`;
    },

    learn(challenge, shown) {
      const challenges = parseChallenges(challenge);
      const bearer = challenges.find(({ scheme }) => scheme === 'bearer')?.parameters;
      const realm = bearer?.get('realm');
      if (bearer && realm !== undefined) {
        const asked = (bearer.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
        way = { kind: 'token', service: { realm, service: bearer.get('service') }, asked };
        // Requests at the same time are refused together; a token that came since then stays.
        const refused = shown === undefined ? undefined : issued.get(shown);
        if (refused !== undefined && shown !== undefined) {
          tokens.delete(refused);
          issued.delete(shown);
        }
      } else if (challenges.some(({ scheme }) => scheme === 'basic')) way = { kind: 'basic' };
      else return false;
      if (shown !== undefined) again = true;
      return true;
    },

    isKnown: () => hasLogin,
  };
}

/** A scope of the challenge is asked for where it is about what we ask for, in wider terms perhaps; never for something else. */
function isSame(scope: string, scopes: readonly string[]): boolean {
  const name = scope.slice(0, scope.lastIndexOf(':'));
  return scopes.some((one) => one.slice(0, one.lastIndexOf(':')) === name);
}

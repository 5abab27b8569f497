import { TransferError } from '../../errors.ts';
import { parseTarget } from '../../http/target.ts';
import type { Bytes, HttpClient, HttpRequest, HttpResponse, Secrets } from '../../protocol.ts';
import type { RegistryPlace } from './hosts.ts';
import { type PullLimit, pullLimitOf } from './limits.ts';
import { createLogin } from './login.ts';
import { findOrigin } from './origin.ts';
import { refusal } from './refusal.ts';

/** Requests that a registry may answer with 401: to learn how, to use what was learned, and once more with a fresh token. */
const MOST_TRIES = 3;

/** What is asked of a registry. */
export interface Asking {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly repository: string;
  /** Behind `/v2/REPOSITORY/`; or the URL that the registry gave for what follows, whose query no error tells. */
  readonly at: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Made anew for each try. */
  readonly body?: { readonly size: number; open(): Promise<Bytes> };
  /** What is to be allowed. */
  readonly actions: 'pull' | 'pull,push';
  /** Another repository that is read from. */
  readonly from?: string | undefined;
  readonly doing: string;
  readonly signal: AbortSignal;
}

/** One registry, asked as one user. */
export interface Registry {
  readonly place: RegistryPlace;
  /** Any answer but a 401, which rejects. The caller ends it. */
  send(asking: Asking): Promise<HttpResponse>;
  /** The error that such an answer is; reads it. `missing` says what a 404 means. */
  refusal(response: HttpResponse, asking: Asking, missing: string): Promise<TransferError>;
  /** As the last answer told it. */
  limit(): PullLimit | undefined;
}

/** A registry over the one HTTP client; `secrets` are those of this registry alone. */
export function createRegistry(tools: {
  readonly http: HttpClient;
  readonly place: RegistryPlace;
  readonly secrets: (again?: boolean) => Promise<Secrets>;
  /** Told once per key. */
  readonly warn?: ((key: string, message: string) => void) | undefined;
}): Registry {
  const { http, place } = tools;
  const login = createLogin({ http, secrets: tools.secrets, mayBePlain: place.mayBePlain });
  let origin: Promise<string> | undefined;
  let limit: PullLimit | undefined;

  async function originNow(signal: AbortSignal): Promise<string> {
    origin ??= findOrigin(http, place, '/v2/', signal);
    try {
      return await origin;
    } catch (error) {
      origin = undefined;
      throw error;
    }
  }

  async function sendTo({ at }: Asking, request: HttpRequest): Promise<HttpResponse> {
    try {
      return await http.send(request);
    } catch (error) {
      throw typeof at === 'string' ? error : withoutQuery(error, at.search);
    }
  }

  function refused(response: HttpResponse, asking: Asking, missing: string) {
    const { doing, repository } = asking;
    return refusal(response, {
      doing,
      repository,
      missing,
      registry: place.registry,
      hadLogin: login.isKnown(),
    });
  }

  return {
    place,
    async send(asking) {
      const { signal, doing } = asking;
      const base = await originNow(signal);
      const repository = place.prefix + asking.repository;
      const url = typeof asking.at === 'string' ? `${base}/v2/${repository}/${asking.at}` : asking.at.href;
      const home = parseTarget(base).origin.key;
      const isHome = parseTarget(url).origin.key === home;
      const scopes = [`repository:${repository}:${asking.actions}`];
      if (asking.from !== undefined) scopes.push(`repository:${asking.from}:pull`);
      for (let tries = 1; ; tries += 1) {
        // An upload may go to another host, which gets no login of this one.
        const shown = isHome ? await login.field(scopes, { doing, signal }) : undefined;
        if (shown?.startsWith('Basic') && base.startsWith('http:')) warnOfClear(place, tools.warn);
        const { body } = asking;
        const response = await sendTo(asking, {
          method: asking.method,
          url,
          headers: { ...asking.headers, ...(shown === undefined ? {} : { authorization: shown }) },
          ...(body ? { body: await body.open(), size: body.size } : {}),
          ...(isRead(asking) ? {} : { redirect: 'manual' as const }),
          signal,
        });
        limit = pullLimitOf(response.headers) ?? limit;
        if (response.status !== 401) return response;
        // The challenge of a place that we were sent on to is no reason to show it a login.
        const isTheirs = isHome && parseTarget(response.url).origin.key === home;
        const mayTry =
          isTheirs && tries < MOST_TRIES && login.learn(response.headers['www-authenticate'], shown);
        if (!mayTry) throw await refused(response, asking, 'not found');
        await response.discard();
        const next = await login.field(scopes, { doing, signal });
        if (next === undefined || (next === shown && next.startsWith('Basic')))
          throw await refused(response, asking, 'not found');
      }
    },
    refusal: refused,
    limit: () => limit,
  };
}

/** What goes to an upload stays there: bytes, and the query that lets us write. */
function isRead({ method, at }: Asking): boolean {
  return typeof at === 'string' && (method === 'GET' || method === 'HEAD');
}

/** The state of an upload may be a secret, and names of requests are in errors. */
function withoutQuery(error: unknown, query: string): unknown {
  if (!(error instanceof TransferError) || query === '' || !error.message.includes(query)) return error;
  const { retryAfter, hint } = error;
  return new TransferError(error.code, error.message.replaceAll(query, ''), {
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(hint === undefined ? {} : { hint }),
  });
}

function warnOfClear(
  { registry }: RegistryPlace,
  warn: ((key: string, message: string) => void) | undefined,
): void {
  if (!/^(?:localhost|127\.|\[::1\])/.test(registry)) {
    warn?.(`cleartext registry ${registry}`, `\`${registry}\`: the login travels unencrypted`);
  }
}

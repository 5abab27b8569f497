import { TransferError } from '../../errors.ts';
import { statusError } from '../../http/status.ts';
import type { HttpClient, HttpResponse, Secrets } from '../../protocol.ts';
import { parseJson } from '../documents.ts';
import { isLoopback } from './hosts.ts';
import { readUpTo } from './refusal.ts';

/** Seconds that a token is good for when nobody says (distribution specification, `Token authentication`). */
const USUAL_SECONDS = 60;
/** Tokens are a few KiB; with many scopes more. */
const MOST_ANSWER = 1024 * 1024;

/** Where a registry sends its users for tokens. */
export interface TokenService {
  readonly realm: string;
  readonly service: string | undefined;
}

export interface Token {
  readonly value: string;
  /** Seconds from when it was asked for. */
  readonly seconds: number;
}

/** How tokens are asked for. */
export interface TokenCall {
  readonly http: HttpClient;
  readonly secrets: Secrets;
  readonly scopes: readonly string[];
  /** The registry itself may be asked by http, and so may its token service, without a login. */
  readonly mayBePlain: boolean;
  readonly doing: string;
  readonly signal: AbortSignal;
}

/**
 * A token for `scopes`: with the login where there is one, else as nobody in particular. The service is chosen by the
 * registry, so a login goes there by https alone, or to this machine. Rejects with `permission-denied` instead of
 * showing it elsewhere, and `unauthenticated` when the service does not take it.
 */
export async function fetchToken(service: TokenService, call: TokenCall): Promise<Token> {
  const { secrets, doing } = call;
  const realm = realmOf(service, call);
  const identity = secrets.registry?.identityToken;
  const response =
    identity === undefined
      ? await askByGet(realm, service, call)
      : await askByRefresh(realm, service, identity, call);
  if (response.status !== 200) throw await refusedBy(response, realm, call);
  const json = parseJson(
    await readUpTo(response, MOST_ANSWER, doing),
    `${doing}: answer of \`${realm.host}\``,
  );
  const value = json.token ?? json.access_token;
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw new TransferError('unexpected', `${doing}: \`${realm.host}\` answered without a token`);
  }
  const told = json.expires_in;
  return { value, seconds: typeof told === 'number' && told > 0 ? Math.min(told, 86_400) : USUAL_SECONDS };
}

function hasLogin({ username, registry }: Secrets): boolean {
  return username !== undefined || registry?.identityToken !== undefined;
}

function realmOf({ realm }: TokenService, { secrets, mayBePlain, doing }: TokenCall): URL {
  let url: URL;
  try {
    url = new URL(realm);
  } catch (cause) {
    throw new TransferError('unexpected', `${doing}: the registry names no token service that is a URL`, {
      cause,
    });
  }
  if (url.username !== '' || url.password !== '' || !/^https?:$/.test(url.protocol)) {
    throw new TransferError(
      'unexpected',
      `${doing}: the registry names a token service that is no plain http URL`,
    );
  }
  if (url.protocol === 'https:' || isLoopback(url.host)) return url;
  if (!hasLogin(secrets) && mayBePlain) return url;
  throw new TransferError(
    'permission-denied',
    `${doing}: refused to ask \`${url.host}\` for a token by http${hasLogin(secrets) ? ': the login would travel in the clear' : ''}`,
  );
}

function askByGet(realm: URL, { service }: TokenService, call: TokenCall): Promise<HttpResponse> {
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of call.scopes) url.searchParams.append('scope', scope);
  const { username, password = '' } = call.secrets;
  const login =
    username === undefined ? undefined : Buffer.from(`${username}:${password}`).toString('base64');
  return call.http.send({
    method: 'GET',
    url: url.href,
    ...(login === undefined ? {} : { headers: { authorization: `Basic ${login}` } }),
    signal: call.signal,
  });
}

/** The OAuth2 form, for logins that are tokens themselves. A redirect would send that token to whoever it names. */
function askByRefresh(
  realm: URL,
  { service }: TokenService,
  token: string,
  call: TokenCall,
): Promise<HttpResponse> {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'bridle',
    scope: call.scopes.join(' '),
    refresh_token: token,
    ...(service === undefined ? {} : { service }),
  });
  const body = Buffer.from(form.toString());
  return call.http.send({
    method: 'POST',
    url: realm.href,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: one(body),
    size: body.length,
    redirect: 'manual',
    signal: call.signal,
  });
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function refusedBy(
  response: HttpResponse,
  realm: URL,
  { secrets, doing }: TokenCall,
): Promise<TransferError> {
  const { status } = response;
  await response.discard();
  const known = statusError(response, `${doing}: ask \`${realm.host}\` for a token`);
  if (status !== 401 && status !== 403 && status !== 400) return known;
  const text = hasLogin(secrets) ? 'it does not take the login' : 'it gives none without a login';
  return new TransferError(
    'unauthenticated',
    `${doing}: ask \`${realm.host}\` for a token: ${text} (HTTP ${status})`,
    {
      hint: 'the login is that of `docker login` or `podman login`; logging in again makes a new one',
    },
  );
}

import { TransferError } from '../errors.ts';
import type { HttpRequest, HttpResponse, Secrets } from '../protocol.ts';
import { areSameSecrets, withoutSecrets } from './auth.ts';
import type { LoginRequest, LoginState } from './logins.ts';
import { isSendable, type Outgoing } from './outgoing.ts';
import { MAX_REDIRECTS, nextHop } from './redirect.ts';
import { statusError } from './status.ts';
import { formatTarget, parseTarget, type Target } from './target.ts';

/** How far a request has come on its way through redirects and refused credentials. */
export interface Journey {
  readonly request: HttpRequest;
  method: string;
  target: Target;
  headers: Readonly<Record<string, string>>;
  secrets: Secrets | undefined;
  /** The request left the origin that its credentials are for. They never come back. */
  hasLeft: boolean;
  hasRefreshed: boolean;
  readonly login: LoginState;
  body: Outgoing | undefined;
  label: string;
  visited: Set<string> | undefined;
}

/** Undefined where no credentials go. */
export function loginOf(journey: Journey): LoginRequest | undefined {
  const { secrets, target, request } = journey;
  if (!secrets || journey.hasLeft) return undefined;
  const { method } = journey;
  return {
    secrets,
    origin: target.origin.key,
    method,
    uri: target.path,
    asksFirst: request.asksFirst ?? false,
  };
}

/** The target with a query that grants access behind its own. */
export function withQuery(target: Target, query: string | undefined): Target {
  if (query === undefined) return target;
  return { origin: target.origin, path: `${target.path}${target.path.includes('?') ? '&' : '?'}${query}` };
}

/** The URL as asked for, or where redirects led, then without its query: it may grant access. */
export function shownUrl(journey: Journey): string {
  return journey.visited ? formatTarget(journey.target, { withQuery: false }) : journey.request.url;
}

/** Fresh credentials after a 401, once. Rejects with `unauthenticated` when there are none, or no way to ask again. */
export async function refresh(journey: Journey, response: HttpResponse): Promise<void> {
  await response.discard();
  const refused = unauthenticated(response, journey);
  const { secrets: stale, request } = journey;
  if (journey.hasLeft || journey.hasRefreshed || !stale || !request.secrets) throw refused;
  const secrets = await request.secrets(true);
  if (areSameSecrets(stale, secrets)) throw refused;
  requireSendable(journey, refused);
  journey.hasRefreshed = true;
  journey.secrets = secrets;
  // Behind a redirect of the same origin the Location is complete by itself.
  if (!journey.visited) journey.target = withQuery(parseTarget(request.url), secrets.query);
}

function unauthenticated(response: HttpResponse, { label, target }: Journey): TransferError {
  const { code, message } = statusError(response, label);
  const section = `the section [${target.origin.hostHeader}] of the file that PEGASUS_CREDENTIALS names`;
  return new TransferError(code, message, {
    hint: `a login is taken from the URL, ${section}, netrc, BEARER_TOKEN or X509_USER_PROXY`,
  });
}

/** The server asked for a login in a way that is known now. */
export async function askAgain(journey: Journey, response: HttpResponse): Promise<void> {
  await response.discard();
  requireSendable(journey, statusError(response, journey.label));
}

function requireSendable({ body }: Journey, refused: TransferError): void {
  if (!body || isSendable(body)) return;
  throw new TransferError('unavailable', `${refused.message}; the body was on its way already`);
}

/** The request goes where the answer sends it, without its secrets when that is another origin. */
export async function follow(journey: Journey, response: HttpResponse): Promise<void> {
  await response.discard();
  const { label, method, target } = journey;
  const hop = nextHop(
    target,
    method,
    { status: response.status, location: response.headers.location! },
    label,
  );
  journey.visited ??= new Set([`${method} ${formatTarget(target, { withQuery: true })}`]);
  const key = `${hop.method} ${formatTarget(hop.target, { withQuery: true })}`;
  if (journey.visited.has(key)) throw new TransferError('unexpected', `${label}: redirected in a loop`);
  if (journey.visited.size > MAX_REDIRECTS) {
    throw new TransferError('unexpected', `${label}: more than ${MAX_REDIRECTS} redirects`);
  }
  journey.visited.add(key);
  if (hop.method === method && journey.body && !isSendable(journey.body)) {
    throw new TransferError('unavailable', `${label}: redirected after part of the body was sent`);
  }
  if (hop.method !== method) journey.body = undefined;
  if (hop.target.origin.key !== target.origin.key && !journey.hasLeft) {
    journey.hasLeft = true;
    journey.headers = withoutSecrets(journey.headers);
  }
  journey.method = hop.method;
  journey.target = hop.target;
}

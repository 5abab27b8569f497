import { setMaxListeners } from 'node:events';
import { TransferError } from '../errors.ts';
import type { Bytes, HttpClient, HttpRequest, HttpResponse, Secrets } from '../protocol.ts';
import { areSameSecrets, credentialFields, withoutSecrets } from './auth.ts';
import { type ConnectOptions, connect, type Route } from './connect.ts';
import { createControl, isControl } from './control.ts';
import { ask } from './exchange.ts';
import { bytesOf, trailersOf } from './incoming.ts';
import type { Message } from './message.ts';
import { isSendable, type Outgoing, prepareBody } from './outgoing.ts';
import { createPools } from './pool.ts';
import { createProxyChooser, type HttpProxy, type ProxyEnv } from './proxy.ts';
import { ended, nextBuffer, received, receivedChunk } from './receive.ts';
import { isRedirect, MAX_REDIRECTS, nextHop } from './redirect.ts';
import { statusError } from './status.ts';
import { formatTarget, type Origin, parseTarget, type Target } from './target.ts';
import { createTlsState } from './tls.ts';
import { createWatchdog, type Timeouts } from './watchdog.ts';
import { canceled, createWire, type Wire, type WireOwner } from './wire.ts';

export type { HttpProxy, ProxyEnv } from './proxy.ts';
export type { Timeouts } from './watchdog.ts';
export { isAnswerLost } from './wire.ts';

/** The waits of a transfer; see the README for the options that change them. */
export const DEFAULT_TIMEOUTS: Timeouts = {
  connect: 10,
  firstByte: 300,
  stall: 60,
  lowSpeed: { bytesPerSecond: 1024, seconds: 100 },
  idle: 4,
};

export interface HttpClientOptions {
  readonly version: string;
  readonly userAgent?: string;
  /** Connections per origin for bodies; as many again at most for control requests. */
  readonly connectionsPerOrigin: number;
  /** PEM texts of certificate authorities trusted beside the built-in ones. */
  readonly ca?: readonly string[];
  /** Variables that name proxies. */
  readonly proxyEnv: ProxyEnv;
  readonly timeouts?: Partial<Timeouts>;
  /** False: any certificate is accepted, with a warning. */
  readonly verifyTls?: boolean;
  /** Told once per `key`. */
  readonly warn: (key: string, message: string) => void;
}

/** What the requests of one client share. */
interface Core {
  readonly userAgent: string;
  readonly verifyTls: boolean;
  readonly chooseProxy: (origin: Origin) => HttpProxy | undefined;
  readonly pools: ReturnType<typeof createPools>;
  readonly control: ReturnType<typeof createControl>;
  readonly warn: (key: string, message: string) => void;
}

/**
 * The one HTTP client. Bodies go over connections of our own, control requests by undici; names, proxies, TLS, pools
 * and waits are the same for both. Nothing is retried but a kept connection that turned out to be dead.
 */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const timeouts: Timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
  const warned = new Set<string>();
  const warn = (key: string, message: string) => {
    if (warned.has(key)) return;
    warned.add(key);
    options.warn(key, message);
  };
  const userAgent = options.userAgent ?? `bridle/${options.version}`;
  const connecting = { tls: createTlsState(options.ca), timeout: timeouts.connect, userAgent };
  const watchdog = createWatchdog(timeouts, (now) => pools.sweep(now));
  const pools = createPools({
    connectionsPerOrigin: options.connectionsPerOrigin,
    idleSeconds: timeouts.idle,
    watchdog,
    connect: (route, owner, doing) => connectWire(route, owner, { ...connecting, doing }),
  });
  const core: Core = {
    userAgent,
    verifyTls: options.verifyTls ?? true,
    chooseProxy: createProxyChooser(options.proxyEnv, warn),
    pools,
    control: createControl({ connections: options.connectionsPerOrigin, timeouts, connect: connecting }),
    warn,
  };
  return {
    send: (request) => send(core, request),
    async close() {
      watchdog.close();
      pools.close();
      await core.control.close();
    },
  };
}

async function connectWire(route: Route, owner: WireOwner, options: ConnectOptions): Promise<Wire> {
  const isSecure = route.origin.secure || (route.proxy?.origin.secure ?? false);
  const wire = createWire(owner, isSecure);
  const { socket, isDirect, wasCut } = await connect(route, {
    ...options,
    onread: { buffer: () => nextBuffer(wire), callback: (count) => received(wire, count) },
  });
  if (!wire.reusable || socket.destroyed) {
    socket.destroy();
    const text = `\`${route.origin.hostHeader}\` does not wait for a request`;
    throw new TransferError('unavailable', `${options.doing}: ${text}`);
  }
  wire.socket = socket;
  wire.wasCut = wasCut;
  socket.on('error', (error) => {
    wire.failure = error;
  });
  socket.on('end', () => ended(wire));
  socket.on('close', () => ended(wire));
  if (!isDirect) {
    socket.on('data', (chunk: Buffer) => {
      if (!receivedChunk(wire, chunk)) socket.pause();
    });
  }
  return wire;
}

/** How far a request has come on its way through redirects and refused credentials. */
interface Journey {
  readonly request: HttpRequest;
  method: string;
  target: Target;
  headers: Readonly<Record<string, string>>;
  secrets: Secrets | undefined;
  /** The request left the origin that its credentials are for. They never come back. */
  hasLeft: boolean;
  hasRefreshed: boolean;
  body: Outgoing | undefined;
  label: string;
  visited: Set<string> | undefined;
}

/** Signals that may have a listener for each of many requests at once: Node takes more than ten for a leak. */
const shared = new WeakSet<AbortSignal>();

async function send(core: Core, request: HttpRequest): Promise<HttpResponse> {
  const label = `${request.method} ${request.url}`;
  if (!shared.has(request.signal)) {
    shared.add(request.signal);
    setMaxListeners(0, request.signal);
  }
  if (request.signal.aborted) throw canceled(request.signal, label);
  const target = parseTarget(request.url);
  const secrets = request.secrets ? await request.secrets() : undefined;
  const journey: Journey = {
    request,
    method: request.method,
    target: withQuery(target, secrets?.query),
    headers: request.headers ?? {},
    secrets,
    hasLeft: false,
    hasRefreshed: false,
    body: request.body ? await prepareBody(request.body, request.size, label) : undefined,
    label,
    visited: undefined,
  };
  for (;;) {
    const response = await sendOnce(core, journey);
    if (response.status === 401 && request.secrets) await refresh(journey, response);
    else if (request.redirect !== 'manual' && isRedirect(response.status, response.headers))
      await follow(journey, response);
    else return response;
  }
}

function withQuery(target: Target, query: string | undefined): Target {
  if (query === undefined) return target;
  return { origin: target.origin, path: `${target.path}${target.path.includes('?') ? '&' : '?'}${query}` };
}

function sendOnce(core: Core, journey: Journey): Promise<HttpResponse> {
  const { request, target, secrets } = journey;
  const verifyTls = core.verifyTls && (journey.hasLeft || secrets?.verifyTls !== false);
  if (!verifyTls && target.origin.secure) {
    core.warn(
      `tls:${target.origin.key}`,
      `the certificate of \`${target.origin.hostHeader}\` is NOT verified: anybody on the way can read and change what is moved`,
    );
  }
  const proxy = request.fresh ? undefined : core.chooseProxy(target.origin);
  const route: Route = { origin: target.origin, verifyTls, ...(proxy ? { proxy } : {}) };
  const isForwarded = proxy !== undefined && !target.origin.secure;
  const message: Message = {
    method: journey.method,
    target,
    isAbsolute: isForwarded,
    userAgent: core.userAgent,
    headers:
      secrets && !journey.hasLeft ? { ...credentialFields(secrets), ...journey.headers } : journey.headers,
    proxyAuthorization: isForwarded ? proxy.authorization : undefined,
    fresh: request.fresh ?? false,
  };
  return isControl(journey.method, journey.body !== undefined)
    ? sendControl(core, route, message, journey)
    : sendOnWire(core, route, message, journey);
}

async function sendOnWire(
  core: Core,
  route: Route,
  message: Message,
  journey: Journey,
): Promise<HttpResponse> {
  const { label, body } = journey;
  const { signal } = journey.request;
  const answer = await ask(core.pools, { route, message, body, signal, label });
  return {
    status: answer.head.status,
    headers: answer.head.headers,
    url: shownUrl(journey),
    body: bytesOf(answer.body),
    trailers: () => trailersOf(answer.body),
    discard: async () => answer.drop(),
  };
}

async function sendControl(
  core: Core,
  route: Route,
  message: Message,
  journey: Journey,
): Promise<HttpResponse> {
  const answer = await core.control.send(route, message, journey.request.signal, journey.label);
  return {
    status: answer.status,
    headers: answer.headers,
    url: shownUrl(journey),
    body: only(answer.body),
    trailers: async () => ({}),
    discard: async () => {},
  };
}

async function* only(chunk: Uint8Array): Bytes {
  if (chunk.length > 0) yield chunk;
}

/** The URL as asked for, or where redirects led, then without its query: it may grant access. */
function shownUrl(journey: Journey): string {
  return journey.visited ? formatTarget(journey.target, { withQuery: false }) : journey.request.url;
}

/** Fresh credentials after a 401, once. Rejects with `unauthenticated` when there are none, or no way to ask again. */
async function refresh(journey: Journey, response: HttpResponse): Promise<void> {
  await response.discard();
  const refused = statusError(response, journey.label);
  const { secrets: stale, request } = journey;
  if (journey.hasLeft || journey.hasRefreshed || !stale || !request.secrets) throw refused;
  const secrets = await request.secrets(true);
  if (areSameSecrets(stale, secrets)) throw refused;
  if (journey.body && !isSendable(journey.body)) {
    throw new TransferError('unavailable', `${refused.message}; the body was on its way already`);
  }
  journey.hasRefreshed = true;
  journey.secrets = secrets;
  // Behind a redirect of the same origin the Location is complete by itself.
  if (!journey.visited) journey.target = withQuery(parseTarget(request.url), secrets.query);
}

async function follow(journey: Journey, response: HttpResponse): Promise<void> {
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

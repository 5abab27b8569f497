import { setMaxListeners } from 'node:events';
import type { Bytes, HttpClient, HttpRequest, HttpResponse } from '../protocol.ts';
import type { Route } from './connect.ts';
import { connectWire } from './connect-wire.ts';
import { createControl, isControl } from './control.ts';
import { ask } from './exchange.ts';
import { bytesOf, trailersOf } from './incoming.ts';
import { askAgain, follow, type Journey, loginOf, refresh, shownUrl, withQuery } from './journey.ts';
import { createLogins, type Logins } from './logins.ts';
import type { Message } from './message.ts';
import { prepareBody } from './outgoing.ts';
import { createPools } from './pool.ts';
import { createProxyChooser, type HttpProxy, type ProxyEnv } from './proxy.ts';
import { isRedirect } from './redirect.ts';
import { type Origin, parseTarget } from './target.ts';
import { createTlsState } from './tls.ts';
import { createWatchdog, type Timeouts } from './watchdog.ts';
import { canceled } from './wire.ts';

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
  /** More of them, asked for when a certificate is of none of the others. */
  readonly moreCa?: () => readonly string[];
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
  readonly logins: Logins;
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
  const connecting = {
    tls: createTlsState(options.ca, options.moreCa),
    timeout: timeouts.connect,
    userAgent,
  };
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
    logins: createLogins(),
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
    login: { answered: 0, shown: 'nothing' },
    body: request.body ? await prepareBody(request.body, request.size, label) : undefined,
    label,
    visited: undefined,
  };
  for (;;) {
    const response = await sendOnce(core, journey);
    const asking = loginOf(journey);
    const info = response.headers['authentication-info'];
    if (asking && info !== undefined) core.logins.renew(asking, info);
    if (response.status === 401 && request.secrets) {
      const challenge = response.headers['www-authenticate'];
      const isAnswerable = asking !== undefined && core.logins.learn(asking, journey.login, challenge);
      if (isAnswerable) await askAgain(journey, response);
      else await refresh(journey, response);
    } else if (request.redirect !== 'manual' && isRedirect(response.status, response.headers)) {
      await follow(journey, response);
    } else return response;
  }
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
  const certificate = journey.hasLeft || !target.origin.secure ? undefined : secrets?.certificate;
  const route: Route = {
    origin: target.origin,
    verifyTls,
    ...(proxy ? { proxy } : {}),
    ...(certificate ? { certificate } : {}),
  };
  const isForwarded = proxy !== undefined && !target.origin.secure;
  const login = loginOf(journey);
  const message: Message = {
    method: journey.method,
    target,
    isAbsolute: isForwarded,
    userAgent: core.userAgent,
    headers: login ? { ...core.logins.fields(login, journey.login), ...journey.headers } : journey.headers,
    proxyAuthorization: isForwarded ? proxy.authorization : undefined,
    fresh: request.fresh ?? false,
    takesGzip: request.takesGzip,
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

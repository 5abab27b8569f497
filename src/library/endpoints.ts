import { homedir } from 'node:os';
import metadata from '../../package.json' with { type: 'json' };
import type { Cache } from '../cache/cache.ts';
import type { Credentials } from '../credentials/credentials.ts';
import { createEndpoints, type Endpoints } from '../endpoints.ts';
import { ftpSettings } from '../ftp/settings.ts';
import { gsSettings } from '../gcs/settings.ts';
import type { Timeouts } from '../http/client.ts';
import { registrySettings } from '../image/registry/settings.ts';
import { sifSettings } from '../image/sif-service/settings.ts';
import { lazyHttp } from '../lazy-http.ts';
import type { HttpClient, NetSettings } from '../protocol.ts';
import type { Environment } from '../request.ts';
import { authoritiesOf, readMoreAuthorities, readVerifyTls } from './trust.ts';

/** How services are talked to. */
export interface ServiceOptions {
  /**
   * Variables for credentials, proxies, certificate authorities, settings of protocols, and `$NAME` in local URLs. The
   * environment of the process is not read: pass `process.env` for what the command would do.
   */
  readonly env?: Environment;
  /** PEM texts of certificate authorities to trust beside those of Node and of the system. */
  readonly ca?: readonly string[];
  /** False: any certificate is accepted, with a warning. As `BRIDLE_TLS_VERIFY` in `env` says when left out. */
  readonly verifyTls?: boolean;
  /** Which keys of ssh hosts are believed: known ones (`verify`), new ones, too (`accept-new`), or any (`off`). */
  readonly sshHostKey?: 'verify' | 'accept-new' | 'off' | undefined;
  readonly timeouts?: Partial<Timeouts>;
}

/** What one run brings along. */
export interface RunTools {
  /** Connections with one host; a transfer needs one. */
  readonly connections: number;
  readonly warn: (key: string, message: string) => void;
  /** For endpoints whose content is made of parts that have digests. */
  readonly cache?: Cache | undefined;
}

/**
 * Endpoints for one run. The HTTP client and the credentials are loaded by the first endpoint that asks: a copy on the
 * local disk needs neither. Throws `invalid-request` for settings that cannot be honoured.
 */
export function openEndpoints(options: ServiceOptions, tools: RunTools): Endpoints {
  const { env = {} } = options;
  const net = netSettings(options, tools);
  let credentials: Promise<Credentials> | undefined;
  return createEndpoints({
    http: httpOver(net, env),
    cache: tools.cache,
    settings: {
      net,
      ftp: ftpSettings(env),
      gs: gsSettings(env),
      registry: registrySettings(env),
      sif: sifSettings(env),
    },
    secretsFor: async (location, fromUrl, again) => {
      credentials ??= openCredentials(options, tools.warn);
      return (await credentials).secretsFor(location, fromUrl, again);
    },
  });
}

/**
 * A client with the proxies, authorities and limits of the run, loaded by its first request. Throws `invalid-request`
 * for settings that cannot be honoured.
 */
export function openHttp(options: ServiceOptions, tools: RunTools): HttpClient {
  return httpOver(netSettings(options, tools), options.env ?? {});
}

/** What this user has to show services. */
export async function openCredentials(
  { env = {}, sshHostKey }: ServiceOptions,
  warn: RunTools['warn'],
): Promise<Credentials> {
  const { createCredentials } = await import('../credentials/credentials.ts');
  const home = env.HOME || homedir();
  return createCredentials({ env, home, uid: process.geteuid?.() ?? 0, warn, sshHostKey });
}

function netSettings({ env = {}, ca = [], verifyTls, timeouts }: ServiceOptions, tools: RunTools) {
  return {
    connections: tools.connections,
    warn: tools.warn,
    verifyTls: verifyTls ?? readVerifyTls(env),
    authorities: authoritiesOf(ca, env),
    moreAuthorities: () => readMoreAuthorities(env),
    timeouts,
  } satisfies NetSettings;
}

function httpOver(net: ReturnType<typeof netSettings>, env: Environment): HttpClient {
  const { connections, authorities, moreAuthorities, verifyTls, timeouts, warn } = net;
  return lazyHttp(async () => {
    const [{ createHttpClient }, ca] = await Promise.all([import('../http/client.ts'), authorities()]);
    return createHttpClient({
      version: metadata.version,
      connectionsPerOrigin: connections,
      ca,
      moreCa: moreAuthorities,
      proxyEnv: env,
      verifyTls,
      warn,
      ...(timeouts === undefined ? {} : { timeouts }),
    });
  });
}

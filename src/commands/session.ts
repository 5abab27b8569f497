import { homedir } from 'node:os';
import type { Credentials } from '../credentials/credentials.ts';
import { createEndpoints, type Endpoints, type SecretsFor } from '../endpoints.ts';
import { TransferError } from '../errors.ts';
import { ftpSettings } from '../ftp/settings.ts';
import { gsSettings } from '../gcs/settings.ts';
import { registrySettings } from '../image/registry/settings.ts';
import { lazyHttp } from '../lazy-http.ts';
import type { HttpClient, NetSettings } from '../protocol.ts';
import type { Environment } from '../request.ts';
import type { Values } from './option.ts';
import type { STAT_OPTIONS } from './options.ts';
import { readAuthorities, readMoreAuthorities } from './trust.ts';
import { VERSION } from './version.ts';

/** What a command says about the services that it talks to. */
export type ServiceValues = Pick<
  Values<typeof STAT_OPTIONS>,
  'ca' | 'connectTimeout' | 'firstByteTimeout' | 'stallTimeout' | 'sshHostKey'
>;

export interface SessionTools {
  readonly env: Environment;
  /** Connections with one host; a transfer needs one. */
  readonly connections: number;
  readonly warn: (key: string, message: string) => void;
}

/**
 * Endpoints for one run. The HTTP client and the credentials are loaded by the first endpoint that asks: a copy on the
 * local disk needs neither. Throws `invalid-request` for settings that cannot be honoured.
 */
export function openSession(values: ServiceValues, tools: SessionTools): Endpoints {
  const net = netSettings(values, tools);
  return createEndpoints({
    http: httpOver(net, tools.env),
    settings: {
      net,
      ftp: ftpSettings(tools.env),
      gs: gsSettings(tools.env),
      registry: registrySettings(tools.env),
    },
    secretsFor: lazySecrets(tools, values.sshHostKey),
  });
}

/**
 * A client with the proxies, authorities and limits of the run, loaded by its first request. Throws `invalid-request`
 * for settings that cannot be honoured.
 */
export function openHttp(values: ServiceValues, tools: SessionTools): HttpClient {
  return httpOver(netSettings(values, tools), tools.env);
}

function httpOver(net: ReturnType<typeof netSettings>, env: Environment): HttpClient {
  const { connections, authorities, moreAuthorities, verifyTls, timeouts, warn } = net;
  return lazyHttp(async () => {
    const [{ createHttpClient }, ca] = await Promise.all([import('../http/client.ts'), authorities()]);
    return createHttpClient({
      version: VERSION,
      connectionsPerOrigin: connections,
      ca,
      moreCa: moreAuthorities,
      proxyEnv: env,
      verifyTls,
      warn,
      timeouts,
    });
  });
}

function netSettings(values: ServiceValues, { connections, env, warn }: SessionTools) {
  return {
    connections,
    warn,
    verifyTls: readVerifyTls(env),
    authorities: readAuthorities(values.ca, env),
    moreAuthorities: () => readMoreAuthorities(env),
    timeouts: {
      connect: values.connectTimeout,
      firstByte: values.firstByteTimeout,
      stall: values.stallTimeout,
    },
  } satisfies NetSettings;
}

function lazySecrets(tools: SessionTools, sshHostKey: ServiceValues['sshHostKey']): SecretsFor {
  let credentials: Promise<Credentials> | undefined;
  return async (location, fromUrl, again) => {
    credentials ??= openCredentials(tools, sshHostKey);
    return (await credentials).secretsFor(location, fromUrl, again);
  };
}

/** What this user has to show services. */
export async function openCredentials(
  { env, warn }: Pick<SessionTools, 'env' | 'warn'>,
  sshHostKey: ServiceValues['sshHostKey'],
): Promise<Credentials> {
  const { createCredentials } = await import('../credentials/credentials.ts');
  const home = env.HOME || homedir();
  // AWS's library tells whoever runs Node 20, by eight lines on stderr, what only we can do something about.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  return createCredentials({ env, home, uid: process.geteuid?.() ?? 0, warn, sshHostKey });
}

const NO = ['0', 'no', 'false', 'off'];
const YES = ['1', 'yes', 'true', 'on'];

/** A word that is no clear no must not turn verification off. */
export function readVerifyTls(env: Environment): boolean {
  const word = env.BRIDLE_TLS_VERIFY?.toLowerCase();
  if (word === undefined || word === '' || YES.includes(word)) return true;
  if (NO.includes(word)) return false;
  throw new TransferError(
    'invalid-request',
    `BRIDLE_TLS_VERIFY: expected \`off\`, \`0\`, \`no\` or \`false\`, got \`${word}\``,
  );
}

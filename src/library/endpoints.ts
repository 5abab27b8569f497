import { homedir, userInfo } from 'node:os';
import metadata from '../../package.json' with { type: 'json' };
import { createEndpoints, type Endpoints } from '../endpoints.ts';
import { ftpSettings } from '../ftp/settings.ts';
import type { Timeouts } from '../http/client.ts';
import { lazyHttp } from '../lazy-http.ts';
import type { Environment } from '../request.ts';

/** How services are talked to. */
export interface ServiceOptions {
  /**
   * Variables for credentials, proxies and `$NAME` in local URLs. The environment of the process is not read: pass
   * `process.env` for what the command would do.
   */
  readonly env?: Environment;
  /** PEM texts of certificate authorities to trust beside those of Node. */
  readonly ca?: readonly string[];
  /** False: any certificate is accepted, with a warning. */
  readonly verifyTls?: boolean;
  /** Which keys of ssh hosts are believed: known ones (`verify`), new ones, too (`accept-new`), or any (`off`). */
  readonly sshHostKey?: 'verify' | 'accept-new' | 'off';
  readonly timeouts?: Partial<Timeouts>;
}

/** Endpoints for one call of the library: nothing of the process's own environment is read. */
export function openEndpoints(
  options: ServiceOptions,
  connections: number,
  warn: (key: string, message: string) => void,
): Endpoints {
  const { env = {} } = options;
  const credentials = lazily(async () => {
    const { createCredentials } = await import('../credentials/credentials.ts');
    return createCredentials({
      env,
      home: env.HOME || homedir(),
      uid: userInfo().uid,
      warn,
      sshHostKey: options.sshHostKey,
    });
  });
  return createEndpoints({
    settings: {
      net: {
        connections,
        timeouts: options.timeouts,
        authorities: async () => options.ca ?? [],
        verifyTls: options.verifyTls ?? true,
        warn,
      },
      ftp: ftpSettings(env),
    },
    http: lazyHttp(async () => {
      const { createHttpClient } = await import('../http/client.ts');
      return createHttpClient({
        version: metadata.version,
        connectionsPerOrigin: connections,
        proxyEnv: env,
        warn,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        ...(options.verifyTls === undefined ? {} : { verifyTls: options.verifyTls }),
        ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
      });
    }),
    secretsFor: async (location, fromUrl, again) =>
      (await credentials()).secretsFor(location, fromUrl, again),
  });
}

function lazily<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined;
  return () => {
    loading ??= load();
    return loading;
  };
}

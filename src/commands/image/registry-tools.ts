import type { Cache } from '../../cache/cache.ts';
import type { RegistrySettings } from '../../image/registry/hosts.ts';
import type { RegistryTools } from '../../image/registry/resolve.ts';
import { localLocation, type UrlSecret } from '../../location.ts';
import type { HttpClient } from '../../protocol.ts';
import type { Environment } from '../../request.ts';
import { openCredentials, openHttp, type ServiceValues } from '../session.ts';
import { warnOnce } from '../warn-once.ts';

/** Connections with one registry: three layers, and what is asked meanwhile. */
const CONNECTIONS = 4;

/** How registries are asked by one run. */
export interface Registries {
  readonly http: HttpClient;
  /** Tells a warning once. */
  warn(key: string, message: string): void;
  /** For one image; `secret` is the login that its name had. */
  tools(secret: UrlSecret | undefined, cache?: Cache): RegistryTools;
}

/** The logins of this user are looked up when a registry first asks for one. Throws `invalid-request` for settings that cannot be honoured. */
export function openRegistries(
  values: ServiceValues,
  settings: RegistrySettings,
  { env, say }: { readonly env: Environment; readonly say: (line: string) => void },
): Registries {
  const warn = warnOnce(say);
  const http = openHttp(values, { env, connections: CONNECTIONS, warn });
  let credentials: ReturnType<typeof openCredentials> | undefined;
  return {
    http,
    warn,
    tools: (secret, cache) => ({
      http,
      cache,
      settings,
      warn,
      async secretsFor(registry, repository, again) {
        credentials ??= openCredentials({ env, warn }, values.sshHostKey);
        const location = { ...localLocation(`/${repository}`), scheme: 'docker', authority: registry };
        return (await credentials).secretsFor(location, secret, again);
      },
    }),
  };
}

import type { Cache } from '../../cache/cache.ts';
import { type OpenedImage, openImage } from '../../image/archive/open.ts';
import type { Platform } from '../../image/image.ts';
import { parsePlatform } from '../../image/platform.ts';
import { type Found, findImage, type RegistryTools } from '../../image/registry/resolve.ts';
import { registrySettings } from '../../image/registry/settings.ts';
import { localLocation, type UrlSecret } from '../../location.ts';
import type { HttpClient } from '../../protocol.ts';
import { safeText } from '../../report/format.ts';
import type { Io } from '../io.ts';
import type { Values } from '../option.ts';
import type { IMAGE_OPTIONS } from '../options.ts';
import { openCredentials, openHttp } from '../session.ts';
import type { Named } from './order.ts';

export type ImageValues = Values<typeof IMAGE_OPTIONS>;

/** What every action works with. */
export interface Work {
  readonly values: ImageValues;
  readonly io: Io;
  readonly signal: AbortSignal;
  readonly http: HttpClient;
  readonly platform: Platform | undefined;
  /** For registries; `secret` is the login that the argument had. */
  tools(secret: UrlSecret | undefined, cache?: Cache): RegistryTools;
}

/** Connections with one registry: three layers, and what is asked meanwhile. */
const CONNECTIONS = 4;

/** Throws `invalid-request` for settings that cannot be meant. */
export function openWork(values: ImageValues, io: Io, signal: AbortSignal): Work {
  const warned = new Set<string>();
  const warn = (key: string, message: string) => {
    if (!warned.has(key)) io.err(`warning: ${safeText(message)}\n`);
    warned.add(key);
  };
  const http = openHttp(values, { env: io.env, connections: CONNECTIONS, warn });
  const settings = registrySettings({
    BRIDLE_INSECURE_REGISTRY: values.insecureRegistry.join(','),
    BRIDLE_REGISTRY_MIRROR: values.mirror.join(','),
  });
  let credentials: ReturnType<typeof openCredentials> | undefined;
  return {
    values,
    io,
    signal,
    http,
    platform: values.platform === undefined ? undefined : parsePlatform(values.platform),
    tools: (secret, cache) => ({
      http,
      cache,
      settings,
      warn,
      async secretsFor(registry, repository, again) {
        credentials ??= openCredentials({ env: io.env, warn }, values.sshHostKey);
        const location = { ...localLocation(`/${repository}`), scheme: 'docker', authority: registry };
        return (await credentials).secretsFor(location, secret, again);
      },
    }),
  };
}

/** An image of either kind, found. */
export type Read =
  | { readonly kind: 'file'; readonly opened: OpenedImage; readonly path: string }
  | { readonly kind: 'registry'; readonly found: Found };

/** Finds the image; layers are read later. */
export async function readImage(named: Named, work: Work): Promise<Read> {
  const { platform, signal } = work;
  if (named.kind === 'file') {
    const { path, as } = named;
    return { kind: 'file', path, opened: await openImage(path, { as, platform, signal }) };
  }
  const found = await findImage(named.reference, work.tools(named.secret), { platform, signal });
  return { kind: 'registry', found };
}

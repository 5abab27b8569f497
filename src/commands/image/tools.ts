import type { Cache } from '../../cache/cache.ts';
import { type OpenedImage, openImage } from '../../image/archive/open.ts';
import type { Platform } from '../../image/image.ts';
import { parsePlatform } from '../../image/platform.ts';
import { findPatiently } from '../../image/registry/find-patiently.ts';
import type { Found, RegistryTools } from '../../image/registry/resolve.ts';
import { registrySettings } from '../../image/registry/settings.ts';
import type { UrlSecret } from '../../location.ts';
import type { HttpClient } from '../../protocol.ts';
import type { Io } from '../io.ts';
import type { Values } from '../option.ts';
import type { IMAGE_OPTIONS } from '../options.ts';
import type { Named } from './order.ts';
import { openRegistries } from './registry-tools.ts';

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

/** Throws `invalid-request` for settings that cannot be meant. */
export function openWork(values: ImageValues, io: Io, signal: AbortSignal): Work {
  const settings = registrySettings({
    BRIDLE_INSECURE_REGISTRY: values.insecureRegistry.join(','),
    BRIDLE_REGISTRY_MIRROR: values.mirror.join(','),
  });
  const say = (line: string) => io.err(`${line}\n`);
  const { http, tools } = openRegistries(values, settings, { env: io.env, say });
  const platform = values.platform === undefined ? undefined : parsePlatform(values.platform);
  return { values, io, signal, http, platform, tools };
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
  const found = await findPatiently(named.reference, work.tools(named.secret), { platform, signal });
  return { kind: 'registry', found };
}

import type { Context } from '../../protocol.ts';
import { NO_REGISTRY_SETTINGS } from './hosts.ts';
import type { RegistryTools } from './resolve.ts';

/** How the images of `registry` are looked for by an endpoint. */
export function registryTools(registry: string, context: Context): RegistryTools {
  const { http, cache, settings = {} } = context;
  return {
    http,
    cache,
    settings: settings.registry ?? NO_REGISTRY_SETTINGS,
    // The login is for the registry in the name, not for a mirror of it.
    secretsFor: async (asked, _, again) => (asked === registry ? context.secrets(again) : {}),
    warn: (key, message) => settings.net?.warn(key, message),
  };
}

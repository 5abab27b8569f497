import { parseReference } from '../src/image/reference.ts';
import { findArtifact } from '../src/image/registry/artifact.ts';
import { NO_REGISTRY_SETTINGS } from '../src/image/registry/hosts.ts';
import { sifEndpoint } from '../src/image/sif-service/endpoint.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint } from '../src/protocol.ts';

/** One SIF file that is kept in a registry, as it is. */
export function open(location: Location, context: Context): Endpoint {
  const named = parseReference(location.authority + location.path);
  const { http, settings = {}, identity = '' } = context;
  const { registry: how = NO_REGISTRY_SETTINGS, net } = settings;
  const tools = {
    http,
    settings: how,
    // The login is for the registry in the name, not for a mirror of it.
    secretsFor: async (registry: string, _: string, again: boolean) =>
      registry === named.registry ? context.secrets(again) : {},
    warn: (key: string, message: string) => net?.warn(key, message),
  };
  const { platform } = settings.registry ?? {};
  return sifEndpoint(`registry ${named.registry} ${identity}`, context, (signal) =>
    findArtifact(named, tools, { platform, signal }),
  );
}

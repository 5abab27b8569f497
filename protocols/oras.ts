import { parseReference } from '../src/image/reference.ts';
import { findArtifact } from '../src/image/registry/artifact.ts';
import { registryTools } from '../src/image/registry/of-context.ts';
import { sifEndpoint } from '../src/image/sif-service/endpoint.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint } from '../src/protocol.ts';

/** One SIF file that is kept in a registry, as it is. */
export function open(location: Location, context: Context): Endpoint {
  const named = parseReference(location.authority + location.path);
  const { settings = {}, identity = '' } = context;
  const tools = registryTools(named.registry, context);
  const { platform } = settings.registry ?? {};
  return sifEndpoint(`registry ${named.registry} ${identity}`, context, (signal) =>
    findArtifact(named, tools, { platform, signal }),
  );
}

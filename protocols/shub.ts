import { isLoopback } from '../src/image/registry/hosts.ts';
import { findOrigin } from '../src/image/registry/origin.ts';
import { sifEndpoint } from '../src/image/sif-service/endpoint.ts';
import { parseShubReference, SINGULARITY_HUB } from '../src/image/sif-service/reference.ts';
import { findInHub } from '../src/image/sif-service/shub.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint } from '../src/protocol.ts';

/** One image file of Singularity Hub, or of a server with its API. Nobody logs in there. */
export function open(location: Location, context: Context): Endpoint {
  const { http, settings = {}, identity = '' } = context;
  const reference = parseShubReference(location.authority + location.path);
  const { shub = SINGULARITY_HUB } = settings.sif ?? {};
  const { insecure = [] } = settings.registry ?? {};
  const { host } = reference;

  async function baseFor(signal: AbortSignal): Promise<string> {
    if (host === undefined) return shub;
    const mayBePlain = isLoopback(host) || insecure.some((one) => one.toLowerCase() === host);
    return findOrigin(http, { authority: host, mayBePlain }, '/api/', signal);
  }

  // A cache names content by better digests than a hub's: the one of a list, by which the engine uses it.
  const { format } = context;
  return sifEndpoint(`shub ${host ?? shub} ${identity}`, { format }, async (signal) =>
    findInHub(reference, { http, base: await baseFor(signal), signal }),
  );
}

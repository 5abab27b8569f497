import { TransferError } from './errors.ts';
import type { Location, UrlSecret } from './location.ts';
import type { Endpoint, HttpClient, Secrets } from './protocol.ts';
import { knownSchemes, loadProtocol } from './registry.ts';
import type { Place } from './request.ts';

/** Where secrets come from: the URL's own, then files and environment. */
export type SecretsFor = (
  location: Location,
  fromUrl: UrlSecret | undefined,
  again: boolean,
) => Promise<Secrets>;

/** Opens endpoints and keeps one per service, until closed. */
export interface Endpoints {
  /** Rejects with `unsupported`, naming the scheme, when it is not spoken here. */
  open(place: Place): Promise<Endpoint>;
  close(): Promise<void>;
}

/** Endpoints over one HTTP client and one source of secrets. */
export function createEndpoints(tools: {
  readonly http: HttpClient;
  readonly secretsFor: SecretsFor;
}): Endpoints {
  const opened = new Map<string, Promise<Endpoint>>();

  async function openNew({ location, secret }: Place): Promise<Endpoint> {
    const protocol = await loadProtocol(location.scheme);
    if (!protocol) throw unsupported(location.scheme);
    return protocol.open(location, {
      http: tools.http,
      secrets: (again = false) => tools.secretsFor(location, secret, again),
    });
  }

  return {
    open(place) {
      // A URL with a secret of its own is an identity of its own; it is not worth keeping.
      if (place.secret) return openNew(place);
      const { scheme, authority, site } = place.location;
      const key = `${scheme}://${authority} ${site}`;
      let endpoint = opened.get(key);
      if (!endpoint) {
        endpoint = openNew(place);
        opened.set(key, endpoint);
        endpoint.catch(() => opened.delete(key));
      }
      return endpoint;
    },
    async close() {
      const all = await Promise.allSettled(opened.values());
      opened.clear();
      for (const one of all) if (one.status === 'fulfilled') await one.value.close?.();
      await tools.http.close();
    },
  };
}

function unsupported(scheme: string): TransferError {
  return new TransferError('unsupported', `\`${scheme}\` is not a scheme that bridle speaks`, {
    hint: `it speaks ${knownSchemes().join(', ')}`,
  });
}

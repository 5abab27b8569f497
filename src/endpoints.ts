import type { Cache } from './cache/cache.ts';
import { TransferError } from './errors.ts';
import { IMAGE_SCHEMES, type Location, type UrlSecret } from './location.ts';
import type { Endpoint, HttpClient, Secrets, Settings } from './protocol.ts';
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
  readonly settings?: Settings;
  readonly cache?: Cache | undefined;
}): Endpoints {
  const opened = new Map<string, Promise<Endpoint>>();
  let ownSecrets = 0;

  async function openNew({ location, secret, format }: Place): Promise<Endpoint> {
    const protocol = await loadProtocol(location.scheme);
    if (!protocol) throw unsupported(location.scheme);
    return protocol.open(location, {
      http: tools.http,
      identity: secret ? `${location.site} ${++ownSecrets}` : location.site,
      settings: tools.settings,
      secrets: recent((again) => tools.secretsFor(location, secret, again)),
      username: secret?.username,
      format,
      cache: tools.cache,
    });
  }

  return {
    open(place) {
      const { location, secret } = place;
      // A query that grants access is of one file alone; a login is an identity, which others may have too.
      if (secret?.query !== undefined) return openNew(place);
      const login = secret ? JSON.stringify([secret.username, secret.password]) : '';
      // Logins for registries may be of a single repository, and its images are wanted as one thing or another.
      const image = IMAGE_SCHEMES.has(location.scheme) ? `${location.path} ${place.format ?? ''}` : '';
      const key = `${location.scheme}://${location.authority}${image} ${location.site} ${login}`;
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

/** Milliseconds for which an answer is good: files are looked at once a second anyway, and looking up costs as much as parsing a head. */
const RECENT_MS = 1000;

/** `ask`, but at most once a second while nobody says that the answer was refused. */
function recent(ask: (again: boolean) => Promise<Secrets>): (again?: boolean) => Promise<Secrets> {
  let answer: Promise<Secrets> | undefined;
  let until = 0;
  return (again = false) => {
    const now = performance.now();
    if (!answer || again || now >= until) {
      const asked = ask(again);
      answer = asked;
      until = now + RECENT_MS;
      asked.catch(() => {
        if (answer === asked) answer = undefined;
      });
    }
    return answer;
  };
}

function unsupported(scheme: string): TransferError {
  return new TransferError('unsupported', `\`${scheme}\` is not a scheme that bridle speaks`, {
    hint: `it speaks ${knownSchemes().join(', ')}`,
  });
}

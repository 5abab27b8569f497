import { open } from '../protocols/http.ts';
import { createHttpClient, type HttpClientOptions } from '../src/http/client.ts';
import { parseUrl } from '../src/location.ts';
import type { Subject } from './conformance.ts';

/** A place below `base`, with its trailing slash, that `storage` looks at from the side. Closes the client with it. */
export function httpSubject(
  base: string,
  storage: Pick<Subject, 'look' | 'put' | 'close'>,
  options: Partial<HttpClientOptions> = {},
): Subject {
  const { location } = parseUrl(base, { site: 'test', env: {} });
  const http = createHttpClient({
    version: 'test',
    connectionsPerOrigin: 4,
    proxyEnv: {},
    warn: () => undefined,
    ...options,
  });
  return {
    ...storage,
    endpoint: open(location, { http, secrets: async () => ({}) }),
    path: (name) => location.path + name.split('/').map(encodeURIComponent).join('/'),
    close: async () => {
      await http.close();
      await storage.close();
    },
  };
}

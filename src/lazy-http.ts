import type { HttpClient } from './protocol.ts';

/** The client that `load` brings, loaded by the first request: local work needs none. */
export function lazyHttp(load: () => Promise<HttpClient>): HttpClient {
  let client: HttpClient | undefined;
  let loading: Promise<HttpClient> | undefined;
  const loaded = async (): Promise<HttpClient> => {
    loading ??= load();
    client = await loading;
    return client;
  };
  return {
    send: (request) => (client ? client.send(request) : loaded().then((http) => http.send(request))),
    close: async () => {
      await (await loading?.catch(() => undefined))?.close();
    },
  };
}

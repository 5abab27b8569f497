import fs from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunningDav } from '../fixtures/servers/dav.ts';
import { open } from '../protocols/webdav.ts';
import { createHttpClient, type HttpClientOptions } from '../src/http/client.ts';
import { parseUrl } from '../src/location.ts';
import type { Endpoint, Secrets } from '../src/protocol.ts';
import type { Subject } from './conformance.ts';

export interface DavSubjectOptions {
  readonly scheme: 'dav' | 'davs' | 'webdav' | 'webdavs';
  /** The location of the server's configuration, such as `open`. */
  readonly below: string;
  readonly secrets?: Secrets;
  readonly http?: Partial<HttpClientOptions>;
}

/** An endpoint of the server, with a client of its own. */
export function davEndpoint(
  url: string,
  options: { readonly secrets?: Secrets; readonly http?: Partial<HttpClientOptions> } = {},
): { readonly endpoint: Endpoint; readonly path: string; close(): Promise<void> } {
  const { location } = parseUrl(url, { site: 'test', env: {} });
  const http = createHttpClient({
    version: 'test',
    connectionsPerOrigin: 4,
    proxyEnv: {},
    warn: () => undefined,
    ...options.http,
  });
  const secrets = async () => options.secrets ?? {};
  return { endpoint: open(location, { http, secrets }), path: location.path, close: () => http.close() };
}

/** The files of a running server below one of its locations. */
export async function davSubject(server: RunningDav, options: DavSubjectOptions): Promise<Subject> {
  const root = fs.mkdtempSync(join(server.dav, 'subject-'));
  fs.chmodSync(root, 0o777);
  const name = root.slice(server.dav.length + 1);
  const base = options.scheme.endsWith('s') ? server.https : server.http;
  const { endpoint, path, close } = davEndpoint(
    `${base.replace(/^https?/, options.scheme)}/${options.below}/${name}/`,
    options,
  );
  const local = (below: string) => join(root, below);
  return {
    endpoint,
    path: (below) => path + below.split('/').map(encodeURIComponent).join('/'),
    look: async (below) => (fs.existsSync(local(below)) ? fs.readFileSync(local(below)) : undefined),
    put: async (below, content) => {
      share(dirname(local(below)), root);
      fs.writeFileSync(local(below), content);
      fs.chmodSync(local(below), 0o666);
    },
    close: async () => {
      await close();
      await server.stop();
    },
  };
}

/** Makes the directory and those above it, for everybody: the server is another user than the test. */
function share(directory: string, root: string): void {
  if (fs.existsSync(directory)) return;
  if (directory !== root) share(dirname(directory), root);
  fs.mkdirSync(directory);
  fs.chmodSync(directory, 0o777);
}

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { open } from '../../protocols/webdav.ts';
import { createHttpClient, type HttpClientOptions } from '../../src/http/client.ts';
import { parseUrl } from '../../src/location.ts';
import type { Endpoint, Secrets, WriteCall } from '../../src/protocol.ts';

/** One request to a scripted WebDAV server. */
export interface DavVisit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly path: string;
  /** The body, once all of it came. */
  body(): Promise<Buffer>;
  answer(status: number, body?: string, headers?: Readonly<Record<string, string>>): void;
}

export interface ScriptedDav {
  readonly endpoint: Endpoint;
  readonly origin: string;
  /** `METHOD /path` of each request so far. */
  readonly asked: string[];
}

const cleanups: (() => Promise<void>)[] = [];

/** Ends every server and client that the test started. */
export async function closeDav(): Promise<void> {
  for (const close of cleanups.splice(0).reverse()) await close();
}

/** A server that does with each request what `script` says, and an endpoint that speaks with it. */
export async function scriptedDav(
  script: (visit: DavVisit) => void | Promise<void>,
  options: { readonly secrets?: Secrets; readonly http?: Partial<HttpClientOptions> } = {},
): Promise<ScriptedDav> {
  const asked: string[] = [];
  const visit = (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '' } = request;
    asked.push(`${method} ${url}`);
    const answer: DavVisit['answer'] = (status, body = '', headers = {}) => {
      response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
      response.end(method === 'HEAD' ? undefined : body);
    };
    const read = async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks);
    };
    // A script whose client leaves ends early.
    void Promise.resolve(script({ request, response, method, path: url, body: read, answer })).catch(
      () => {},
    );
  };
  const server = createServer(visit);
  // Without a listener of our own node itself says 100 Continue.
  server.on('checkContinue', visit);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const http = createHttpClient({
    version: 'test',
    connectionsPerOrigin: 4,
    proxyEnv: {},
    warn: () => undefined,
    ...options.http,
  });
  cleanups.push(async () => {
    await http.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { location } = parseUrl(`dav://${authority}/`);
  const secrets = async () => options.secrets ?? {};
  return { endpoint: open(location, { http, secrets }), origin: `http://${authority}`, asked };
}

export const never: AbortSignal = new AbortController().signal;
export const KEY = 'c0ffee00c0ffee00c0ffee00c0ffee00';
export const WRITE: Pick<WriteCall, 'signal' | 'key' | 'retry'> = {
  signal: never,
  key: KEY,
  // As often as the engine does, without its waits.
  retry: async (unit) => {
    for (let left = 3; ; left--) {
      try {
        return await unit(never);
      } catch (error) {
        if (left === 1 || !(error as { transient?: boolean }).transient) throw error;
      }
    }
  },
};

/** A multistatus of files (with a size) and directories. */
export function multistatus(...entries: readonly (readonly [href: string, size?: number])[]): string {
  const responses = entries.map(([href, size]) => {
    const type = size === undefined ? '<D:collection/>' : '';
    const length = size === undefined ? '' : `<D:getcontentlength>${size}</D:getcontentlength>`;
    return `<D:response><D:href>${href}</D:href><D:propstat><D:prop><D:resourcetype>${type}</D:resourcetype>${length}<D:getetag>"t"</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`;
  });
  return `<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">${responses.join('')}</D:multistatus>`;
}

export const XML = { 'content-type': 'application/xml; charset="utf-8"' };

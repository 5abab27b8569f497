import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { createHttpClient, type HttpClientOptions } from '../../src/http/client.ts';
import type { HttpClient, HttpResponse } from '../../src/protocol.ts';

/** One connection to a scripted server. */
export interface Visit {
  readonly socket: Socket;
  /** The next request's head; rejects when the client closed instead. */
  request(): Promise<string>;
  /** The next `count` bytes behind the head. */
  body(count: number): Promise<Buffer>;
  send(...parts: (string | Uint8Array)[]): void;
  /** Resolves when the client closed the connection. */
  readonly closed: Promise<void>;
}

export interface Scripted {
  readonly url: string;
  readonly port: number;
  /** Connections so far. */
  readonly visits: Visit[];
  close(): Promise<void>;
}

const open: (() => Promise<void>)[] = [];

/** Closes every server and client that the test started. */
export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((close) => close()));
}

export function certificate(name: string): string {
  return readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'latin1');
}

/** A server on 127.0.0.1 that does per connection what `script` says; `index` counts connections from 0. */
export async function serve(
  script: (visit: Visit, index: number) => Promise<void>,
  options: { readonly certificate?: 'server' | 'other' } = {},
): Promise<Scripted> {
  const visits: Visit[] = [];
  const sockets = new Set<Socket>();
  const accept = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    const visit = makeVisit(socket);
    visits.push(visit);
    // A script ends early when its client leaves: that is what many of the tests are about.
    script(visit, visits.length - 1).catch(() => {});
  };
  const { certificate: name } = options;
  const server: Server = name
    ? createTlsServer({ cert: certificate(`${name}.pem`), key: certificate(`${name}.key`) }, accept)
    : createServer(accept);
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  open.push(close);
  return { url: `${name ? 'https' : 'http'}://127.0.0.1:${port}`, port, visits, close };
}

function makeVisit(socket: Socket): Visit {
  let buffer = Buffer.alloc(0);
  let isClosed = false;
  let look = () => {};
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => {
      isClosed = true;
      look();
      resolve();
    });
  });
  socket.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    look();
  });
  function take(find: () => number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      look = () => {
        const length = find();
        if (length >= 0 && buffer.length >= length) {
          const taken = buffer.subarray(0, length);
          buffer = buffer.subarray(length);
          look = () => {};
          resolve(taken);
        } else if (isClosed) reject(new Error('the client left'));
      };
      look();
    });
  }
  return {
    socket,
    request: async () => {
      const head = await take(() => {
        const end = buffer.indexOf('\r\n\r\n');
        return end < 0 ? -1 : end + 4;
      });
      return head.toString('latin1');
    },
    body: (count) => take(() => count),
    send: (...parts) => {
      socket.cork();
      for (const part of parts) socket.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part);
      socket.uncork();
    },
    closed,
  };
}

/** A client that is closed with the test. */
export function makeClient(options: Partial<HttpClientOptions> = {}): HttpClient {
  const client = createHttpClient({
    version: 'test',
    connectionsPerOrigin: 8,
    proxyEnv: {},
    warn: () => {},
    ...options,
  });
  open.push(() => client.close());
  return client;
}

export const never: AbortSignal = new AbortController().signal;

export async function readAll(response: HttpResponse): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function* chunksOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

/** The body of a GET. */
export async function get(url: string, client = makeClient()): Promise<Buffer> {
  return readAll(await client.send({ method: 'GET', url, signal: never }));
}

/** What a server that answers once with `parts` and then hangs up makes of a download. */
export async function getFrom(...parts: (string | Uint8Array)[]): Promise<Buffer> {
  const server = await serve(async (visit) => {
    await visit.request();
    visit.send(...parts);
    visit.socket.end();
  });
  return get(`${server.url}/f`);
}

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { conformance, type Subject } from './conformance.ts';
import { httpSubject } from './http-subject.ts';
import { localSubject } from './local-subject.ts';

conformance('file', () => localSubject(tmpdir()));

conformance('http, a correct server in this process', async () => {
  const files = new Map<string, Buffer>();
  const server = createServer((request, response) => void answer(files, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const storage: Pick<Subject, 'look' | 'put' | 'close'> = {
    look: async (name) => files.get(`/${name}`),
    put: async (name, content) => void files.set(`/${name}`, Buffer.from(content)),
    close: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return httpSubject(`http://127.0.0.1:${port}/`, storage);
});

/** What RFC 9110 asks of GET, HEAD, PUT and DELETE, over a map. */
async function answer(
  files: Map<string, Buffer>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const name = (request.url ?? '').split('/').map(decodeURIComponent).join('/');
  if (request.method === 'PUT') {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    const status = files.has(name) ? 204 : 201;
    files.set(name, Buffer.concat(chunks));
    response.writeHead(status).end();
    return;
  }
  const content = files.get(name);
  if (!content) return void response.writeHead(404).end();
  if (request.method === 'DELETE') {
    files.delete(name);
    return void response.writeHead(204).end();
  }
  const etag = `"${createHash('sha1').update(content).digest('hex')}"`;
  const wanted = request.headers['if-range'];
  const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = Number(asked?.[1] ?? 0);
  const end = asked?.[2] ? Math.min(content.length, Number(asked[2]) + 1) : content.length;
  response.setHeader('etag', etag);
  if (!asked || (wanted !== undefined && wanted !== etag)) {
    response.writeHead(200, { 'content-length': content.length });
    return void response.end(request.method === 'HEAD' ? undefined : content);
  }
  if (start >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` });
    return void response.end();
  }
  response.writeHead(206, {
    'content-range': `bytes ${start}-${end - 1}/${content.length}`,
    'content-length': end - start,
  });
  response.end(content.subarray(start, end));
}

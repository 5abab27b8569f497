import { open } from '../protocols/s3.ts';
import { createHttpClient, type HttpClientOptions } from '../src/http/client.ts';
import { parseUrl } from '../src/location.ts';
import type { Endpoint, HttpClient, S3Access } from '../src/protocol.ts';
import { createBucket } from '../src/s3/bucket.ts';
import { createS3Client } from '../src/s3/client.ts';
import { readText } from '../src/s3/failures.ts';
import type { Subject } from './conformance.ts';

const never = new AbortController().signal;

/** An HTTP client of the tests. */
export function testHttp(options: Partial<HttpClientOptions> = {}): HttpClient {
  return createHttpClient({
    version: 'test',
    connectionsPerOrigin: 4,
    proxyEnv: {},
    warn: () => undefined,
    ...options,
  });
}

/** The endpoint behind `url` as `access` says. */
export function openS3(url: string, access: Partial<S3Access>, http: HttpClient): Promise<Endpoint> {
  const s3: S3Access = { isSite: true, source: 'the test', ...access };
  return open(parseUrl(url, { env: {} }).location, { http, secrets: async () => ({ s3 }) });
}

/** A bucket of its own at the service, looked at by plain requests. */
export async function s3Subject(
  service: {
    readonly access: Partial<S3Access>;
    readonly bucket: string;
    readonly stop: () => Promise<void>;
  },
  options: Partial<HttpClientOptions> & { readonly scheme?: 's3' | 's3s' } = {},
): Promise<Subject> {
  const { scheme = 's3', ...more } = options;
  const http = testHttp(more);
  const { access, bucket } = service;
  const s3: S3Access = { isSite: true, source: 'the test', ...access };
  const client = createS3Client({ http, secrets: async () => ({ s3 }) }, scheme === 's3s');
  await createBucket(client, bucket, never);
  const key = (name: string) => `conformance/${name}`;
  return {
    endpoint: await openS3(`${scheme}://test@site/`, access, http),
    path: (name) => `/${bucket}/${key(name)}`,
    async look(name) {
      const request = { method: 'GET', bucket, key: key(name), signal: never, doing: 'look' } as const;
      const response = await client.send({ ...request, accepts: [404] });
      const chunks: Uint8Array[] = [];
      for await (const chunk of response.body) chunks.push(chunk);
      return response.status === 404 ? undefined : Buffer.concat(chunks);
    },
    async put(name, content) {
      const request = { method: 'PUT', bucket, key: key(name), signal: never, doing: 'put' } as const;
      await readText(await client.send({ ...request, body: content }), 1024);
    },
    async close() {
      await http.close();
      await service.stop();
    },
  };
}

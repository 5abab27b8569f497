import { type RunningCephRgw, S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import { createBucket } from '../../src/s3/bucket.ts';
import { createS3Client, type S3Client } from '../../src/s3/client.ts';
import { readText } from '../../src/s3/failures.ts';
import { listPages } from '../../src/s3/list.ts';
import { listParts } from '../../src/s3/multipart.ts';
import { childrenOf, textOf } from '../../src/s3/xml.ts';
import { testHttp } from '../s3-subject.ts';
import type { StoragePlace } from './place.ts';

const never = new AbortController().signal;
/** Bytes of a part, but for the last. */
const PART = 8 * 1024 * 1024;

/** A new bucket of a gateway. */
export async function inS3(ceph: RunningCephRgw, bucket: string): Promise<StoragePlace> {
  const http = testHttp();
  const s3 = { isSite: true, source: 'the test', ...S3_USER, endpoint: ceph.http };
  const client = createS3Client({ http, secrets: async () => ({ s3 }) }, false);
  await createBucket(client, bucket, never);
  const about = (key: string) => ({ bucket, key, signal: never, doing: `look after ${key}` });
  const bytesOf = async ({ name, id }: { readonly name: string; readonly id: string }) => {
    const parts = await listParts({ client, object: { bucket, key: name, name }, id }, never);
    return (parts ?? []).reduce((sum, { size }) => sum + size, 0);
  };

  return {
    url: (name) => `s3://${bucket}/${name}`,
    put: (name, content) => putParts(client, about(name), content),
    async look(name) {
      const response = await client.send({ method: 'GET', ...about(name), accepts: [404] });
      if (response.status !== 404) return response.body;
      await response.discard();
      return undefined;
    },
    async remove(name) {
      const response = await client.send({ method: 'DELETE', ...about(name), accepts: [404] });
      await response.discard();
    },
    async names() {
      const names: string[] = [];
      const call = { bucket, prefix: '', signal: never, doing: 'list' };
      for await (const page of listPages(client, call)) names.push(...page.map(({ key }) => key));
      return names;
    },
    async uploads() {
      const about = { bucket, signal: never, doing: 'list uploads' };
      const answer = await client.sendForXml({ method: 'GET', ...about, query: { uploads: '' } });
      const listed = childrenOf(answer, 'Upload').map((upload) => ({
        name: textOf(upload, 'Key') ?? '',
        id: textOf(upload, 'UploadId') ?? '',
      }));
      return Promise.all(listed.map(async (one) => ({ ...one, bytes: await bytesOf(one), isListed: true })));
    },
    async drop({ name, id }) {
      const response = await client.send({
        method: 'DELETE',
        ...about(name),
        query: { uploadId: id },
        accepts: [404],
      });
      await response.discard();
    },
    env: {
      AWS_ACCESS_KEY_ID: S3_USER.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_USER.secretAccessKey,
      AWS_ENDPOINT_URL_S3: ceph.http,
      AWS_REGION: 'default',
    },
    stop: () => http.close(),
  };
}

interface About {
  readonly bucket: string;
  readonly key: string;
  readonly signal: AbortSignal;
  readonly doing: string;
}

/** By plain requests, one part in memory at a time. */
async function putParts(client: S3Client, about: About, content: Iterable<Uint8Array>): Promise<void> {
  const begun = await client.sendForXml({ method: 'POST', ...about, query: { uploads: '' } });
  const uploadId = textOf(begun, 'UploadId') ?? '';
  const tags: string[] = [];
  for (const body of partsOf(content)) {
    const query = { partNumber: String(tags.length + 1), uploadId };
    const response = await client.send({ method: 'PUT', ...about, query, body });
    tags.push(response.headers.etag ?? '');
    await response.discard();
  }
  const parts = tags.map(
    (tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag}</ETag></Part>`,
  );
  const body = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`);
  await readText(await client.send({ method: 'POST', ...about, query: { uploadId }, body }), 64 * 1024);
}

function* partsOf(content: Iterable<Uint8Array>): Generator<Buffer> {
  let held: Uint8Array[] = [];
  let size = 0;
  for (const chunk of content) {
    held.push(chunk);
    size += chunk.length;
    if (size < PART) continue;
    yield Buffer.concat(held);
    held = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(held);
}

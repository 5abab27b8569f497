import { randomBytes } from 'node:crypto';
import type { Algorithm } from '../protocol.ts';
import type { Api } from './api.ts';
import { type ObjectResource, objectOf } from './resource.ts';

export interface SmallObject {
  readonly name: string;
  readonly metadata: object;
  readonly content: Uint8Array;
  readonly digests: ReadonlyMap<Algorithm, string>;
}

/** Stores an object in one request, whose digests the service compares before it shows anything (JSON API, multipart upload). */
export async function putSmall(api: Api, object: SmallObject, signal: AbortSignal): Promise<ObjectResource> {
  const doing = `write \`gs://${api.bucket}/${object.name}\``;
  const boundary = `bridle-${randomBytes(12).toString('hex')}`;
  const about = JSON.stringify({ ...object.metadata, ...claims(object.digests) });
  const head =
    `--${boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${about}\r\n` +
    `--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`;
  const answer = await api.json({
    method: 'POST',
    path: `/upload/storage/v1/b/${encodeURIComponent(api.bucket)}/o`,
    query: { uploadType: 'multipart' },
    body: {
      type: `multipart/related; boundary=${boundary}`,
      parts: [Buffer.from(head), object.content, Buffer.from(`\r\n--${boundary}--\r\n`)],
    },
    signal,
    doing,
  });
  return objectOf(answer, doing);
}

function claims(digests: SmallObject['digests']): object {
  const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64');
  const [crc32c, md5] = [digests.get('crc32c'), digests.get('md5')];
  return { ...(crc32c ? { crc32c: base64(crc32c) } : {}), ...(md5 ? { md5Hash: base64(md5) } : {}) };
}

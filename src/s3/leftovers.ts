import { TransferError } from '../errors.ts';
import { dateOf } from '../http/validators.ts';
import type { Leftover, LeftoversCall } from '../protocol.ts';
import type { S3Client, S3Request } from './client.ts';
import { readText } from './failures.ts';
import { parseHandle } from './handle.ts';
import { abortUpload, isGone } from './multipart.ts';
import type { S3Object } from './place.ts';
import { childrenOf, parseXml, textOf, type Xml } from './xml.ts';

/** Answers are longer than any list of 1,000 names can be. */
const MAX_XML = 16 * 1024 * 1024;

/** An upload that was begun and neither completed nor dropped. */
interface Pending {
  readonly key: string;
  readonly id: string;
  readonly began: Date | undefined;
}

/**
 * Every upload that was begun of the name and of what is below it, whoever began it (ListMultipartUploads, 1,000 at a
 * time). How much is there, and since when nothing came, its parts tell; the age is by the service's clock.
 */
export async function* findLeftovers(
  client: S3Client,
  object: S3Object,
  call: Pick<LeftoversCall, 'signal'> & { pathOf(key: string): string },
  pageSize?: number,
): AsyncGenerator<Leftover> {
  for await (const { page, now } of pagesOf(client, object, call.signal, pageSize)) {
    for (const { key, id, began } of page) {
      const upload = { client, object: { ...object, key, name: call.pathOf(key) }, id };
      const parts = await sumOfParts(client, upload, call.signal);
      if (!parts) continue;
      const touched = Math.max(began?.getTime() ?? 0, parts.last);
      yield {
        kind: 'upload',
        path: call.pathOf(key),
        size: parts.size,
        age: touched === 0 ? undefined : Math.max(0, now - touched),
        isNamedBy: (handle) => parseHandle(handle)?.uploadId === id,
        remove: ({ signal }) => abortUpload(upload, signal),
      };
    }
  }
}

/** Names are asked for as they are: old gateways encode them when asked to, and do not say so. */
async function* pagesOf(
  client: S3Client,
  object: S3Object,
  signal: AbortSignal,
  pageSize: number | undefined,
) {
  const doing = `look for unfinished uploads below \`${object.name}\``;
  const root = object.key.replace(/\/+$/, '');
  let marker: Readonly<Record<string, string>> | undefined;
  for (;;) {
    const { answer, now } = await ask(client, {
      method: 'GET',
      bucket: object.bucket,
      query: {
        uploads: '',
        ...(pageSize === undefined ? {} : { 'max-uploads': String(pageSize) }),
        ...(root === '' ? {} : { prefix: root }),
        ...marker,
      },
      signal,
      doing,
    });
    const page = childrenOf(answer, 'Upload').map(
      (element): Pending => ({
        key: textOf(element, 'Key') ?? '',
        id: textOf(element, 'UploadId') ?? '',
        began: dateOf(textOf(element, 'Initiated')),
      }),
    );
    yield { now, page: page.filter(({ key }) => root === '' || key === root || key.startsWith(`${root}/`)) };
    if (textOf(answer, 'IsTruncated') !== 'true') return;
    const next = {
      'key-marker': textOf(answer, 'NextKeyMarker') ?? '',
      'upload-id-marker': textOf(answer, 'NextUploadIdMarker') ?? '',
    };
    const isSame =
      marker &&
      next['key-marker'] === marker['key-marker'] &&
      next['upload-id-marker'] === marker['upload-id-marker'];
    if (next['key-marker'] === '' || isSame) {
      throw new TransferError('unexpected', `${doing}: the list goes on, but the service does not say where`);
    }
    marker = next;
  }
}

/** Bytes of the parts and milliseconds since the epoch of the last one; undefined when the upload ended meanwhile. */
async function sumOfParts(
  client: S3Client,
  { object, id }: { readonly object: S3Object; readonly id: string },
  signal: AbortSignal,
): Promise<{ readonly size: number; readonly last: number } | undefined> {
  let [size, last, marker] = [0, 0, ''];
  try {
    for (;;) {
      const { answer } = await ask(client, {
        method: 'GET',
        bucket: object.bucket,
        key: object.key,
        query: { uploadId: id, ...(marker === '' ? {} : { 'part-number-marker': marker }) },
        signal,
        doing: `look at the unfinished \`${object.name}\``,
      });
      for (const part of childrenOf(answer, 'Part')) {
        size += Number(textOf(part, 'Size'));
        last = Math.max(last, dateOf(textOf(part, 'LastModified'))?.getTime() ?? 0);
      }
      const next = textOf(answer, 'NextPartNumberMarker');
      if (textOf(answer, 'IsTruncated') !== 'true' || next === undefined || next === marker)
        return { size, last };
      marker = next;
    }
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

async function ask(
  client: S3Client,
  request: S3Request,
): Promise<{ readonly answer: Xml; readonly now: number }> {
  const response = await client.send(request);
  const now = dateOf(response.headers.date)?.getTime() ?? Date.now();
  return { answer: parseXml(await readText(response, MAX_XML), request.doing).root, now };
}

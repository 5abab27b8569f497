import { TransferError } from '../errors.ts';
import { declaredDigests } from '../http/digest-fields.ts';
import { contentRange, dateOf, lengthOf } from '../http/validators.ts';
import type { HttpResponse, ReadCall, Source } from '../protocol.ts';
import { type Api, nameOf, objectPath } from './api.ts';
import { refused } from './refused.ts';
import { versionOf } from './resource.ts';

/**
 * The stored bytes, of one generation when one is asked for. What is stored gzipped comes as it is stored: decompressed
 * on the way it would have another length and another digest, and no ranges (Transcoding of gzip-compressed files).
 */
export async function readObject(api: Api, path: string, call: ReadCall): Promise<Source> {
  const name = nameOf(path);
  const doing = `read \`gs://${api.bucket}/${name}\``;
  const response = await api.send({
    method: 'GET',
    path: objectPath(api.bucket, name),
    query: { alt: 'media', ifGenerationMatch: generationOf(call.version, doing) },
    headers: rangeField(call),
    takesGzip: true,
    fresh: call.fresh,
    signal: call.signal,
    doing,
  });
  try {
    return await sourceOf(response, call, doing);
  } catch (error) {
    await response.discard();
    throw error;
  }
}

function generationOf(version: string | undefined, doing: string): string | undefined {
  if (version === undefined) return undefined;
  const generation = /^generation (\d+)$/.exec(version)?.[1];
  if (generation !== undefined) return generation;
  throw new TransferError('changed', `${doing}: it is no longer the version that was asked for`);
}

function rangeField({ range }: ReadCall): Record<string, string> {
  if (!range || (range.start === 0 && range.end === undefined)) return {};
  return { range: `bytes=${range.start}-${range.end === undefined ? '' : range.end - 1}` };
}

async function sourceOf(response: HttpResponse, call: ReadCall, doing: string): Promise<Source> {
  const { status, headers } = response;
  const isPart = call.range !== undefined && (call.range.start > 0 || call.range.end !== undefined);
  if (status === 416) throw new TransferError('changed', `${doing}: it has fewer bytes than were asked for`);
  if (status !== 200 && status !== 206) throw await refused(response, doing);
  const isDecoded = headers['x-goog-stored-content-encoding'] !== (headers['content-encoding'] ?? 'identity');
  if (headers['x-goog-stored-content-encoding'] !== undefined && isDecoded) {
    throw new TransferError('unavailable', `${doing}: it was decompressed on the way`, {
      hint: 'a proxy that takes `gzip` out of Accept-Encoding is in the way',
    });
  }
  if (isPart && status !== 206) {
    throw new TransferError('range-ignored', `${doing}: the service sends the whole instead of a range`);
  }
  const generation = headers['x-goog-generation'];
  const encoding = headers['content-encoding'];
  const digests = declaredDigests(headers).whole;
  return {
    type: 'file',
    size: isPart ? partSize(response, call, doing) : wholeSize(headers),
    version: generation === undefined ? call.version : versionOf(generation),
    modified: dateOf(headers['last-modified']),
    digests,
    // Both are compared: of what is stored the strongest, and the one that the service made for transfers.
    wire: digests.filter(({ algorithm }) => algorithm === 'crc32c'),
    bytes: response.body,
    note:
      encoding === undefined ? undefined : `stored ${encoding.slice(0, 20)}-encoded, and copied as stored`,
    discard: () => response.discard(),
  };
}

function wholeSize(headers: HttpResponse['headers']): number | undefined {
  return lengthOf(headers['x-goog-stored-content-length']) ?? lengthOf(headers['content-length']);
}

function partSize({ headers }: HttpResponse, call: ReadCall, doing: string): number | undefined {
  const range = contentRange(headers['content-range']);
  const length = lengthOf(headers['content-length']);
  const start = call.range?.start ?? 0;
  if (range?.start === start && (length === undefined || length === range.end - range.start))
    return range.total;
  const given = (headers['content-range'] ?? 'none').slice(0, 80);
  throw new TransferError(
    'range-ignored',
    `${doing}: expected the range from byte ${start}, got \`${given}\``,
  );
}

import { TransferError } from '../errors.ts';
import { contentRange, dateOf, lengthOf } from '../http/validators.ts';
import type { HttpResponse, ReadCall, Source } from '../protocol.ts';
import { bareTag, conditionOf, storedDigests, versionOf, WITH_CHECKSUMS } from './checksums.ts';
import type { S3Client } from './client.ts';
import { isWorthPieces, readPieces } from './pieces.ts';
import type { S3Object } from './place.ts';

/** The object's bytes, in several ranges at a time where it is large. Every answer is of one version. */
export async function readObject(client: S3Client, object: S3Object, call: ReadCall): Promise<Source> {
  const doing = `read \`${object.name}\``;
  const start = call.range?.start ?? 0;
  const end = call.range?.end;
  const isPart = start > 0 || end !== undefined;
  const response = await client.send({
    method: 'GET',
    bucket: object.bucket,
    key: object.key,
    headers: {
      ...(isPart ? { range: `bytes=${start}-${end === undefined ? '' : end - 1}` } : WITH_CHECKSUMS),
      ...conditionOf(call.version),
    },
    accepts: [412, 416],
    fresh: call.fresh,
    signal: call.signal,
    doing,
  });
  try {
    const source = sourceOf(response, { doing, start, isPart, call });
    const last = Math.min(end ?? Number.POSITIVE_INFINITY, source.size ?? 0);
    if (source.version === undefined || !isWorthPieces(last - start)) return source;
    return {
      ...source,
      bytes: readPieces(client, object, { ...call, source, start, end: last, first: response }),
    };
  } catch (error) {
    await response.discard();
    throw error;
  }
}

interface Wanted {
  readonly doing: string;
  readonly start: number;
  readonly isPart: boolean;
  readonly call: ReadCall;
}

function sourceOf(response: HttpResponse, wanted: Wanted): Source {
  const { status, headers } = response;
  const { doing, isPart, start, call } = wanted;
  const version = versionOf(bareTag(headers.etag));
  if (status === 412 || status === 416 || (call.version !== undefined && version !== call.version)) {
    throw new TransferError('changed', `${doing}: it is no longer the version that was asked for`);
  }
  const range = isPart ? contentRange(headers['content-range']) : undefined;
  const length = lengthOf(headers['content-length']);
  if (isPart && (status !== 206 || !range || range.start !== start || (length ?? 0) > range.end - start)) {
    throw new TransferError('range-ignored', `${doing}: the service sends something else than the range`);
  }
  return {
    type: 'file',
    size: isPart ? range?.total : length,
    version,
    modified: dateOf(headers['last-modified']),
    digests: storedDigests(headers),
    bytes: response.body,
    discard: () => response.discard(),
  };
}

import { TransferError } from '../errors.ts';
import type { Digest, HttpResponse, ReadCall, Source } from '../protocol.ts';
import { declaredDigests } from './digest-fields.ts';
import { statusError } from './status.ts';
import { contentRange, dateOf, lengthOf, versionOf } from './validators.ts';

/**
 * The source that the answer to a GET is. Rejects, and lets the answer go, with `changed` for another version than
 * asked for and `range-ignored` for anything but the range asked for.
 */
export async function sourceFrom(url: string, response: HttpResponse, call: ReadCall): Promise<Source> {
  try {
    const isPart = (call.range?.start ?? 0) > 0 || call.range?.end !== undefined;
    return isPart ? partSource(url, response, call) : wholeSource(url, response, call);
  } catch (error) {
    await response.discard();
    throw error;
  }
}

function wholeSource(url: string, response: HttpResponse, call: ReadCall): Source {
  const { status, headers } = response;
  if (status !== 200 && status !== 203 && status !== 204) throw statusError(response, `read \`${url}\``);
  const version = versionOf(headers);
  if (call.version !== undefined && version !== call.version) throw changed(url);
  return sourceOf(url, response, lengthOf(headers['content-length']), version);
}

function partSource(url: string, response: HttpResponse, call: ReadCall): Source {
  const version = versionOf(response.headers);
  const isOther = call.version !== undefined && version !== undefined && version !== call.version;
  if (response.status === 412 || response.status === 416 || isOther) throw changed(url);
  if (response.status === 200) {
    throw new TransferError(
      'range-ignored',
      `read \`${url}\`: the server sends the whole instead of a range`,
    );
  }
  if (response.status !== 206) throw statusError(response, `read \`${url}\``);
  const range = contentRange(response.headers['content-range']);
  const start = call.range?.start ?? 0;
  const length = lengthOf(response.headers['content-length']);
  if (!range || range.start !== start || (length !== undefined && length !== range.end - range.start)) {
    const given = response.headers['content-range'] ?? 'none';
    throw new TransferError(
      'range-ignored',
      `read \`${url}\`: expected the range from byte ${start}, got \`${given.slice(0, 80)}\``,
    );
  }
  // A 206 need not repeat the validator; the server was asked to send a part only of this version.
  return sourceOf(url, response, range.total, version ?? call.version);
}

function changed(url: string): TransferError {
  return new TransferError('changed', `read \`${url}\`: it is no longer the version that was asked for`);
}

function sourceOf(
  url: string,
  response: HttpResponse,
  size: number | undefined,
  version: string | undefined,
): Source {
  const { headers, status } = response;
  const encoding = headers['content-encoding'];
  const isEncoded = encoding !== undefined && encoding !== 'identity';
  return {
    type: 'file',
    size,
    version,
    // Asked for rarely, and parsing a date costs as much as all the rest of a small answer.
    get modified() {
      return dateOf(headers['last-modified']);
    },
    bytes: response.body,
    wire: digestsOfWhole(headers, status),
    note: isEncoded ? `the server sent it ${encoding.slice(0, 20)}-encoded; stored as received` : undefined,
    // Only a chunked body can have something behind it.
    ...(headers['transfer-encoding'] === undefined ? {} : { trailer: () => trailerDigests(url, response) }),
    discard: () => response.discard(),
  };
}

/** The body of a partial answer has digests of its own, which say nothing of the file. */
function digestsOfWhole(fields: HttpResponse['headers'], status: number): readonly Digest[] | undefined {
  const { whole, content } = declaredDigests(fields);
  const known = status === 206 ? whole : [...whole, ...content];
  return known.length === 0 ? undefined : known;
}

/** XRootD and Pelican caches tell in a trailer that a body they ended properly is not whole: `X-Transfer-Status: 500: text`. */
async function trailerDigests(url: string, response: HttpResponse): Promise<readonly Digest[]> {
  const trailers = await response.trailers();
  const status = trailers['x-transfer-status'];
  if (status !== undefined && !/^\s*200\b/.test(status)) {
    const shown = status.replace(/[^\x20-\x7e]/g, '?').slice(0, 120);
    throw new TransferError('unavailable', `read \`${url}\`: the server says after the body: \`${shown}\``);
  }
  return digestsOfWhole(trailers, response.status) ?? [];
}

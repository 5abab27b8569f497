import { TransferError } from '../src/errors.ts';
import { declaredDigests, WANT_DIGEST } from '../src/http/digest-fields.ts';
import { type Held, holdTail } from '../src/http/held-tail.ts';
import { statusError } from '../src/http/status.ts';
import { contentRange, dateOf, lengthOf, rangeHeaders, versionOf } from '../src/http/validators.ts';
import type { Location } from '../src/location.ts';
import type {
  Context,
  Digest,
  Endpoint,
  HttpResponse,
  ReadCall,
  Source,
  Staged,
  Stat,
  Stored,
} from '../src/protocol.ts';

/** Refusals of a HEAD that say nothing about an upload that succeeded. */
const NO_ANSWER: ReadonlySet<string> = new Set([
  'unsupported',
  'unexpected',
  'permission-denied',
  'unauthenticated',
]);

/** Files of an HTTP server: GET by range and validator, PUT whose last bytes are held back until commit, HEAD, DELETE. */
export function open(location: Location, context: Context): Endpoint {
  const origin = `${location.scheme}://${location.authority}`;
  const { http } = context;
  const secrets = (again?: boolean) => context.secrets(again);

  const endpoint: Endpoint = {
    service: origin,

    async stat(path, { signal }) {
      const url = origin + path;
      const response = await http.send({ method: 'HEAD', url, secrets, signal });
      await response.discard();
      if (response.status !== 200 && response.status !== 204) throw statusError(response, `stat \`${url}\``);
      return statOf(response);
    },

    async read(path, call) {
      const url = origin + path;
      const response = await http.send({
        method: 'GET',
        url,
        headers: rangeHeaders(call),
        secrets,
        signal: call.signal,
        fresh: call.fresh,
      });
      try {
        const start = call.range?.start ?? 0;
        return start > 0 || call.range?.end !== undefined
          ? partSource(url, response, call)
          : wholeSource(url, response, call);
      } catch (error) {
        await response.discard();
        throw error;
      }
    },

    async write(path, bytes, call) {
      const url = origin + path;
      const held = holdTail(bytes);
      const answer = http.send({
        method: 'PUT',
        url,
        body: held.body,
        size: call.size,
        secrets,
        signal: call.signal,
      });
      const early = await Promise.race([held.ready, answer]);
      if (early) throw await refused(early, url);
      return stagedPut({ url, path, answer, held, endpoint });
    },

    async remove(path, { signal }) {
      const url = origin + path;
      const response = await http.send({ method: 'DELETE', url, secrets, signal });
      await response.discard();
      if (response.status === 404 || response.status === 410) return;
      if (response.status < 200 || response.status > 299) throw statusError(response, `remove \`${url}\``);
    },

    async digest(path, algorithms, { signal }) {
      const url = origin + path;
      const response = await http.send({ method: 'HEAD', url, headers: WANT_DIGEST, secrets, signal });
      await response.discard();
      if (response.status !== 200) throw statusError(response, `ask for the digest of \`${url}\``);
      return declaredDigests(response.headers).whole.filter(({ algorithm }) =>
        algorithms.includes(algorithm),
      );
    },
  };
  return endpoint;
}

function statOf(response: HttpResponse): Stat {
  const { headers } = response;
  return {
    type: 'file',
    size: lengthOf(headers['content-length']),
    modified: dateOf(headers['last-modified']),
    version: versionOf(headers),
  };
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

async function refused(response: HttpResponse, url: string): Promise<TransferError> {
  await response.discard();
  if (response.status >= 200 && response.status < 300) {
    return new TransferError(
      'unexpected',
      `write \`${url}\`: the server said done before it had the whole body`,
    );
  }
  return statusError(response, `write \`${url}\``);
}

function stagedPut(put: {
  readonly url: string;
  readonly path: string;
  readonly answer: Promise<HttpResponse>;
  readonly held: Held;
  readonly endpoint: Endpoint;
}): Staged {
  return {
    async commit(signal): Promise<Stored> {
      put.held.release();
      const response = await put.answer;
      await response.discard();
      if (response.status < 200 || response.status > 299) throw statusError(response, `write \`${put.url}\``);
      const digests = declaredDigests(response.headers).whole;
      const size = await storedSize(put.endpoint, put.path, signal);
      return { digests, size };
    },
    async abort() {
      put.held.drop();
      await put.answer.then((response) => response.discard()).catch(() => undefined);
    },
  };
}

/** What the server now has under the name. One that does not answer HEAD, or not to us (an upload URL that is good for PUT alone), leaves the size unproven, not the upload failed. */
async function storedSize(
  endpoint: Endpoint,
  path: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    return (await endpoint.stat(path, { signal })).size;
  } catch (error) {
    if (error instanceof TransferError && NO_ANSWER.has(error.code)) return undefined;
    throw error;
  }
}

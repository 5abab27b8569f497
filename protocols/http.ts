import { TransferError } from '../src/errors.ts';
import { declaredDigests, WANT_DIGEST } from '../src/http/digest-fields.ts';
import { type Held, holdTail } from '../src/http/held-tail.ts';
import { sourceFrom } from '../src/http/source.ts';
import { statusError } from '../src/http/status.ts';
import { dateOf, lengthOf, rangeHeaders, versionOf } from '../src/http/validators.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint, HttpResponse, Staged, Stat, Stored } from '../src/protocol.ts';

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
      return sourceFrom(url, response, call);
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

import { TransferError } from '../../errors.ts';
import { statusError } from '../../http/status.ts';
import type { Digest, HttpClient, HttpResponse } from '../../protocol.ts';
import { isLoopback } from '../registry/hosts.ts';
import { isPage, jsonOf, opened, rangeFields } from './answer.ts';
import type { RemoteSif } from './found.ts';
import { formatShub, type ShubReference, SINGULARITY_HUB } from './reference.ts';

export interface ShubCall {
  readonly http: HttpClient;
  /** `http[s]://host[:port][/path]`, in front of `/api/container`. */
  readonly base: string;
  readonly signal: AbortSignal;
}

/**
 * The file that Singularity Hub, or a server with its API, has under a name (`GET /api/container/USER/NAME:TAG`): where
 * its bytes are, and their md5 as its version. No login is shown. Rejects with `not-found` and what to do where the hub
 * itself is asked, which was closed in 2021.
 */
export async function findInHub(reference: ShubReference, call: ShubCall): Promise<RemoteSif> {
  const { http, base, signal } = call;
  const name = formatShub(reference);
  const doing = `pull \`${name}\``;
  const isHub = base === SINGULARITY_HUB;
  const { path, tag, pin } = reference;
  const url = `${base}/api/container/${path}${tag === undefined ? '' : `:${tag}`}${pin === undefined ? '' : `@${pin}`}`;
  const get = async (request: Parameters<HttpClient['send']>[0]) => {
    try {
      return await http.send(request);
    } catch (error) {
      if (!isHub || request.signal.aborted || !(error instanceof TransferError)) throw error;
      throw gone(doing, error);
    }
  };
  const refuse = async (response: HttpResponse): Promise<TransferError> => {
    await response.discard();
    const { status } = response;
    if (isHub && (status === 404 || status === 410 || isPage(response))) return gone(doing);
    if (status < 400) {
      return new TransferError('unexpected', `${doing}: \`${base}\` answers with a page, not as a hub does`);
    }
    if (status !== 404) return statusError(response, doing);
    return new TransferError('not-found', `${doing}: \`${base}\` has no such container`);
  };
  const response = await get({ method: 'GET', url, signal });
  if (response.status !== 200 || isPage(response)) throw await refuse(response);
  const told = await jsonOf(response, doing);
  const image = imageUrl(told.image, base, doing);
  const version = typeof told.version === 'string' ? told.version.toLowerCase() : '';
  const commit = typeof told.commit === 'string' ? told.commit : '';
  if (pin !== undefined && pin !== version && pin !== commit) {
    throw new TransferError(
      'digest-mismatch',
      `${doing}: what is there has neither that md5 nor that commit`,
    );
  }
  const digest = digestOf(version);
  return {
    name,
    pinned: digest?.algorithm === 'md5' ? formatShub({ ...reference, pin: version }) : name,
    size: undefined,
    digest,
    version: digest && `shub ${digest.algorithm}:${digest.value}`,
    note: digest
      ? `image file ${digest.algorithm}:${digest.value}`
      : 'an image file of which no digest is told',
    facts: [
      ...(digest ? [{ label: 'content', text: `${digest.algorithm}:${digest.value}` }] : []),
      ...(commit === '' ? [] : [{ label: 'commit', text: commit }]),
      { label: 'from', text: base },
    ],
    async open(reading) {
      const headers = rangeFields(reading, digest?.value);
      const given = await get({
        method: 'GET',
        url: image,
        headers,
        signal: reading.signal,
        fresh: reading.fresh,
      });
      if (given.status === 404 || given.status === 410 || isPage(given)) throw await refuse(given);
      return opened(given, reading, { doing, size: undefined });
    },
  };
}

/** Registry servers with this API tell a sha256 in its place for what came through the library's. */
function digestOf(version: string): Digest | undefined {
  if (/^[0-9a-f]{32}$/.test(version)) return { algorithm: 'md5', value: version };
  const [, hex] = /^sha256\.([0-9a-f]{64})$/.exec(version) ?? [];
  return hex === undefined ? undefined : { algorithm: 'sha256', value: hex };
}

/** Where the service says that the bytes are; never by http when it was asked by https. */
function imageUrl(image: unknown, base: string, doing: string): string {
  const url = typeof image === 'string' && URL.canParse(image, base) ? new URL(image, base) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new TransferError('unexpected', `${doing}: the service does not say where the image is`);
  }
  if (url.protocol === 'http:' && base.startsWith('https:') && !isLoopback(url.host)) {
    throw new TransferError(
      'permission-denied',
      `${doing}: refused to be sent on by http to \`${url.host}\``,
    );
  }
  return url.href;
}

function gone(doing: string, cause?: TransferError): TransferError {
  const why = cause ? ` (${cause.message})` : '';
  return new TransferError(
    'not-found',
    `${doing}: Singularity Hub was closed in 2021 and gives no images any more${why}`,
    {
      ...(cause ? { cause } : {}),
      hint: 'look for the image as `docker://…`, `library://…` or `oras://…`, or build it again from its recipe and `bridle image push` it; a server with the same API is named by BRIDLE_SHUB_URL',
    },
  );
}

import { TransferError } from '../../errors.ts';
import { statusError } from '../../http/status.ts';
import type { Digest, HttpClient, HttpResponse, Secrets } from '../../protocol.ts';
import type { Platform } from '../image.ts';
import { hostPlatform } from '../platform.ts';
import { isPage, jsonOf, opened, rangeFields } from './answer.ts';
import type { RemoteSif, SifFact } from './found.ts';
import { formatLibrary, type LibraryReference } from './reference.ts';

export interface LibraryCall {
  readonly http: HttpClient;
  /** `http[s]://host[:port][/path]` of the API. */
  readonly base: string;
  /** Of that library alone; where a redirect leads elsewhere they are not shown. */
  readonly secrets: (again?: boolean) => Promise<Secrets>;
  readonly platform?: Platform | undefined;
  readonly signal: AbortSignal;
}

/** The library's answer about an image (`GET /v1/images/…`), as far as it matters here. */
interface Told {
  readonly digest: Digest | undefined;
  readonly size: number | undefined;
  readonly facts: readonly SifFact[];
}

/**
 * The SIF file that a library has under a name for a processor (the API of Sylabs' library, version 1): what it is by
 * `v1/images`, its bytes by `v1/imagefile`, which usually sends on to an object store. Its hash is the sha256 of the
 * whole. Rejects with `not-found`, naming the processor, and `unauthenticated` and `permission-denied` with how to log in.
 */
export async function findInLibrary(reference: LibraryReference, call: LibraryCall): Promise<RemoteSif> {
  const { http, base, secrets, signal } = call;
  const name = formatLibrary(reference);
  const doing = `pull \`${name}\``;
  const { architecture } = call.platform ?? hostPlatform();
  const url = (kind: 'images' | 'imagefile') =>
    `${base}/v1/${kind}/${reference.path}:${reference.tag}?arch=${encodeURIComponent(architecture)}`;
  const refusal = (response: HttpResponse) => refused(response, { doing, base, architecture });
  const response = await asked(() => http.send({ method: 'GET', url: url('images'), secrets, signal }), base);
  if (response.status !== 200 || isPage(response)) throw await refusal(response);
  const { digest, size, facts } = readImage(await jsonOf(response, doing), {
    doing,
    reference,
    architecture,
  });
  const hash = digest && `sha256.${digest.value}`;
  return {
    name,
    pinned: hash === undefined ? name : formatLibrary({ ...reference, tag: hash }),
    size,
    digest,
    ...(digest && reference.tag === hash ? { proven: { ...digest, by: 'library', isAskedFor: true } } : {}),
    version: digest && `sif sha256:${digest.value}`,
    note: digest ? `SIF file sha256:${digest.value}` : 'a SIF file of which the library tells no sha256',
    facts: [...facts, { label: 'from', text: base }],
    async open(reading) {
      const headers = rangeFields(reading, digest && hash);
      const given = await asked(
        () =>
          http.send({
            method: 'GET',
            url: url('imagefile'),
            headers,
            secrets,
            signal: reading.signal,
            fresh: reading.fresh,
          }),
        base,
      );
      if (given.status >= 400 && given.status !== 412 && given.status !== 416) throw await refusal(given);
      return opened(given, reading, { doing, size });
    },
  };
}

function readImage(
  json: Readonly<Record<string, unknown>>,
  {
    doing,
    reference,
    architecture,
  }: { readonly doing: string; readonly reference: LibraryReference; readonly architecture: string },
): Told {
  const { data } = json;
  if (typeof data !== 'object' || data === null) {
    throw new TransferError('unexpected', `${doing}: the library's answer has no \`data\``);
  }
  const { hash, size, arch, uploaded, signed, encrypted, tags, createdAt } = data as Record<string, unknown>;
  if (uploaded === false) {
    throw new TransferError('not-found', `${doing}: it was announced to the library, and never uploaded`);
  }
  if (typeof arch === 'string' && arch !== '' && arch !== architecture) {
    throw new TransferError('not-found', `${doing}: it is for \`${shown(arch)}\`, not \`${architecture}\``);
  }
  const [, hex] = /^sha256\.([0-9a-f]{64})$/.exec(typeof hash === 'string' ? hash : '') ?? [];
  if (/^sha256\./.test(reference.tag) && `sha256.${hex}` !== reference.tag) {
    throw new TransferError(
      'digest-mismatch',
      `${doing}: asked for \`${reference.tag}\`, the library has \`${shown(String(hash))}\``,
    );
  }
  const facts: SifFact[] = [
    ...(hex === undefined ? [] : [{ label: 'content', text: `sha256:${hex}` }]),
    { label: 'platform', text: `linux/${typeof arch === 'string' && arch !== '' ? arch : architecture}` },
    ...(typeof createdAt === 'string' ? [{ label: 'created', text: createdAt }] : []),
    ...(typeof signed === 'boolean' ? [{ label: 'signed', text: signed ? 'yes' : 'no' }] : []),
    ...(encrypted === true ? [{ label: 'encrypted', text: 'yes' }] : []),
    ...(Array.isArray(tags) && tags.length > 0 ? [{ label: 'tags', text: tags.map(String).join(', ') }] : []),
  ];
  return {
    digest: hex === undefined ? undefined : { algorithm: 'sha256', value: hex },
    size: typeof size === 'number' && Number.isSafeInteger(size) && size > 0 ? size : undefined,
    facts,
  };
}

interface Refused {
  readonly doing: string;
  readonly base: string;
  readonly architecture: string;
}

/** A login that is refused rejects in the client, which knows nothing of libraries. */
async function asked(send: () => Promise<HttpResponse>, base: string): Promise<HttpResponse> {
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof TransferError) || error.code !== 'unauthenticated') throw error;
    throw new TransferError(error.code, error.message, { cause: error, hint: loginHint(base) });
  }
}

async function refused(
  response: HttpResponse,
  { doing, base, architecture }: Refused,
): Promise<TransferError> {
  await response.discard();
  const known = statusError(response, doing);
  if (response.status < 400) {
    return new TransferError(
      'unexpected',
      `${doing}: \`${base}\` answers with a page, not as a library does`,
      {
        hint: "BRIDLE_LIBRARY_URL is the URL of the library's API, such as `https://library.sylabs.io`",
      },
    );
  }
  if (known.code === 'not-found') {
    return new TransferError(
      'not-found',
      `${doing}: \`${base}\` has no such image for \`${architecture}\` (HTTP ${response.status})`,
      { hint: `a library may also hide what it wants a login for: ${loginHint(base)}` },
    );
  }
  if (known.code !== 'permission-denied' && known.code !== 'unauthenticated') return known;
  return new TransferError(known.code, known.message, { hint: loginHint(base) });
}

function loginHint(base: string): string {
  return `\`apptainer remote login\` keeps a token that is used here, and so is \`header.Authorization = Bearer TOKEN\` in the section [${base}] of the file that PEGASUS_CREDENTIALS names`;
}

function shown(text: string): string {
  return text.replace(/[^\x20-\x7e]|`/g, '?').slice(0, 100);
}

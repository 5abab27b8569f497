import { type ErrorCode, type ErrorDetails, TransferError } from '../../errors.ts';
import { retryAfterSeconds, statusError } from '../../http/status.ts';
import type { HttpResponse } from '../../protocol.ts';
import { HUB } from '../reference.ts';
import { describeLimit, pullLimitOf } from './limits.ts';

/** Error documents are a few lines; a page of HTML is not read for one. */
const MOST_ERROR = 64 * 1024;

/** What was asked for when a registry refused. */
export interface Refused {
  /** `pull manifest of …`, the start of the message. */
  readonly doing: string;
  readonly registry: string;
  readonly repository: string;
  /** What a 404 means: which thing is not there. */
  readonly missing: string;
  /** A login was shown. */
  readonly hadLogin: boolean;
}

/** One entry of a registry's error document (OCI distribution specification, `Error codes`). */
interface Said {
  readonly code: string;
  readonly message: string;
}

/** The error that an answer of a registry stands for, in its own words where it says any. Reads and ends the answer. */
export async function refusal(response: HttpResponse, refused: Refused): Promise<TransferError> {
  const { status, headers } = response;
  const said = await readError(response);
  const words = said
    ? ` (\`${said.code}\`${said.message === '' ? '' : `: ${said.message}`})`
    : ` (HTTP ${status})`;
  const { doing, registry } = refused;
  const make = (code: ErrorCode, text: string, details: ErrorDetails = {}) =>
    new TransferError(code, `${doing}: ${text}${words}`, details);
  if (status === 401) {
    const text = refused.hadLogin
      ? `\`${registry}\` does not take the login`
      : `\`${registry}\` wants a login, or there is no such repository`;
    return make('unauthenticated', text, { hint: loginHint(registry) });
  }
  if (status === 403) {
    const text = refused.hadLogin
      ? 'the login may not do this'
      : `\`${registry}\` refuses it without a login`;
    return make('permission-denied', text, { hint: loginHint(registry) });
  }
  if (status === 404) {
    const isRepository = said?.code === 'NAME_UNKNOWN';
    return make(
      'not-found',
      isRepository ? `\`${registry}\` has no repository \`${refused.repository}\`` : refused.missing,
      {
        hint: `a registry may also hide what it wants a login for: ${loginHint(registry)}`,
      },
    );
  }
  if (status === 429) {
    const limit = pullLimitOf(headers);
    const retryAfter = retryAfterSeconds(headers);
    return make(
      'rate-limited',
      `\`${registry}\` takes no more for now${limit ? `: ${describeLimit(limit)}` : ''}`,
      {
        ...(retryAfter === undefined ? {} : { retryAfter }),
        hint:
          registry === HUB && !refused.hadLogin
            ? `it allows more to those who log in: ${loginHint(registry)}`
            : 'a mirror or a copy in a registry of your own takes the load off it',
      },
    );
  }
  if (status === 416) return make('range-ignored', 'it has no such range');
  const plain = statusError(response, doing);
  return new TransferError(plain.code, said ? `${plain.message}${words}` : plain.message, {
    ...(plain.retryAfter === undefined ? {} : { retryAfter: plain.retryAfter }),
    ...(plain.hint === undefined ? {} : { hint: plain.hint }),
  });
}

function loginHint(registry: string): string {
  return `\`podman login ${registry}\` or \`docker login ${registry}\` writes one down that is used here`;
}

async function readError(response: HttpResponse): Promise<Said | undefined> {
  try {
    const text = Buffer.from(await readUpTo(response, MOST_ERROR)).toString('utf8');
    const json: unknown = JSON.parse(text);
    const errors = (json as { errors?: unknown }).errors;
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    const { code, message } = (first ?? {}) as { code?: unknown; message?: unknown };
    if (typeof code !== 'string' || !/^[A-Z_]{1,40}$/.test(code)) return undefined;
    const shown = typeof message === 'string' ? message.replace(/[^\x20-\x7e]|`/g, '?').slice(0, 160) : '';
    return { code, message: shown };
  } catch {
    return undefined;
  }
}

/** The body, ended. Rejects with `unexpected` for more than `limit` bytes. */
export async function readUpTo(
  response: HttpResponse,
  limit: number,
  doing = 'read the answer',
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response.body) {
      length += chunk.length;
      if (length > limit)
        throw new TransferError('unexpected', `${doing}: the answer is longer than ${limit} bytes`);
      pieces.push(Uint8Array.from(chunk));
    }
  } finally {
    await response.discard();
  }
  return Buffer.concat(pieces, length);
}

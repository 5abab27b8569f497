import { type ErrorCode, TransferError } from '../errors.ts';
import { statusError } from '../http/status.ts';
import type { HttpResponse } from '../protocol.ts';
import { parse, textOf } from './resource.ts';

export const LOGIN_HINT =
  'name a key file in GOOGLE_APPLICATION_CREDENTIALS, or log in with `gcloud auth application-default login`';

/** What the JSON of an error says: `{"error": {"message", "errors": [{"reason"}]}}`. */
interface Reason {
  readonly reason: string;
  readonly message: string;
}

/** The error that an answer of the JSON API stands for, with what the service says of it and, where it helps, what to do. */
export async function refused(response: HttpResponse, doing: string): Promise<TransferError> {
  const { reason, message } = await reasonOf(response);
  const base = statusError(response, doing);
  const code = codeOf(response.status, reason, message) ?? base.code;
  const hint = hintOf(code, reason, message);
  const text = message === '' ? base.message : `${base.message}: ${message}`;
  return new TransferError(code, text, {
    ...(base.retryAfter === undefined ? {} : { retryAfter: base.retryAfter }),
    ...(hint === undefined ? {} : { hint }),
  });
}

async function reasonOf(response: HttpResponse): Promise<Reason> {
  const text = await textOf(response).catch(() => '');
  const error = parse(text)?.error;
  if (typeof error !== 'object' || error === null) return { reason: '', message: '' };
  const { message, errors } = error as { readonly message?: unknown; readonly errors?: unknown };
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  const reason = typeof first === 'object' && first !== null ? Reflect.get(first, 'reason') : undefined;
  const shown = typeof message === 'string' ? message.replace(/[^\x20-\x7e]+/g, ' ').trim() : '';
  return {
    reason: typeof reason === 'string' ? reason : '',
    message: shown.slice(0, 200).replace(/\.$/, ''),
  };
}

/** Where the reason says more than the status (JSON API, HTTP status and error codes). */
function codeOf(status: number, reason: string, message: string): ErrorCode | undefined {
  if (reason === 'rateLimitExceeded' || reason === 'userRateLimitExceeded') return 'rate-limited';
  if (reason === 'backendError' || reason === 'internalError') return 'unavailable';
  if (status === 400 && /crc32c|md5/i.test(message) && /match/i.test(message)) return 'digest-mismatch';
  return undefined;
}

function hintOf(code: ErrorCode, reason: string, message: string): string | undefined {
  if (code === 'not-found' && /bucket/i.test(message))
    return 'make the bucket with `bridle mkdir gs://BUCKET/`';
  if (code === 'unauthenticated') return LOGIN_HINT;
  if (reason === 'userProjectMissing')
    return 'the requester pays: name a project in GOOGLE_CLOUD_QUOTA_PROJECT';
  if (code !== 'permission-denied') return undefined;
  if (/anonymous/i.test(message)) return LOGIN_HINT;
  return 'the account needs a role on the bucket, such as Storage Object User';
}

import type { AuthClient, JWTInput, OAuth2ClientOptions } from 'google-auth-library';
import { TransferError } from '../errors.ts';
import type { GoogleAccount } from './google-account.ts';

/** Objects and buckets, and nothing else (OAuth 2.0 scopes for Google APIs). */
const SCOPES = ['https://www.googleapis.com/auth/devstorage.full_control'];
/** Milliseconds for a token, the library's own retries included. */
const PATIENCE = 60_000;

/** Asks for tokens of one account; they are kept until shortly before they expire. */
export type TokenSource = () => Promise<string>;

/** Node's `fetch`, or one that stands in for it. */
export type Fetch = typeof fetch;

/** Tokens for an account of a file. The library that gets them is loaded by the first. */
export async function accountTokens(
  account: GoogleAccount,
  doing: string,
  fetch: Fetch | undefined,
): Promise<TokenSource> {
  const { GoogleAuth } = await import('google-auth-library');
  try {
    const auth = new GoogleAuth({
      credentials: account as JWTInput,
      scopes: SCOPES,
      clientOptions: clientOptions(fetch),
    });
    return tokensOf(await auth.getClient(), doing);
  } catch (error) {
    if (error instanceof TransferError) throw error;
    // The library's words may quote the key.
    throw new TransferError('invalid-request', `${doing}: the account is not complete`, {
      hint: 'key files come from `gcloud iam service-accounts keys create FILE`',
    });
  }
}

/** Tokens of the machine's own account, from its metadata server. */
export async function machineTokens(fetch: Fetch | undefined): Promise<TokenSource> {
  const { Compute } = await import('google-auth-library');
  return tokensOf(new Compute({ scopes: SCOPES, ...clientOptions(fetch) }), 'the metadata server');
}

function clientOptions(fetch: Fetch | undefined): Pick<OAuth2ClientOptions, 'transporterOptions'> {
  return fetch === undefined ? {} : { transporterOptions: { fetchImplementation: fetch } };
}

function tokensOf(client: AuthClient, doing: string): TokenSource {
  return async () => {
    const answer = await inTime(client.getAccessToken(), doing).catch((error: unknown) => {
      throw refusal(error, doing);
    });
    if (answer.token) return answer.token;
    throw new TransferError('unauthenticated', `${doing}: Google gave no token`);
  };
}

async function inTime<T>(work: Promise<T>, doing: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new TransferError('timed-out', `${doing}: no token after ${PATIENCE / 1000} s`);
    timer = setTimeout(() => reject(error), PATIENCE).unref();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The library's errors carry the request with its assertion: nothing of them is passed on but codes. */
function refusal(error: unknown, doing: string): TransferError {
  if (error instanceof TransferError) return error;
  const status = statusOf(error);
  const reason = reasonOf(error);
  if (status === undefined && !isOfNetwork(error)) {
    return new TransferError('unauthenticated', `${doing}: no token can be asked for with it`, {
      hint: 'the account names a file, a program or a URL (`credential_source`): look whether it gives what it should',
    });
  }
  if (status === undefined || status >= 500 || status === 429) {
    return new TransferError(
      'unavailable',
      `${doing}: Google's token service cannot be reached${shown(status)}`,
    );
  }
  const isClock = /invalid_grant/.test(reason) && /short-lived|\biat\b|\bexp\b/.test(String(error));
  return new TransferError(
    'unauthenticated',
    `${doing}: Google gives no token for it${shown(reason || status)}`,
    {
      hint: isClock
        ? 'the clock of this machine may be wrong'
        : 'the key may have been deleted, or the login has expired',
    },
  );
}

function shown(what: unknown): string {
  return what === undefined ? '' : ` (${String(what)})`;
}

/** Of a file that cannot be read. */
const OF_FILES = /^(?:ENOENT|EACCES|EPERM|ENOTDIR|EISDIR|ELOOP|ENAMETOOLONG)$/;

/** True for a request that got no answer; what the library finds wrong by itself are plain errors. */
function isOfNetwork(error: unknown): boolean {
  const cause = field(error, 'cause');
  const codes = [error, cause, field(cause, 'cause')].map((one) => String(field(one, 'code')));
  if (codes.some((code) => OF_FILES.test(code))) return false;
  const name = String(field(error, 'name'));
  return (
    /^(?:GaxiosError|FetchError|AbortError|TimeoutError)$/.test(name) ||
    codes.some((code) => /^(?:E|UND_ERR_|CERT_)[A-Z_]+$/.test(code))
  );
}

function statusOf(error: unknown): number | undefined {
  const response = field(error, 'response');
  const status = field(response, 'status') ?? field(error, 'status');
  return typeof status === 'number' ? status : undefined;
}

function reasonOf(error: unknown): string {
  const reason = field(field(field(error, 'response'), 'data'), 'error');
  return typeof reason === 'string' && /^[a-z_]{1,40}$/.test(reason) ? reason : '';
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

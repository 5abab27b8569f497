import { type ErrorCode, FULL_HINT, TransferError } from '../errors.ts';

/** Longest wait that an answer can ask for, in seconds: a wrong clock must not park a workflow for years. */
const MAX_RETRY_AFTER = 3600;

interface Meaning {
  readonly code: ErrorCode;
  readonly text: string;
  readonly hint?: string;
}

/** HTTP status → our codes (RFC 9110 §15, RFC 4918 §11, RFC 6585). The rest is in {@link meaningOf}. */
const MEANINGS: Readonly<Record<number, Meaning>> = {
  400: { code: 'invalid-request', text: 'the server finds the request malformed' },
  401: { code: 'unauthenticated', text: 'the server wants other credentials' },
  402: { code: 'permission-denied', text: 'the server wants to be paid' },
  403: {
    code: 'permission-denied',
    text: 'the server refuses access',
    hint: '`bridle doctor URL` tells which login is used there; it may not do this, or is valid no longer',
  },
  404: { code: 'not-found', text: 'not found' },
  405: { code: 'unsupported', text: 'the server does not allow this method here' },
  407: { code: 'unauthenticated', text: 'the proxy wants other credentials' },
  408: { code: 'timed-out', text: 'the server gave up waiting for the request' },
  409: { code: 'unexpected', text: 'the request conflicts with what is there' },
  410: { code: 'not-found', text: 'gone for good' },
  412: { code: 'changed', text: 'it is no longer the version that was asked for' },
  413: { code: 'no-space', text: 'too large for the server' },
  414: { code: 'invalid-request', text: 'the server finds the URL too long' },
  423: { code: 'unavailable', text: 'locked' },
  425: { code: 'unavailable', text: 'too early' },
  429: { code: 'rate-limited', text: 'too many requests' },
  431: { code: 'invalid-request', text: 'the server finds the request head too long' },
  451: { code: 'permission-denied', text: 'unavailable for legal reasons' },
  500: { code: 'unavailable', text: 'internal error of the server' },
  501: { code: 'unsupported', text: 'the server does not know this method' },
  502: { code: 'unavailable', text: 'a gateway got no good answer' },
  503: { code: 'unavailable', text: 'service unavailable' },
  504: { code: 'timed-out', text: 'a gateway got no answer in time' },
  505: { code: 'unsupported', text: 'the server does not speak this version of HTTP' },
  507: { code: 'no-space', text: 'no space left on the server', hint: FULL_HINT },
};

function meaningOf(status: number): Meaning {
  const known = MEANINGS[status];
  if (known) return known;
  if (status > 507) return { code: 'unavailable', text: 'error of the server' };
  return { code: 'unexpected', text: 'unexpected answer' };
}

/** What {@link statusError} looks at of an answer. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Where it comes from. */
  readonly url?: string;
}

/** The error that an answer stands for, with the seconds it asks to wait. 416 and what a method expects are the caller's. */
export function statusError(answer: Answer, doing: string): TransferError {
  const { code, text, hint = hintFor(answer) } = meaningOf(answer.status);
  const retryAfter = retryAfterSeconds(answer.headers);
  return new TransferError(code, `${doing}: ${text} (HTTP ${answer.status})`, {
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(hint === undefined ? {} : { hint }),
  });
}

/**
 * What may be wrong with a request that a server finds malformed: a percent sign that begins no escape (RFC 3986 §2.1),
 * or a port for TLS that is spoken to without.
 */
function hintFor({ status, url }: Answer): string | undefined {
  if (status !== 400 || url === undefined) return undefined;
  if (/%(?![0-9a-f]{2})/i.test(url)) return 'a `%` that belongs to a name is written `%25`';
  if (url.startsWith('http:'))
    return 'if it is a port for TLS, write `https:` for `http:`, `davs:` for `dav:`';
  return undefined;
}

const IMF_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * Seconds of a Retry-After field (RFC 9110 §10.2.3), 0 to 3600; undefined when absent or garbage. A date counts from
 * the Date field of the same answer, so that neither clock matters.
 */
export function retryAfterSeconds(headers: Readonly<Record<string, string>>): number | undefined {
  const value = headers['retry-after'];
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Math.min(Number(value), MAX_RETRY_AFTER);
  const until = imfDate(value);
  if (until === undefined) return undefined;
  const since = imfDate(headers.date) ?? Date.now();
  return Math.min(Math.max(0, Math.ceil((until - since) / 1000)), MAX_RETRY_AFTER);
}

function imfDate(value: string | undefined): number | undefined {
  if (value === undefined || !IMF_DATE.test(value)) return undefined;
  const time = Date.parse(value);
  return Number.isNaN(time) ? undefined : time;
}

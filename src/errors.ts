/** What a program may act on. The list is closed: a new failure is mapped to one of these, never added beside them. */
export type ErrorCode = PermanentCode | TransientCode;

export type PermanentCode =
  | 'invalid-request'
  | 'unsupported'
  | 'range-ignored'
  | 'not-found'
  | 'already-exists'
  | 'permission-denied'
  | 'unauthenticated'
  | 'no-space'
  | 'canceled'
  | 'unexpected';

export type TransientCode =
  | 'rate-limited'
  | 'timed-out'
  | 'stalled'
  | 'unavailable'
  | 'changed'
  | 'size-mismatch'
  | 'digest-mismatch';

const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  'rate-limited',
  'timed-out',
  'stalled',
  'unavailable',
  'changed',
  'size-mismatch',
  'digest-mismatch',
]);

export interface ErrorDetails {
  readonly cause?: unknown;
  /** Seconds the other side asked us to wait before the next try. */
  readonly retryAfter?: number;
  /** One sentence that tells the user what to do next. Printed on a line of its own. */
  readonly hint?: string;
}

/** The only error this project throws. Its text reads `doing: what happened` and never holds a secret. */
export class TransferError extends Error {
  readonly code: ErrorCode;
  readonly retryAfter: number | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'TransferError';
    this.code = code;
    this.retryAfter = details.retryAfter;
    this.hint = details.hint;
  }

  /** True when the same request may succeed later without anybody changing anything. */
  get transient(): boolean {
    return TRANSIENT.has(this.code);
  }
}

/** What to look at when a host has no address. */
export const UNKNOWN_HOST_HINT = 'look at the name of the host, in the URL or the setting that it comes from';
/** What to look at when a port is closed. */
export const REFUSED_HINT =
  'nothing listens at that port: look at host and port, or whether the service runs';

/** What to do when there is no room: of an upload that is large enough to be gone on with, what came stays. */
export const FULL_HINT =
  'make room there; `bridle clean` tells what broken off transfers hold, and can remove it';

/** errno names (as Node spells them) → our codes. Everything not listed is `unexpected`. */
const ERRNO: Readonly<
  Record<string, { readonly code: ErrorCode; readonly text: string; readonly hint?: string }>
> = {
  ENOENT: { code: 'not-found', text: 'no such file or directory' },
  ENOTDIR: { code: 'not-found', text: 'a part of the path is not a directory' },
  EISDIR: { code: 'invalid-request', text: 'is a directory' },
  EEXIST: { code: 'already-exists', text: 'already exists' },
  ENOTEMPTY: { code: 'already-exists', text: 'directory not empty' },
  EACCES: { code: 'permission-denied', text: 'permission denied' },
  EPERM: { code: 'permission-denied', text: 'operation not permitted' },
  EROFS: { code: 'permission-denied', text: 'read-only file system' },
  ELOOP: { code: 'permission-denied', text: 'too many symbolic links' },
  ENOSPC: { code: 'no-space', text: 'no space left on device', hint: FULL_HINT },
  EDQUOT: { code: 'no-space', text: 'disk quota exceeded', hint: FULL_HINT },
  EFBIG: { code: 'no-space', text: 'file too large for this file system' },
  ENAMETOOLONG: { code: 'invalid-request', text: 'name too long' },
  EINVAL: { code: 'invalid-request', text: 'invalid argument' },
  ENOTSUP: { code: 'unsupported', text: 'not supported here' },
  EOPNOTSUPP: { code: 'unsupported', text: 'not supported here' },
  ENOSYS: { code: 'unsupported', text: 'not supported here' },
  EXDEV: { code: 'unsupported', text: 'on another file system' },
  EMFILE: { code: 'unavailable', text: 'too many open files' },
  ENFILE: { code: 'unavailable', text: 'too many open files on this machine' },
  EAGAIN: { code: 'unavailable', text: 'resource temporarily unavailable' },
  EBUSY: { code: 'unavailable', text: 'resource busy' },
  EINTR: { code: 'unavailable', text: 'interrupted' },
  EIO: { code: 'unavailable', text: 'input/output error' },
  ESTALE: { code: 'unavailable', text: 'stale file handle' },
  ETIMEDOUT: { code: 'timed-out', text: 'connection timed out' },
  ECONNREFUSED: { code: 'unavailable', text: 'connection refused', hint: REFUSED_HINT },
  ECONNRESET: { code: 'unavailable', text: 'connection reset by the other side' },
  ECONNABORTED: { code: 'unavailable', text: 'connection aborted' },
  EPIPE: { code: 'unavailable', text: 'connection closed by the other side' },
  ENETUNREACH: { code: 'unavailable', text: 'network unreachable' },
  EHOSTUNREACH: { code: 'unavailable', text: 'host unreachable' },
  ENETDOWN: { code: 'unavailable', text: 'network is down' },
  EADDRNOTAVAIL: { code: 'unavailable', text: 'no local address available' },
  EAI_AGAIN: { code: 'unavailable', text: 'temporary failure in name resolution' },
  ENOTFOUND: { code: 'not-found', text: 'unknown host name', hint: UNKNOWN_HOST_HINT },
  ABORT_ERR: { code: 'canceled', text: 'canceled' },
};

/** The errno name that Node put on an error, when it is one. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** A {@link TransferError} for whatever was thrown: its own kind unchanged, errno by the table, the rest `unexpected`. */
export function toTransferError(error: unknown, doing: string): TransferError {
  if (error instanceof TransferError) return error;
  const known = ERRNO[errnoOf(error) ?? ''];
  if (known) {
    const { code, text, hint } = known;
    const details = hint === undefined ? { cause: error } : { cause: error, hint };
    return new TransferError(code, `${doing}: ${text}`, details);
  }
  const text = error instanceof Error ? error.message : String(error);
  return new TransferError('unexpected', `${doing}: ${text}`, { cause: error });
}

/** What `work` gives; what it throws, as a `TransferError` that begins with `doing`. */
export function attempting<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

/** True for content that is not what it must be: no further byte mends it. */
export function isMismatch(error: unknown): boolean {
  return (
    error instanceof TransferError && (error.code === 'digest-mismatch' || error.code === 'size-mismatch')
  );
}

/** `message` and then, on lines of their own, the hints of the error and of its causes. */
export function describeError(error: TransferError): string {
  return error.hint === undefined ? error.message : `${error.message}\nhint: ${error.hint}`;
}

import { type ErrorCode, TransferError } from '../errors.ts';

/** Codes of a STATUS (draft-ietf-secsh-filexfer-02 §7). */
export const STATUS = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  unsupported: 8,
} as const;

/**
 * SFTP status → our codes. FAILURE is everything else that can go wrong (exists, full, read-only, not empty): who asked
 * must look for the reason. OpenSSH answers EINVAL and ENAMETOOLONG with BAD_MESSAGE (sftp-server.c, errno_to_portable).
 */
const CODES: Readonly<Record<number, { readonly code: ErrorCode; readonly text: string }>> = {
  1: { code: 'changed', text: 'unexpected end of file' },
  2: { code: 'not-found', text: 'no such file or directory' },
  3: { code: 'permission-denied', text: 'permission denied' },
  4: { code: 'unexpected', text: 'the server failed' },
  5: { code: 'invalid-request', text: 'name too long or invalid argument' },
  6: { code: 'unavailable', text: 'the server has no connection' },
  7: { code: 'unavailable', text: 'the server lost its connection' },
  8: { code: 'unsupported', text: 'the server cannot do this' },
};

/** Texts of servers that only repeat the code. */
const PLAIN =
  /^(failure|no such file|permission denied|bad message|end of file|operation unsupported|success)\.?$/i;

/** What a STATUS other than OK says; `doing` starts the message. */
export function statusError(
  status: { readonly code: number; readonly text: string },
  doing: string,
): TransferError {
  const known = CODES[status.code] ?? { code: 'unexpected' as const, text: `status ${status.code}` };
  const text = status.text.replace(/[^\x20-\x7e]/g, '?').slice(0, 120);
  const said = text === '' || PLAIN.test(text) ? '' : ` (it says \`${text}\`)`;
  const hint = hintFor(known.code, doing);
  return new TransferError(known.code, `${doing}: ${known.text}${said}`, {
    cause: { sftpStatus: status.code },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** `doing` names the path. */
function hintFor(code: ErrorCode, doing: string): string | undefined {
  if (code === 'permission-denied') {
    return '`bridle doctor URL` tells which account is used there; it may not do this, or the server is read-only';
  }
  if (code === 'not-found' && /%[0-9a-f]{2}/i.test(doing)) {
    return 'the path of an ssh URL is taken as it stands: `%20` there is no space';
  }
  return undefined;
}

/** The server's own code, when a STATUS is behind `error`. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof TransferError)) return undefined;
  const { cause } = error;
  if (typeof cause !== 'object' || cause === null || !('sftpStatus' in cause)) return undefined;
  return typeof cause.sftpStatus === 'number' ? cause.sftpStatus : undefined;
}

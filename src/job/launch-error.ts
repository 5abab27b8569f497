import { constants } from 'node:os';
import { TransferError, toTransferError } from '../errors.ts';
import { inspect } from './inspect.ts';
import { errnoName } from './status-text.ts';

/** What {@link TransferError.cause} is when a program could not be started. */
export interface LaunchCause extends Error {
  /** As `ENOENT`. */
  readonly code: string;
  /** Its number, above 0. */
  readonly errno: number;
}

const { ENOENT, ENOEXEC, E2BIG, EACCES } = constants.errno;

/**
 * That `file` could not be started, for the reason that execve(2) gave: `not-found`, `permission-denied`, `unsupported`
 * (no program of this machine), `invalid-request` (arguments too long), `unavailable` (no process or memory left). Its
 * cause is a {@link LaunchCause}.
 */
export function launchError(file: Buffer, errno: number, text: string): TransferError {
  const code = errnoName(errno) ?? `E${errno}`;
  const cause: LaunchCause = Object.assign(new Error(text), { code, errno });
  const doing = `starting \`${file}\``;
  if (errno === E2BIG) {
    return new TransferError('invalid-request', `${doing}: arguments and environment are too long`, {
      cause,
      hint: 'one argument may have 128 KiB, all together a quarter of the stack limit (`ulimit -s`)',
    });
  }
  const problem = [ENOENT, ENOEXEC, EACCES].includes(errno) ? inspect(file).problem : undefined;
  if (errno === ENOEXEC) {
    return new TransferError('unsupported', `${doing}: ${problem ?? 'no program that runs here'}`, { cause });
  }
  if (problem !== undefined) {
    const kind = errno === EACCES ? 'permission-denied' : 'not-found';
    return new TransferError(kind, `${doing}: ${problem}`, { cause });
  }
  return toTransferError(cause, doing);
}

/** The reason of a {@link launchError}; undefined for every other error. */
export function launchCause(error: unknown): LaunchCause | undefined {
  const cause = error instanceof TransferError ? error.cause : undefined;
  return cause instanceof Error && 'errno' in cause && 'code' in cause ? (cause as LaunchCause) : undefined;
}

import { constants } from 'node:os';

/** What strsignal(3) of the GNU C library says of signals 1 to 31 on Linux. */
const SIGNALS = [
  'Hangup',
  'Interrupt',
  'Quit',
  'Illegal instruction',
  'Trace/breakpoint trap',
  'Aborted',
  'Bus error',
  'Floating point exception',
  'Killed',
  'User defined signal 1',
  'Segmentation fault',
  'User defined signal 2',
  'Broken pipe',
  'Alarm clock',
  'Terminated',
  'Stack fault',
  'Child exited',
  'Continued',
  'Stopped (signal)',
  'Stopped',
  'Stopped (tty input)',
  'Stopped (tty output)',
  'Urgent I/O condition',
  'CPU time limit exceeded',
  'File size limit exceeded',
  'Virtual timer expired',
  'Profiling timer expired',
  'Window changed',
  'I/O possible',
  'Power failure',
  'Bad system call',
] as const;

/** The first real-time signal that the C library leaves to programs. */
const FIRST_REAL_TIME = 34;

export function signalText(signal: number): string {
  if (signal >= FIRST_REAL_TIME) return `Real-time signal ${signal - FIRST_REAL_TIME}`;
  return SIGNALS[signal - 1] ?? `Unknown signal ${signal}`;
}

/** What strerror(3) says of the errors that starting a program ends in. */
const ERRORS: Readonly<Record<string, string>> = {
  EPERM: 'Operation not permitted',
  ENOENT: 'No such file or directory',
  EIO: 'Input/output error',
  E2BIG: 'Argument list too long',
  ENOEXEC: 'Exec format error',
  EAGAIN: 'Resource temporarily unavailable',
  ENOMEM: 'Cannot allocate memory',
  EACCES: 'Permission denied',
  ENOTDIR: 'Not a directory',
  EISDIR: 'Is a directory',
  EINVAL: 'Invalid argument',
  EMFILE: 'Too many open files',
  ENFILE: 'Too many open files in system',
  ETXTBSY: 'Text file busy',
  ENAMETOOLONG: 'File name too long',
  ELOOP: 'Too many levels of symbolic links',
  ENOSPC: 'No space left on device',
  EROFS: 'Read-only file system',
};

export function errorText(errno: number): string {
  return ERRORS[errnoName(errno) ?? ''] ?? `Error ${errno}`;
}

/** As `ENOENT`; undefined for a number that is none of this system. */
export function errnoName(errno: number): string | undefined {
  return Object.entries(constants.errno).find(([, number]) => number === errno)?.[0];
}

/** The number of an error as node names it; that of EIO when it has no such name. */
export function errnoNumber(name: string | undefined): number {
  return (constants.errno as Readonly<Record<string, number>>)[name ?? ''] ?? constants.errno.EIO;
}

/** A wait status (wait(2)) taken apart. */
export type WaitStatus =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signaled'; readonly signal: number; readonly core: boolean }
  | { readonly kind: 'stopped'; readonly signal: number };

export function readWaitStatus(raw: number): WaitStatus {
  const signal = raw & 0x7f;
  const high = (raw >> 8) & 0xff;
  if (signal === 0) return { kind: 'exited', code: high };
  if (signal === 0x7f) return { kind: 'stopped', signal: high };
  return { kind: 'signaled', signal, core: (raw & 0x80) !== 0 };
}

/** As an exit status tells it: what the process returned, 128 and the signal that ended it, else 127. */
export function exitStatusOf(raw: number): number {
  if (raw < 0) return 127;
  const status = readWaitStatus(raw);
  if (status.kind === 'exited') return status.code;
  return status.kind === 'signaled' ? 128 + status.signal : 127;
}

import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import { safeText } from '../report/format.ts';
import { findCommand } from './commands.ts';

/** Exit statuses of `bridle`. A reader of our output that has left ends us as SIGPIPE ends others. */
export const EXIT = { done: 0, failed: 1, usage: 2, readerLeft: 141 } as const;

const usage = new WeakSet<object>();
const content = new WeakSet<object>();

/** Marks what `work` rejects with as the fault of the input, whatever its code: exit status 2. */
export async function badInput<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const known = toTransferError(error, 'read the input');
    usage.add(known);
    throw known;
  }
}

/** Marks what `work` rejects with as the fault of what lies in a file, and not of how it was asked for: exit status 1. */
export async function ofContent<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TransferError) content.add(error);
    throw error;
  }
}

/** The exit status for an error that ended a command. */
export function statusFor(error: unknown): number {
  if (!(error instanceof TransferError)) return EXIT.failed;
  const isAsked = error.code === 'invalid-request' && !content.has(error);
  return isAsked || usage.has(error) ? EXIT.usage : EXIT.failed;
}

/** True when the reader of our output has gone: nothing is wrong, and nobody is there to be told. */
export function isReaderGone(error: unknown): boolean {
  return errnoOf(error) === 'EPIPE' || errnoOf(error instanceof Error ? error.cause : undefined) === 'EPIPE';
}

/** An error as one line, or a few where its text has several, and its hint. A stack only for `--debug`. */
export function describeFailure(command: string, error: unknown, debug: boolean): string {
  const known = toTransferError(error, 'unexpected error');
  const lines = known.message.split('\n').map(safeText).join('\n');
  const hint =
    known.hint ?? (statusFor(error) === EXIT.usage && !usage.has(known) ? helpFor(command) : undefined);
  const stack = debug && error instanceof Error ? `${error.stack}\n` : '';
  return `bridle: ${lines}\n${hint === undefined ? '' : `hint: ${safeText(hint)}\n`}${stack}`;
}

function helpFor(command: string): string {
  return command !== 'help' && findCommand(command) ? `bridle help ${command}` : 'bridle --help';
}

import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { PassThrough } from 'node:stream';
import { onAbort } from '../abort.ts';
import { toTransferError } from '../errors.ts';

/** Bytes of a program's complaints that are kept: its reasons come last. */
const KEPT = 4096;

/** How a program ended: with a status, by a signal, or never begun. */
export interface Ended {
  readonly status: number | undefined;
  /** Its last words, else how it ended. */
  readonly said: string;
}

/** A program that works on an image, in the C locale. */
export interface Program {
  readonly input: Writable;
  readonly output: Readable;
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves once it is gone, killed where it was not done. */
  stop(): Promise<void>;
}

/** Starts `file`; aborting `signal` kills it. `path` is its `PATH`. */
export function startProgram(
  file: string,
  args: readonly string[],
  how: {
    readonly path: string;
    readonly signal: AbortSignal;
    readonly environment?: Readonly<Record<string, string>>;
  },
): Program {
  const child = spawn(file, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: how.path, LC_ALL: 'C', ...how.environment },
  });
  // Node throws away what nobody has begun to read when a child ends.
  const output = child.stdout.pipe(new PassThrough());
  const stopWaiting = onAbort(how.signal, () => child.kill('SIGKILL'));
  let said = '';
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    said = (said + text).slice(-KEPT);
  });
  // Why it takes no more is told by its end.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<Ended>((resolve) => {
    child.on('error', (error) =>
      resolve({ status: undefined, said: toTransferError(error, 'starting it').message }),
    );
    child.on('close', (status, name) =>
      resolve({
        status: status ?? undefined,
        said: said.trim() || `ended with ${name ?? `status ${status}`}`,
      }),
    );
  });
  return {
    input: child.stdin,
    output,
    child,
    ended,
    async stop() {
      stopWaiting();
      child.kill('SIGKILL');
      // What nobody reads any more would keep its end from being told.
      child.stdout.unpipe().resume();
      await ended;
    },
  };
}

/** Waits until the program takes more, or never will. */
export function room({ input, child }: Pick<Program, 'input' | 'child'>): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      input.off('drain', done).off('close', done);
      child.off('close', done);
      resolve();
    };
    input.on('drain', done).on('close', done);
    child.on('close', done);
  });
}

import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { errnoOf } from '../errors.ts';
import type { Environment } from '../request.ts';

/** What a command has of the process it runs in. */
export interface Io {
  readonly env: Environment;
  /** Data. Throws when nobody reads it any more. */
  readonly out: (text: string) => void;
  /** Everything else: progress, warnings, errors. */
  readonly err: (text: string) => void;
  readonly outIsTerminal: () => boolean;
  readonly errIsTerminal: () => boolean;
  /** Columns of the terminal that `err` is, now. */
  readonly errWidth: () => number;
  readonly input: () => AsyncIterable<Uint8Array>;
}

const STDOUT = 1;
const STDERR = 2;

/**
 * The real process. Written with blocking calls: output is whole when the process ends, a slow reader slows us down
 * instead of filling memory, and `process.stdout` is not loaded for one line.
 */
export function processIo(): Io {
  return {
    env: process.env,
    out: (text) => writeWhole(STDOUT, text),
    err: writeError,
    outIsTerminal: () => isatty(STDOUT),
    errIsTerminal: () => isatty(STDERR),
    errWidth: () => process.stderr.columns || 80,
    input: () => process.stdin,
  };
}

/** Transfers go on when nobody reads our words any more. */
function writeError(text: string): void {
  try {
    writeWhole(STDERR, text);
  } catch {
    return;
  }
}

function writeWhole(descriptor: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') throw error;
      pause();
    }
  }
}

/** A descriptor that another process made non-blocking is full: wait a millisecond. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

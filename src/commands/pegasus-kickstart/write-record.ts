import fs from 'node:fs';
import { errnoOf, toTransferError } from '../../errors.ts';
import { type ByteText, readable, toPath } from '../../job/byte-text.ts';

/** Written in one piece as far as possible: several wrappers may append to one file. */
const BATCH = 1024 * 1024;
const STDOUT = 1;
const STDERR = 2;
const NEW_FILE = 0o644;

/**
 * Appends a record to the file `log`, or writes it to standard output. Where it cannot be written whole, the file gets
 * back its length and the record goes to standard error. Returns what went wrong.
 */
export function writeRecord(pieces: () => Iterable<string>, log: ByteText | undefined): string | undefined {
  const name = log === undefined ? 'standard output' : `\`${readable(log)}\``;
  let fd: number | undefined;
  let length: number | undefined;
  try {
    fd = log === undefined ? STDOUT : fs.openSync(toPath(log), 'a', NEW_FILE);
    if (log !== undefined && fs.fstatSync(fd).isFile()) length = fs.fstatSync(fd).size;
    writePieces(fd, pieces());
    keep(fd);
    return undefined;
  } catch (error) {
    if (fd !== undefined && length !== undefined) cutBack(fd, length);
    const problem = toTransferError(error, `writing the record to ${name}`).message;
    try {
      writePieces(STDERR, pieces());
    } catch {
      return problem;
    }
    return problem;
  } finally {
    if (fd !== undefined && fd !== STDOUT) fs.closeSync(fd);
  }
}

function writePieces(fd: number, pieces: Iterable<string>): void {
  let waiting = '';
  for (const piece of pieces) {
    waiting += piece;
    if (waiting.length < BATCH) continue;
    writeWhole(fd, waiting);
    waiting = '';
  }
  writeWhole(fd, waiting);
}

function writeWhole(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += fs.writeSync(fd, bytes, done);
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') throw error;
      // Another process made the descriptor non-blocking, and its reader is slow: wait a millisecond.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** On the disk, where that means something: for a pipe it is an error. */
function keep(fd: number): void {
  if (fs.fstatSync(fd).isFile()) fs.fsyncSync(fd);
}

function cutBack(fd: number, length: number): void {
  try {
    fs.ftruncateSync(fd, length);
  } catch {
    return;
  }
}

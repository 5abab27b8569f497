import fs from 'node:fs';
import { errnoOf, toTransferError } from '../errors.ts';
import { type ByteText, readable, toPath } from './byte-text.ts';
import type { FileSource } from './record-file.ts';

/** Where a job's standard stream comes from or goes to. */
export type Target =
  | Extract<FileSource, { kind: 'temporary' | 'descriptor' }>
  | {
      readonly kind: 'file';
      readonly path: ByteText;
      readonly keep: 'nothing' | 'copy' | 'content' | 'both';
    };

/**
 * What `-o` and `-e` are given: `-` the wrapper's own stream, `!FILE` appends, `^FILE` keeps a file that is there under
 * another name, `!^FILE` and `^!FILE` both.
 */
export function outputTarget(word: ByteText, descriptor: number): Target {
  if (word === '-') return { kind: 'descriptor', fd: descriptor };
  const [marks = ''] = /^(?:!\^|\^!|!|\^)?/.exec(word) ?? [];
  const keep = marks === '' ? 'nothing' : marks === '!' ? 'content' : marks === '^' ? 'copy' : 'both';
  return { kind: 'file', path: word.slice(marks.length), keep };
}

export function inputTarget(word: ByteText): Target {
  return word === '-' ? { kind: 'descriptor', fd: 0 } : { kind: 'file', path: word, keep: 'content' };
}

const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND, O_RDONLY } = fs.constants;
const NEW_FILE = 0o666;
/** Copies that are kept of one file, as the original counts them. */
const MOST_COPIES = 1000;

/** Does to an output file, once, what is to be done before the first job. Says nothing when it cannot: opening will. */
export function prepareOutput(target: Target): void {
  if (target.kind !== 'file') return;
  const { path, keep } = target;
  try {
    if (keep === 'copy' || keep === 'both') putAside(path);
    if (keep === 'nothing' || keep === 'copy') {
      fs.closeSync(fs.openSync(toPath(path), O_WRONLY | O_CREAT | O_TRUNC, NEW_FILE));
    }
  } catch {
    return;
  }
}

function putAside(path: ByteText): void {
  if (!fs.existsSync(toPath(path))) return;
  for (let count = 0; count < MOST_COPIES; count++) {
    const name = toPath(`${path}.${String(count).padStart(3, '0')}`);
    try {
      // Fails where the name is taken, as a rename would not.
      fs.linkSync(toPath(path), name);
      fs.unlinkSync(toPath(path));
      return;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') continue;
      if (fs.existsSync(name)) continue;
      fs.renameSync(toPath(path), name);
      return;
    }
  }
}

/** A descriptor for a job, and how to be done with it. Throws a `TransferError` when it cannot be opened. */
export function connect(target: Target, side: 'in' | 'out'): { readonly fd: number; close(): void } {
  if (target.kind !== 'file') return { fd: target.fd, close: () => undefined };
  const path = toPath(target.path);
  try {
    // Jobs of one run share their streams, so everybody appends.
    const fd =
      side === 'in'
        ? fs.openSync(path, O_RDONLY)
        : fs.openSync(path, O_WRONLY | O_CREAT | O_APPEND, NEW_FILE);
    return { fd, close: () => fs.closeSync(fd) };
  } catch (error) {
    throw toTransferError(error, `opening \`${readable(target.path)}\` for standard ${side}put`);
  }
}

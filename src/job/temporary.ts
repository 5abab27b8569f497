import fs from 'node:fs';
import { TransferError, toTransferError } from '../errors.ts';
import { type ByteText, readable, toPath } from './byte-text.ts';

/** A file that is removed when the run is over. */
export interface TemporaryFile {
  readonly path: ByteText;
  /** For reading, and for appending, which writers that share it need. */
  readonly fd: number;
  remove(): void;
}

const { O_RDWR, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
const TRIES = 100;

/** The first of `candidates` that is a directory where this process may make files; undefined without one. */
export function temporaryDirectory(candidates: readonly (ByteText | undefined)[]): ByteText | undefined {
  return candidates.find((path) => path !== undefined && path !== '' && isWritableDirectory(path));
}

function isWritableDirectory(path: ByteText): boolean {
  try {
    if (!fs.statSync(toPath(path)).isDirectory()) return false;
    fs.accessSync(toPath(path), fs.constants.W_OK | fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A new file `PREFIX` and six letters, mode 0600. Throws a `TransferError` when none can be made. */
export function temporaryFile(directory: ByteText, prefix: string): TemporaryFile {
  for (let tries = 1; ; tries++) {
    const path = `${directory}/${prefix}${randomName()}`;
    try {
      const fd = fs.openSync(toPath(path), O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      return {
        path,
        fd,
        remove() {
          fs.closeSync(fd);
          fs.rmSync(toPath(path), { force: true });
        },
      };
    } catch (error) {
      const problem = toTransferError(error, `making \`${readable(path)}\``);
      if (problem.code !== 'already-exists' || tries === TRIES) throw problem;
    }
  }
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Unique is enough, since nothing that is there is opened: `node:crypto` would take 4 ms to load. */
function randomName(): string {
  const letter = () => LETTERS[Math.floor(Math.random() * LETTERS.length)];
  return Array.from({ length: 6 }, letter).join('');
}

/** That there is no place for temporary files. */
export const noTemporaryDirectory = (): TransferError =>
  new TransferError('not-found', 'looking for a directory for temporary files: none can be written to', {
    hint: 'set KICKSTART_TMP to one',
  });

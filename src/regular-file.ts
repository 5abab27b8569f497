import { TransferError } from './errors.ts';

/** What tells versions of a local file apart, of `stat` in bigints or as it was written down. */
export interface FileMarks {
  readonly dev: bigint | string;
  readonly ino: bigint | string;
  readonly size: bigint | number;
  readonly mtimeNs: bigint | string;
  readonly ctimeNs: bigint | string;
}

/** What identifies one version of a local file: any change to the content changes mtime, ctime, size or inode. */
export function fileVersion({ dev, ino, size, mtimeNs, ctimeNs }: FileMarks): string {
  return `${dev}-${ino}-${size}-${mtimeNs}-${ctimeNs}`;
}

/** What node's `stat` says of the kind of a file. */
export interface FileKind {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}

/** Throws `invalid-request` for what is no regular file, saying what it is. `doing` names the file. */
export function requireFile(stat: FileKind, doing: string): void {
  if (stat.isFile()) return;
  const what = stat.isDirectory()
    ? 'a directory'
    : stat.isFIFO()
      ? 'a FIFO'
      : stat.isSocket()
        ? 'a socket'
        : 'a device';
  throw new TransferError('invalid-request', `${doing}: expected a regular file, got ${what}`);
}

/** For a file that is not the same after its last byte was read as before the first. */
export function changedWhileRead(doing: string): TransferError {
  return new TransferError('changed', `${doing}: the file changed while it was read`);
}

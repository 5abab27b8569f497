import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { toTransferError } from '../errors.ts';

/**
 * The first `count` bytes of a file, or all that it has; undefined for what is no regular file, and for what is not there:
 * whoever opens it says why. Rejects with what the file system says.
 */
export function firstBytes(path: string, count: number): Uint8Array | undefined {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
  const head = Buffer.alloc(count);
  try {
    const fd = openSync(path, 'r');
    try {
      return head.subarray(0, readSync(fd, head, 0, count, 0));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw toTransferError(error, `read the image \`${path}\``);
  }
}

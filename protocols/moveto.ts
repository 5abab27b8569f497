import { dirname } from 'node:path';
import { TransferError, toTransferError } from '../src/errors.ts';
import { moveFile } from '../src/local/copy.ts';
import { diskCalls, diskKind } from '../src/local/disk.ts';
import { closeFolders } from '../src/local/partials.ts';
import { statOf } from '../src/local/source.ts';
import type { Endpoint } from '../src/protocol.ts';

/** Destinations that a file of this machine is moved to, not copied. */
export function open(): Endpoint {
  return {
    service: 'local',
    isLocal: true,
    async stat(path) {
      try {
        return statOf(await diskCalls(diskKind(dirname(path))).stat(path));
      } catch (error) {
        throw toTransferError(error, `stat \`${path}\``);
      }
    },
    async read(path) {
      throw new TransferError('unsupported', `read \`${path}\`: \`moveto\` is a kind of destination`);
    },
    move: moveFile,
    close: closeFolders,
  };
}

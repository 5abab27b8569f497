import { TransferError } from '../src/errors.ts';
import { moveFile } from '../src/local/copy.ts';
import { closeFolders } from '../src/local/partials.ts';
import { statPath } from '../src/local/source.ts';
import type { Endpoint } from '../src/protocol.ts';

/** Destinations that a file of this machine is moved to, not copied. */
export function open(): Endpoint {
  return {
    service: 'local',
    isLocal: true,
    stat: (path) => statPath(path, { follow: true }),
    async read(path) {
      throw new TransferError('unsupported', `read \`${path}\`: \`moveto\` is a kind of destination`);
    },
    move: moveFile,
    close: closeFolders,
  };
}

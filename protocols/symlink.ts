import { toTransferError } from '../src/errors.ts';
import { linkAtomically } from '../src/local/link.ts';
import { closeFolders } from '../src/local/partials.ts';
import { statPath } from '../src/local/source.ts';
import { removeTree } from '../src/local/tree.ts';
import type { Endpoint } from '../src/protocol.ts';

/** Symbolic links of this machine: made in one step over whatever link or file was there, and removed without what they point to. */
export function open(): Endpoint {
  return {
    service: 'local',
    isLocal: true,
    stat: (path) => statPath(path, { follow: false }),
    async read(path) {
      throw toTransferError(Object.assign(new Error(), { code: 'ENOTSUP' }), `read \`${path}\` as a link`);
    },
    remove: (path, call) => removeTree(path, { ...call, recursive: false }),
    link: linkAtomically,
    close: closeFolders,
  };
}

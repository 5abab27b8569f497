import { digestSource } from '../src/integrity/digests.ts';
import { copyStaged, moveFile } from '../src/local/copy.ts';
import { findLeftovers } from '../src/local/leftovers.ts';
import { linkAtomically } from '../src/local/link.ts';
import { closeFolders } from '../src/local/partials.ts';
import { claimWrite, writeStaged } from '../src/local/sink.ts';
import { openSource, statPath } from '../src/local/source.ts';
import { listTree, makeDirectory, removeTree } from '../src/local/tree.ts';
import type { Endpoint } from '../src/protocol.ts';

/** Files of this machine. Writes are staged beside the destination, synced, and renamed; links are replaced, not followed. */
export function open(): Endpoint {
  return {
    service: 'local',
    isLocal: true,
    stat: (path) => statPath(path, { follow: true }),
    read: openSource,
    write: writeStaged,
    partial: (path, call) => claimWrite(path, call.key),
    list: listTree,
    leftovers: findLeftovers,
    mkdir: makeDirectory,
    remove: removeTree,
    move: moveFile,
    copy: copyStaged,
    link: linkAtomically,
    digest: async (path, algorithms, call) => digestSource(await openSource(path, call), algorithms),
    close: closeFolders,
  };
}

import fs from 'node:fs';
import { dirname } from 'node:path';
import type { ServiceFact } from '../protocol.ts';
import { diskKind, freeBytes } from './disk.ts';

/** statfs(2) f_type of file systems that copy by sharing blocks, and what must be true for it. */
const REFLINKS: ReadonlyMap<number, string> = new Map([
  [0x9123683e, 'btrfs'],
  [0xca451a4e, 'bcachefs'],
  [0x58465342, 'xfs, unless it was made without'],
]);

const KINDS = {
  memory: 'in memory',
  disk: 'a local disk',
  network: 'a network file system, or an unknown one',
};

/** What the file system that holds `path` says. Nothing is tried: that would write. */
export async function describeDisk(path: string): Promise<readonly ServiceFact[]> {
  const directory = nearest(path);
  const reflink = REFLINKS.get(fs.statfsSync(directory).type);
  return [
    { label: 'disk', text: KINDS[diskKind(directory)] },
    {
      label: 'copies',
      text: reflink === undefined ? 'read and written' : `without a digest, by reflink (${reflink})`,
    },
    { label: 'free', bytes: freeBytes(directory) },
  ];
}

/** The nearest directory, or file, that exists. */
function nearest(path: string): string {
  for (let at = path; ; at = dirname(at)) if (fs.existsSync(at) || at === dirname(at)) return at;
}

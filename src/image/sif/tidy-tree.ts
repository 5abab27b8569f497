import fs from 'node:fs';

const SETUID = 0o6000;
const OWN_DIRECTORY = 0o700;
const OWN_FILE = 0o600;

/**
 * Takes out of a tree that another program has made what a sandbox has not: devices and sockets, and the bits that lend
 * power. Unless root runs this, all of it can be read and removed by its owner then. No link is followed. The tree must be one that
 * nobody else can reach.
 */
export function tidyTree(root: string): { readonly bytes: number; readonly notes: readonly string[] } {
  const isRoot = process.geteuid?.() === 0;
  let bytes = 0;
  let [devices, lending] = [0, 0];
  const seen = new Set<number>();

  function tidy(path: Buffer): void {
    const stat = fs.lstatSync(path);
    if (stat.isSymbolicLink()) return;
    if (stat.isDirectory()) {
      const mode = (stat.mode & 0o7777) | (isRoot ? 0 : OWN_DIRECTORY);
      // It may be closed to us until then.
      fs.chmodSync(path, mode);
      for (const name of fs.readdirSync(path, { encoding: 'buffer' })) {
        tidy(Buffer.concat([path, Buffer.from('/'), name]));
      }
      fs.utimesSync(path, stat.mtimeMs / 1000, stat.mtimeMs / 1000);
      return;
    }
    if (!stat.isFile() && !stat.isFIFO()) {
      fs.unlinkSync(path);
      devices += 1;
      return;
    }
    if (seen.has(stat.ino)) return;
    seen.add(stat.ino);
    if (stat.isFile()) bytes += stat.size;
    if ((stat.mode & SETUID) !== 0) lending += 1;
    fs.chmodSync(path, (stat.mode & 0o7777 & ~SETUID) | (isRoot ? 0 : OWN_FILE));
  }

  tidy(Buffer.from(root));
  const told = (count: number, what: string) => (count === 0 ? [] : [`${what} (${count})`]);
  return {
    bytes,
    notes: [...told(devices, 'devices left out'), ...told(lending, 'setuid bits not taken over')],
  };
}

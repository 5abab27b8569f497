import { readlinkSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { look } from '../integrity/digest-file.ts';

/** What standard output is, where the system tells (Linux). */
const STANDARD_OUTPUT = '/proc/self/fd/1';

/**
 * Tells the files that sums are written to, which are not summed: the file, what it is written to before it is whole, and,
 * without an output, the file that standard output goes to.
 */
export function ownFiles(output: string | undefined): (path: string) => boolean {
  if (output === undefined) return standardOutput();
  const path = resolve(output);
  const hidden = join(dirname(path), `.${basename(path).slice(0, 60)}.`);
  // Most paths are told apart by their last part alone.
  return (other) => {
    if (!other.endsWith(`/${basename(path)}`) && !other.endsWith('.partial')) return false;
    const full = resolve(other);
    return full === path || full.startsWith(hidden);
  };
}

/** By what the file is, since a link may lead to it; asked of files of its name alone. */
function standardOutput(): (path: string) => boolean {
  try {
    const own = statSync(STANDARD_OUTPUT, { bigint: true });
    if (!own.isFile()) return () => false;
    const name = basename(readlinkSync(STANDARD_OUTPUT));
    return (other) => {
      if (basename(other) !== name) return false;
      const stat = look(other);
      return stat !== undefined && stat.ino === own.ino && stat.dev === own.dev;
    };
  } catch {
    return () => false;
  }
}

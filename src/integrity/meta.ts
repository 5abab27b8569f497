import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toTransferError } from '../errors.ts';
import type { Digest } from '../protocol.ts';
import { isProblem } from './manifests/manifest.ts';
import { parseMeta } from './manifests/meta.ts';

/**
 * Looks up what the workflow knows of a logical file: the entries of every `*.meta` file in `directory`, read once, when
 * first asked for. Of several entries for one name the last counts, in the order of the file names. What cannot be read
 * is told to `warn` and passed over.
 */
export function createMetaCatalog(
  directory: string,
  warn: (message: string) => void,
): (lfn: string) => Promise<Digest | undefined> {
  let catalog: Promise<ReadonlyMap<string, Digest>> | undefined;
  return async (lfn) => {
    catalog ??= readCatalog(directory, warn);
    return (await catalog).get(lfn);
  };
}

async function readCatalog(
  directory: string,
  warn: (message: string) => void,
): Promise<ReadonlyMap<string, Digest>> {
  const digests = new Map<string, Digest>();
  let names: string[] = [];
  try {
    names = (await readdir(directory)).filter((name) => name.endsWith('.meta')).sort();
  } catch (error) {
    warn(toTransferError(error, `reading the meta data in \`${directory}\``).message);
  }
  for (const name of names) {
    try {
      for (const item of parseMeta(await readFile(join(directory, name)))) {
        if (isProblem(item)) warn(`${name}: ${item.where}: ${item.problem}`);
        else for (const digest of item.digests) digests.set(item.name, digest);
      }
    } catch (error) {
      warn(`Error parsing the meta data: \`${name}\`: ${toTransferError(error, 'reading it').message}`);
    }
  }
  return digests;
}

import { existsSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { isBelowRoot } from '../integrity/manifests/names.ts';

/**
 * The directory that names of a list may have been meant from, where nothing was found from the current one: that of a
 * list, or the one above. `missing` is a name that was not found.
 */
export function likelyRoot(missing: string, elsewhere: readonly string[]): string | undefined {
  if (missing.startsWith('/') || missing.includes('://') || elsewhere.length === 0) return undefined;
  const found = [...elsewhere, '..'].find(
    (directory) => resolve(directory) !== resolve('.') && existsSync(resolve(directory, missing)),
  );
  if (found === undefined || found === '..') return found;
  const shown = relative('.', found);
  return isBelowRoot(shown) ? shown : found;
}

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import type { Digest } from '../protocol.ts';
import { parseDigest } from './expected.ts';

/** Files of this size and less hold no entry. */
const EMPTY_BYTES = 2;

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
      await readMeta(join(directory, name), digests, (message) => warn(`${name}: ${message}`));
    } catch (error) {
      warn(`Error parsing the meta data: ${toTransferError(error, `\`${name}\``).message}`);
    }
  }
  return digests;
}

async function readMeta(
  path: string,
  digests: Map<string, Digest>,
  warn: (message: string) => void,
): Promise<void> {
  const bytes = await readFile(path);
  if (bytes.length <= EMPTY_BYTES) return;
  const entries: unknown = JSON.parse(bytes.toString('utf8'));
  if (!Array.isArray(entries)) throw new TransferError('invalid-request', `\`${path}\`: expected a list`);
  for (const [index, entry] of entries.entries()) {
    try {
      const found = parseEntry(entry);
      if (found) digests.set(found.lfn, found.digest);
    } catch (error) {
      warn(`entry ${index}: ${toTransferError(error, 'meta data').message}`);
    }
  }
}

/** An entry without a checksum says nothing here: files have other meta data, too. */
function parseEntry(entry: unknown): { readonly lfn: string; readonly digest: Digest } | undefined {
  const { _id: lfn, _attributes: attributes } = fieldsOf(entry);
  if (typeof lfn !== 'string') throw new TransferError('invalid-request', 'expected a string as `_id`');
  const { 'checksum.type': type = 'sha256', 'checksum.value': value } = fieldsOf(attributes);
  if (value === undefined) return undefined;
  if (typeof type !== 'string' || typeof value !== 'string') {
    throw new TransferError('invalid-request', `\`${lfn}\`: expected strings as checksum`);
  }
  return { lfn, digest: parseDigest(type.toLowerCase().replaceAll('-', ''), value) };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

import { basename, dirname, relative, resolve } from 'node:path';
import { TransferError } from '../errors.ts';
import { parseDigest } from '../integrity/expected.ts';
import { findFormat } from '../integrity/manifests/formats.ts';
import type { FormatName } from '../integrity/manifests/manifest.ts';
import { isBelowRoot, isSelfRooted } from '../integrity/manifests/names.ts';
import { createNameSet, type NameSet } from '../integrity/name-set.ts';
import { formatLocation, LOCAL_SCHEMES } from '../location.ts';
import type { Outcome } from '../outcome.ts';
import type { Digest } from '../protocol.ts';
import type { Consumer, Write } from './consumer.ts';
import { openPartialFile } from './partial-file.ts';
import { urlText } from './url-text.ts';

export interface ChecksumsOptions {
  readonly path: string;
  /** As the name of the file tells, without it. */
  readonly format: FormatName | undefined;
  /** The digests of blocks, too, for which only `json` has room. */
  readonly blocks?: boolean;
  /** Takes a line with its newline. */
  readonly warn: Write;
}

/** Formats that know files by their logical name. */
const LOGICAL: ReadonlySet<FormatName> = new Set(['meta', 'catalog-yaml', 'catalog-text']);

const BY_NAME: readonly (readonly [RegExp, FormatName])[] = [
  [/\.meta$/, 'meta'],
  [/\.ya?ml$/, 'catalog-yaml'],
  [/\.json$/, 'json'],
  [/^(?:tag)?manifest-[a-z0-9]+\.txt$/, 'bagit'],
];

/**
 * Writes down the digests of every file that is done, once the run has ended: whole, or not at all. Throws
 * `invalid-request` for a format that is only read, and when the file cannot be made.
 */
export function checksumsFile({ path, format, blocks = false, warn }: ChecksumsOptions): Consumer {
  const name = format ?? BY_NAME.find(([pattern]) => pattern.test(basename(path)))?.[1] ?? 'sums';
  const writer = findFormat(name).write?.({});
  if (!writer) {
    throw new TransferError('invalid-request', `--write-checksums: \`${name}\` can be read, not written`);
  }
  const file = openPartialFile(resolve(path));
  file.append(writer.begin());
  let without = 0;
  const alone = createAlone();
  return {
    event(event) {
      if (event.type !== 'item-ended') return;
      const { outcome } = event;
      if (outcome.kind !== 'transfer' || outcome.status !== 'done') return;
      const digests = Object.entries(outcome.digests).map(([algorithm, value]) =>
        parseDigest(algorithm, value),
      );
      if (blocks && !outcome.blocks) without += 1;
      if (digests.length === 0) return;
      try {
        const entry = entryOf(outcome, digests, nameOf(outcome, name, path));
        if (!alone.takes(outcome, entry)) return;
        file.append(writer.entry(blocks && outcome.blocks ? { ...entry, blocks: outcome.blocks } : entry));
      } catch (error) {
        if (!(error instanceof TransferError)) throw error;
        warn(`warning: \`${path}\`: ${error.message}\n`);
      }
    },
    close() {
      file.append(writer.end());
      file.publish();
      if (without === 0) return;
      const whose = without === 1 ? 'a file' : `${without.toLocaleString('en')} files`;
      warn(`warning: \`${path}\`: no digests of blocks of ${whose} whose bytes did not pass through\n`);
    },
  };
}

/** Keeps URLs apart that differ in nothing but a query that grants access: in the list they have one name. */
function createAlone() {
  let names: NameSet | undefined;
  let whole: NameSet | undefined;
  return {
    /** False for what stands there already. Throws `invalid-request` for other content under a name that is taken. */
    takes({ rest, destination }: Outcome, { name, digests }: ReturnType<typeof entryOf>): boolean {
      if (name !== formatLocation(destination) || LOCAL_SCHEMES.has(destination.scheme)) return true;
      names ??= createNameSet();
      whole ??= createNameSet();
      const isFirst = names.add(name);
      const isOther = whole.add(`${name} ${digests.map(({ value }) => value).join(' ')}`);
      if (isFirst) return true;
      if (!isOther) return false;
      const text = `no digest of \`${urlText(destination, rest?.destination)}\`: another file has the same URL`;
      throw new TransferError('invalid-request', `${text} but for the query, which is not written down`);
    },
  };
}

/** A link has the digests of what it leads to, and no bytes of its own that were counted. */
function entryOf({ route, bytes }: Outcome, digests: readonly Digest[], name: string) {
  return { name, digests, ...(route === 'stream' ? { size: bytes } : {}) };
}

/** What a reader of the file finds the content by: relative to where readers look, if it is below. */
function nameOf({ lfn, destination }: Outcome, format: FormatName, path: string): string {
  if (LOGICAL.has(format) && lfn !== '') return lfn;
  if (!LOCAL_SCHEMES.has(destination.scheme)) return formatLocation(destination);
  const root = isSelfRooted(format) ? dirname(resolve(path)) : resolve('.');
  const beside = relative(root, resolve(destination.path));
  return isBelowRoot(beside) ? beside : resolve(destination.path);
}

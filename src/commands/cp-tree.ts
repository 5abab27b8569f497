import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { TransferError } from '../errors.ts';
import { formatLocation } from '../location.ts';
import { isLocal } from '../plan.ts';
import type { Entry } from '../protocol.ts';
import type { MkdirRequest, Place, Request, TransferRequest } from '../request.ts';
import { below, escapes } from './arguments.ts';
import type { DirectoryMaker } from './cp-directories.ts';
import type { Target } from './cp-targets.ts';
import type { Filter } from './globs.ts';
import { refusal } from './refusal.ts';
import type { InputTools } from './running.ts';

/** Entries passed over that are told one by one. */
const MOST_TOLD = 20;

export interface Walk extends InputTools {
  readonly filter: Filter;
  /** The next position in the input. */
  readonly nextIndex: () => number;
  /** Who makes directories for a tree that goes there; nobody does for a plan. */
  readonly directoriesFor?: (destination: Place) => DirectoryMaker | undefined;
}

/** The request to copy one file. */
export function copyRequest(index: number, source: Place, destination: Place): TransferRequest {
  return {
    kind: 'transfer',
    index,
    lfn: '',
    linkage: '',
    sources: [source],
    destinations: [destination],
    generateChecksum: false,
    verifyRemote: false,
    verifySymlinkSource: true,
    expected: [],
  };
}

/**
 * The requests that copy a tree, made while it is walked: files, and directories that have nothing in them. What cannot
 * be copied by its name is refused as an item of its own; links to directories and devices are passed over with a warning.
 */
export async function* walkTree({ source, destination }: Target, walk: Walk): AsyncGenerator<Request> {
  const { emit, signal } = walk;
  const endpoint = await walk.endpoints.open(source);
  if (!endpoint.list)
    throw new TransferError('unsupported', `\`${source.location.scheme}\`: this protocol cannot list`);
  const refuse = (to: Place, name: string, error: TransferError) =>
    emit({ type: 'item-ended', outcome: refusal(walk.nextIndex(), below(source, name), to, error) });
  const passed = passOver(walk, source);
  const guard = guardLinks(destination);
  const folder = isLocal(destination.location)
    ? { ...destination, location: { ...destination.location, scheme: 'file' } }
    : destination;
  const directories = walk.directoriesFor?.(destination);
  if (directories) {
    // Some services have no directories of their own, only names with slashes.
    const own = await endpoint.stat(source.location.path, { signal }).catch(() => undefined);
    directories.enter('', own ?? { type: 'directory' });
  }
  /** A directory that nothing was seen below yet; undefined at first is the tree itself. */
  let open: string | undefined = '';

  const closeOpen = async function* (next?: string): AsyncGenerator<MkdirRequest> {
    if (open === undefined) return;
    const isParent = next !== undefined && (open === '' || next.startsWith(`${open}/`));
    if (!isParent) {
      await directories?.makeFor(open);
      yield { kind: 'mkdir', index: walk.nextIndex(), target: below(folder, open) };
    }
    open = undefined;
  };

  for await (const entry of endpoint.list(source.location.path, { recursive: true, signal })) {
    if (signal.aborted) return;
    yield* closeOpen(entry.name);
    const { type } = entry.stat;
    if (!walk.filter(entry.name, type === 'directory')) continue;
    const bad = entry.problem ?? escapes(entry.name);
    if (bad !== undefined) {
      const message = `list \`${formatLocation(source.location)}\`: the entry \`${entry.name}\` is refused: ${bad}`;
      refuse(destination, '', new TransferError('invalid-request', message));
      continue;
    }
    const to = below(destination, entry.name);
    const link = guard(entry, to);
    if (link === 'told') continue;
    if (link) refuse(to, entry.name, link);
    else if (type === 'directory') {
      open = entry.name;
      directories?.enter(entry.name, entry.stat);
    } else if (type === 'file') {
      await directories?.makeFor(entry.name);
      yield copyRequest(walk.nextIndex(), below(source, entry.name), to);
    } else passed.tell(entry);
  }
  yield* closeOpen();
  passed.end();
}

/** Tells of the first entries passed over, and counts the rest. */
function passOver({ emit }: Walk, source: Place) {
  let count = 0;
  const warn = (key: string, message: string) => emit({ type: 'warning', key, message });
  return {
    tell(entry: Entry): void {
      count += 1;
      if (count > MOST_TOLD) return;
      const name = formatLocation(below(source, entry.name).location);
      const what = entry.stat.type === 'symlink' ? 'a link to a directory or to nothing' : 'no regular file';
      warn(`passed ${name}`, `not copied: ${name}: ${what}`);
    },
    end(): void {
      if (count > MOST_TOLD)
        warn(`passed ${formatLocation(source.location)}`, `not copied: ${count - MOST_TOLD} more`);
    },
  };
}

/**
 * Refuses directories of the source whose place a link has taken at the destination: what is copied below them would
 * leave the tree. What lies below a refused one is passed over.
 */
function guardLinks(destination: Place): (entry: Entry, to: Place) => TransferError | 'told' | undefined {
  if (!isLocal(destination.location)) return () => undefined;
  let refused: string | undefined;
  return (entry, to) => {
    if (refused !== undefined && entry.name.startsWith(`${refused}/`)) return 'told';
    if (entry.stat.type !== 'directory') return undefined;
    const path = resolve(to.location.path);
    if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return undefined;
    refused = entry.name;
    return new TransferError('already-exists', `make directory \`${path}\`: a symbolic link has its place`);
  };
}

import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import type { Endpoints } from '../endpoints.ts';
import { TransferError } from '../errors.ts';
import { imageFileName } from '../image/file-name.ts';
import { formatLocation, IMAGE_SCHEMES } from '../location.ts';
import { isLocal } from '../plan.ts';
import type { Stat } from '../protocol.ts';
import type { Place } from '../request.ts';
import { below, escapes, isStandardStream, lastName } from './arguments.ts';

/** One source and where it goes, or why it cannot. */
export interface Target {
  readonly source: Place;
  readonly destination: Place;
  readonly isDirectory: boolean;
  readonly problem?: TransferError;
}

export interface TargetCall {
  readonly sources: readonly Place[];
  readonly destination: Place;
  readonly recursive: boolean;
  /** What is of this machine is linked to, a directory that nobody wants walked as well. */
  readonly symlink: boolean;
  readonly signal: AbortSignal;
}

/**
 * Where each source goes, as cp decides: into a destination that is a directory or ends in `/`, else to that very name.
 * Throws `invalid-request` when several sources have no directory to go to.
 */
export async function findTargets(call: TargetCall, endpoints: Endpoints): Promise<readonly Target[]> {
  const { sources, destination, recursive, symlink, signal } = call;
  const severalOrTree = sources.length > 1 || recursive;
  const there = await typeOf(destination, severalOrTree, endpoints, signal);
  const endsInSlash = destination.location.path.endsWith('/');
  const into = there === 'directory' || (endsInSlash && there === undefined);
  if (sources.length > 1 && !into) {
    throw new TransferError(
      'invalid-request',
      `expected a directory as destination of several sources, got \`${formatLocation(destination.location)}\``,
      { hint: 'a destination that does not exist yet is named with a `/` at its end' },
    );
  }
  const taken = new Set<string>();
  const targets: Target[] = [];
  for (const given of sources) {
    const source = withoutDot(given);
    const isContent = source !== given;
    const isTree = (await typeOf(source, recursive, endpoints, signal)) === 'directory';
    const isLinked = !recursive && !isContent && isLink(source, destination, symlink);
    const isDirectory = isTree && !isLinked;
    // A tree that goes to a name of nothing becomes it, also when the name ends in a slash.
    const isWhole = !into || (isDirectory && sources.length === 1 && there === undefined);
    targets.push(place(source, destination, { isDirectory, isContent, isWhole, recursive, taken }));
  }
  return targets;
}

/** Whether a file of these ends would become a link. */
function isLink(source: Place, destination: Place, symlink: boolean): boolean {
  const { location } = destination;
  return (
    isLocal(source.location) && (location.scheme === 'symlink' || (symlink && location.scheme === 'file'))
  );
}

/** `file` stands for everything that is no directory. Only asks where the answer matters and costs little. */
async function typeOf(
  place: Place,
  matters: boolean,
  endpoints: Endpoints,
  signal: AbortSignal,
): Promise<'file' | 'directory' | undefined> {
  const { location } = place;
  if (isStandardStream(place)) return 'file';
  if (!isLocal(location)) {
    if (location.path.endsWith('/')) return 'directory';
    if (!matters) return 'file';
  }
  let stat: Stat;
  try {
    stat = await (await endpoints.open({ ...place, location: asFile(location) })).stat(location.path, {
      signal,
    });
  } catch (error) {
    // What else is wrong with it the transfer will find out, and tell with its item.
    return error instanceof TransferError && error.code === 'not-found' ? undefined : 'file';
  }
  return stat.type === 'directory' ? 'directory' : 'file';
}

/** A link that is a source or destination is looked through. */
function asFile(location: Place['location']): Place['location'] {
  return isLocal(location) ? { ...location, scheme: 'file' } : location;
}

function place(
  source: Place,
  destination: Place,
  how: {
    readonly isDirectory: boolean;
    /** The source was named as what lies in it. */
    readonly isContent: boolean;
    readonly isWhole: boolean;
    readonly recursive: boolean;
    readonly taken: Set<string>;
  },
): Target {
  const { isDirectory } = how;
  const shown = formatLocation(source.location);
  const fail = (target: Place, message: string, hint?: string): Target => ({
    source,
    destination: target,
    isDirectory,
    problem: new TransferError('invalid-request', message, hint === undefined ? {} : { hint }),
  });
  if (isDirectory && !how.recursive) return fail(destination, `\`${shown}\`: is a directory (use -r)`);
  if (how.isWhole) return checked({ source, destination, isDirectory }, fail);
  const name = isStandardStream(source) || how.isContent ? '' : nameBelow(source, isDirectory);
  if (name === undefined || (name === '' && !isDirectory)) {
    return fail(
      destination,
      `\`${shown}\`: expected a source with a name`,
      'name the destination file in full',
    );
  }
  const problem = name === '' ? undefined : escapes(name);
  if (problem !== undefined || name.includes('/')) {
    return fail(destination, `\`${shown}\`: the name \`${name}\` is refused: ${problem ?? 'it has a slash'}`);
  }
  const target = below(destination, name);
  const key = formatLocation(target.location);
  if (how.taken.has(key)) return fail(target, `\`${shown}\`: \`${key}\` was named by another source already`);
  how.taken.add(key);
  return checked({ source, destination: target, isDirectory }, fail);
}

/** Services have no `.`: what is in the directory is meant. */
function withoutDot(place: Place): Place {
  const { location } = place;
  const path = location.path.replace(/\/\.\/*$/, '/');
  return isLocal(location) || path === location.path ? place : { ...place, location: { ...location, path } };
}

/** As cp: `.` and `..` put their contents straight into the destination. */
function nameBelow(source: Place, isDirectory: boolean): string | undefined {
  const { location } = source;
  // As what it is read as: an archive, or a SIF file as it is.
  if (IMAGE_SCHEMES.has(location.scheme)) {
    const ending = isArchive(location) ? '.tar' : '.sif';
    return imageFileName(location.scheme, location.authority + location.path, ending);
  }
  const name = lastName(location);
  if (isDirectory && isLocal(location) && (name === '.' || name === '..' || name === '')) return '';
  return name;
}

function isArchive({ scheme }: Place['location']): boolean {
  return scheme === 'docker' || scheme === 'oci';
}

function checked(target: Target, fail: (place: Place, message: string) => Target): Target {
  const { source, destination, isDirectory } = target;
  if (!isDirectory || !isLocal(source.location) || !isLocal(destination.location)) return target;
  const from = realPath(source.location.path);
  const to = realPath(destination.location.path);
  if (to !== from && !to.startsWith(from.endsWith(sep) ? from : from + sep)) return target;
  return fail(
    destination,
    `\`${source.location.path}\`: cannot copy a directory into itself, \`${destination.location.path}\``,
  );
}

/** Links resolved as far as the path exists. */
function realPath(path: string): string {
  const whole = resolve(path);
  try {
    return realpathSync(whole);
  } catch {
    const parent = dirname(whole);
    return parent === whole ? whole : join(realPath(parent), basename(whole));
  }
}

import { TransferError } from '../../errors.ts';
import { type ByteText, readable } from '../../job/byte-text.ts';
import { safeText } from '../../safe-text.ts';
import type { Member } from '../tar/member.ts';

/** As the kernel follows at most (path_resolution(7)). */
const MOST_LINKS = 40;

/** What the kernel takes as a path, without the NUL (limits.h, `PATH_MAX`). */
const LONGEST_PATH = 4095;

/** `NAME_MAX`; some packers make of a longer one a file system that no kernel mounts. */
const LONGEST_NAME = 255;

/** A directory of a file system that only exists as names; `T` is what is known of it. */
export interface Directory<T> {
  readonly children: Map<ByteText, Node<T>>;
  /** Absent when no member speaks of it and others lie below. */
  facts?: T;
}

/** Anything else. Hard links are one leaf under several names. */
export interface Leaf<T> {
  readonly facts: T;
  /** Where a symbolic link leads to. */
  readonly symlink?: ByteText;
}

export type Node<T> = Directory<T> | Leaf<T>;

export const isDirectory = <T>(node: Node<T> | undefined): node is Directory<T> =>
  node !== undefined && 'children' in node;

export const emptyDirectory = <T>(): Directory<T> => ({ children: new Map() });

/**
 * The parts of a member's name, without those that say nothing; none for the root. An absolute name counts from the
 * root. Throws `invalid-request` for one with `..`: no honest archive has it.
 */
export function partsOf(name: ByteText): ByteText[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refused(name, 'leads out of its directory');
  if (name.length > LONGEST_PATH) throw refused(name, `is longer than ${LONGEST_PATH} bytes`);
  if (parts.some(({ length }) => length > LONGEST_NAME)) {
    throw refused(name, `has a part of more than ${LONGEST_NAME} bytes`);
  }
  return parts;
}

/** Throws `invalid-request` for an owner that no file can have: `(uid_t) -1` is for calls that change none (chown(2)). */
export function requireOwner({ name, uid, gid }: Pick<Member, 'name' | 'uid' | 'gid'>): void {
  if (Math.min(uid, gid) < 0 || Math.max(uid, gid) >= 2 ** 32 - 1)
    throw refused(name, 'has an owner that no file can have');
}

/** A directory that was found, and the way to it, on which no symbolic link is left. */
export interface Place<T> {
  readonly directory: Directory<T>;
  readonly path: readonly ByteText[];
}

/**
 * Where `parts` lead from `root`, symbolic links followed as within a root of their own: none leads out. What is
 * missing, or no directory, is told to `make`, which puts a directory in its place or leaves it (then: undefined).
 */
export function enter<T>(
  root: Directory<T>,
  parts: readonly ByteText[],
  make: (parent: Place<T>, name: ByteText) => Directory<T> | undefined,
): Place<T> | undefined {
  const ahead = parts.toReversed();
  const above: Directory<T>[] = [root];
  const path: ByteText[] = [];
  let links = 0;
  for (let part = ahead.pop(); part !== undefined; part = ahead.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (path.pop() !== undefined) above.pop();
      continue;
    }
    const here = above.at(-1) ?? root;
    const node = here.children.get(part);
    if (node && 'symlink' in node && node.symlink !== undefined) {
      links += 1;
      if (links > MOST_LINKS) throw refused(parts.join('/'), 'lies behind too many symbolic links');
      if (node.symlink.startsWith('/')) {
        above.length = 1;
        path.length = 0;
      }
      for (const one of node.symlink.split('/').toReversed()) ahead.push(one);
      continue;
    }
    const next = isDirectory(node) ? node : make({ directory: here, path }, part);
    if (!next) return undefined;
    above.push(next);
    path.push(part);
  }
  return { directory: above.at(-1) ?? root, path };
}

export const refused = (name: ByteText, why: string): TransferError =>
  new TransferError('invalid-request', `reading the archive: \`${shown(name)}\` ${why}`);

/** A name as it may be printed. */
export const shown = (name: ByteText): string => safeText(readable(name));

import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';

/** `.bridle-KEY-NONCE.part`: the key of the write, and a number of its own that no other writer has. */
const PARTIAL = /^\.bridle-([0-9a-f]{32})-[0-9a-f]{16}\.part$/;

/** True for names that only this project's writers use; with `key`, for those of one write. Listings leave them out. */
export function isPartialName(name: string, key?: string): boolean {
  const shape = PARTIAL.exec(name);
  return shape !== null && (key === undefined || shape[1] === key);
}

/** A new name for a partial of `path`, hidden, in the same directory: a rename must not cross file systems. */
export function newPartialPath(path: string, key: string): string {
  return posix.join(posix.dirname(path), `.bridle-${key}-${randomBytes(8).toString('hex')}.part`);
}

/** True when `handle`, which came from a journal, can be a partial of this write: beside `path`, with its key. */
export function isPartialOf(handle: string, path: string, key: string): boolean {
  return (
    posix.dirname(handle) === posix.dirname(posix.join(path)) && isPartialName(posix.basename(handle), key)
  );
}

/** A partial that a write of this process left, and how much of it the server has acknowledged without a gap. */
export interface KeptPartial {
  readonly partial: string;
  readonly end: number;
}

/** What one endpoint knows of partials: those kept for a next try, and those that somebody works on. */
export interface PartialBook {
  readonly kept: Map<string, KeptPartial>;
  readonly claimed: Set<string>;
}

export function createPartialBook(): PartialBook {
  return { kept: new Map(), claimed: new Set() };
}

/** Several destinations may share a key. */
export function bookKey(path: string, key: string): string {
  return `${key} ${path}`;
}

import { posix } from 'node:path';
import { newNonce } from '../local/writer.ts';
import { asideName, keyOfPartial, partialName } from '../partial-name.ts';

/** A new name for a partial of `path`, hidden, in the same directory: a rename must not cross file systems. */
export function newPartialPath(path: string, key: string): string {
  return posix.join(posix.dirname(path), partialName(key, newNonce()));
}

/** Where what has the name `path` waits while it is replaced by two renames. */
export function newAsidePath(path: string, key: string): string {
  return posix.join(posix.dirname(path), asideName(key, newNonce()));
}

/** True when `handle`, which came from a journal, can be a partial of this write: beside `path`, with its key. */
export function isPartialOf(handle: string, path: string, key: string): boolean {
  return (
    posix.dirname(handle) === posix.dirname(posix.join(path)) && keyOfPartial(posix.basename(handle)) === key
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

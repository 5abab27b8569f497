import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import { diskKind } from '../local/disk.ts';
import type { Digest } from '../protocol.ts';

/**
 * A directory that keeps content by its digest, for all processes of one user on one machine:
 *
 *     content/NAME       a whole file, never changed again
 *     claims/NAME/       one file, what has come of it so far; its name says who writes it
 *     new/               what has no name yet
 *     CACHEDIR.TAG       tells programs that make backups to leave it out (https://bford.info/cachedir/)
 */
export interface CachePlace {
  readonly directory: string;
  readonly content: string;
  readonly claims: string;
  readonly fresh: string;
}

/** What is wanted: content of a known digest, or what `key` makes, always the same bytes. */
export type Subject = { readonly digest: Digest } | { readonly key: string };

/** The first bytes of a tag, as its specification asks for; the rest is for people. */
const TAG =
  'Signature: 8a477f597d28d172789f06886806bc55\n# Kept by bridle: what is here can be fetched again.\n';

/**
 * Opens the cache in `directory`, made when absent, readable by this user alone. Rejects with `unsupported` on a network
 * file system (its machines cannot tell whether each other's processes live), `permission-denied` where others could put
 * their files in the place of ours, `already-exists` where it is no directory.
 */
export function openPlace(directory: string): CachePlace {
  const doing = `open the cache \`${directory}\``;
  const place = {
    directory,
    content: join(directory, 'content'),
    claims: join(directory, 'claims'),
    fresh: join(directory, 'new'),
  };
  try {
    fs.mkdirSync(dirname(directory), { recursive: true });
    for (const path of [directory, place.content, place.claims, place.fresh]) makePrivate(path, doing);
    writeTag(join(directory, 'CACHEDIR.TAG'));
  } catch (error) {
    throw toTransferError(error, doing);
  }
  if (diskKind(directory) === 'network') {
    throw new TransferError(
      'unsupported',
      `${doing}: expected a local file system, this one is of a network`,
      { hint: 'give a directory of this machine; each machine keeps a cache of its own' },
    );
  }
  return place;
}

/** A directory that someone else planted is refused: what is in it would be his to swap. */
function makePrivate(path: string, doing: string): void {
  try {
    fs.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    const stat = fs.lstatSync(path);
    const isOwn = stat.uid === (process.getuid?.() ?? stat.uid);
    if (!stat.isDirectory()) {
      throw new TransferError(
        'already-exists',
        `${doing}: expected a directory, got something else: \`${path}\``,
      );
    }
    if (isOwn && (stat.mode & 0o022) === 0) return;
    throw new TransferError(
      'permission-denied',
      `${doing}: expected a directory that this user alone can write to, others can write to \`${path}\``,
    );
  }
}

function writeTag(path: string): void {
  try {
    fs.writeFileSync(path, TAG, { flag: 'wx', mode: 0o644 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

/** The name that content has in the cache: `sha256-9f86…`, or `made-` and a digest of the key. */
export function nameOf(subject: Subject): string {
  if ('digest' in subject) return `${subject.digest.algorithm}-${subject.digest.value}`;
  return `made-${createHash('sha256').update(subject.key).digest('hex')}`;
}

import fs, { constants } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { syncDirectory } from '../local/directory-sync.ts';
import { diskKind, syncFile } from '../local/disk.ts';
import { writerId } from '../local/writer.ts';
import type { Digest } from '../protocol.ts';
import type { CachePlace } from './place.ts';

/** A whole file of the cache. */
export interface Content {
  readonly path: string;
  /** Open for reading: stays readable when the cache drops it meanwhile. */
  readonly fd: number;
  /** Bytes. */
  readonly size: number;
  readonly digest: Digest;
  /** When it was last compared with its digest, in milliseconds since 1970; undefined where nobody wrote that down. */
  readonly provenAt: number | undefined;
}

/** What is written down of content beside its bytes. */
interface Note {
  readonly algorithm: Digest['algorithm'];
  readonly value: string;
  /** Bytes. */
  readonly size: number;
  readonly seal?: Seal;
}

/** When content was last compared with its digest. */
interface Seal {
  readonly inode: string;
  /** Milliseconds since 1970. */
  readonly proven: number;
}

/**
 * When all content of a cache was last modified. Writing to a file, through a hard link of it somewhere else, say, sets
 * the real time, and that shows: what is not of this time is no longer what was kept.
 */
const UNTOUCHED = new Date(Date.UTC(2000, 0, 1));

const { O_RDONLY, O_NOFOLLOW } = constants;
const NOTE = '.json';

/**
 * The content `name`, open, when it is there and as it was kept; it counts as used now. What somebody has changed since
 * is removed, and is not there.
 */
export function findContent(place: CachePlace, name: string): Content | undefined {
  const path = join(place.content, name);
  let fd: number;
  try {
    fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    if (errnoOf(error) !== 'ELOOP') throw error;
    dropContent(place, name);
    return undefined;
  }
  try {
    const facts = fs.fstatSync(fd, { bigint: true });
    const size = Number(facts.size);
    const note = readNote(path + NOTE);
    if (isUntouched(facts) && note?.size === size) {
      markUsed(path);
      const { algorithm, value, seal } = note;
      const isSealed = seal?.inode === String(facts.ino);
      return { path, fd, size, digest: { algorithm, value }, provenAt: isSealed ? seal.proven : undefined };
    }
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
  fs.closeSync(fd);
  dropContent(place, name);
  return undefined;
}

const isUntouched = ({ mtimeNs }: fs.BigIntStats): boolean =>
  mtimeNs === BigInt(UNTOUCHED.getTime()) * 1_000_000n;

/** Writes down that open content was compared with its digest at `proven`. */
export function sealContent(
  place: CachePlace,
  name: string,
  { fd, size, digest: { algorithm, value } }: Pick<Content, 'fd' | 'size' | 'digest'>,
  proven: number,
): void {
  const facts = fs.fstatSync(fd, { bigint: true });
  const path = join(place.content, name);
  const there = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
  if (!isUntouched(facts) || there?.ino !== facts.ino) return;
  const seal: Seal = { inode: String(facts.ino), proven };
  writeNote(place, name, { algorithm, value, size, seal });
}

function writeNote(place: CachePlace, name: string, note: Note): void {
  const fresh = join(place.fresh, `${writerId()}-${name}${NOTE}`);
  try {
    fs.writeFileSync(fresh, JSON.stringify(note), { mode: 0o444 });
    fs.renameSync(fresh, join(place.content, name) + NOTE);
  } catch (error) {
    fs.rmSync(fresh, { force: true });
    throw error;
  }
}

/** On the note: a time of the content's own, set while somebody reads it, would be a change to it. */
function markUsed(path: string): void {
  const now = new Date();
  try {
    fs.utimesSync(path + NOTE, now, now);
  } catch (error) {
    // Dropped just now; whoever has it open reads on.
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

function readNote(path: string): Note | undefined {
  try {
    const note: Partial<Note> = JSON.parse(fs.readFileSync(path, 'utf8'));
    const { algorithm, value, size, seal } = note;
    if (!algorithm || !value || size === undefined) return undefined;
    return { algorithm, value, size, ...(seal ? { seal } : {}) };
  } catch {
    return undefined;
  }
}

interface KeepCall {
  readonly digest: Digest;
  readonly size: number;
  /** Permission bits, without any to write. */
  readonly mode?: number | undefined;
}

/**
 * Makes the whole, proven file at `part` the content `name`, on the device before it has the name. False when `part` is
 * no longer there: somebody who took this process for dead goes on with it.
 */
export async function keepContent(
  place: CachePlace,
  name: string,
  part: string,
  { digest, size, mode = 0o444 }: KeepCall,
): Promise<boolean> {
  const path = join(place.content, name);
  const kind = diskKind(place.content);
  let fd: number;
  try {
    fd = fs.openSync(part, O_RDONLY | O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
  try {
    await syncFile(fd, kind);
    fs.fchmodSync(fd, mode);
    fs.futimesSync(fd, new Date(), UNTOUCHED);
    writeNote(place, name, { algorithm: digest.algorithm, value: digest.value, size });
    fs.renameSync(part, path);
    sealContent(place, name, { fd, size, digest }, Date.now());
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' && !fs.existsSync(part)) return false;
    throw error;
  } finally {
    fs.closeSync(fd);
  }
  await syncDirectory(place.content, kind);
  return true;
}

/** Content and note; absent is success. The bytes go first: a note alone is nothing. */
export function dropContent(place: CachePlace, name: string): void {
  const path = join(place.content, name);
  fs.rmSync(path, { force: true });
  fs.rmSync(path + NOTE, { force: true });
}

/** Of content that is kept: when it was last used, in milliseconds since 1970, and how large it is, in bytes. */
export interface Kept {
  readonly name: string;
  readonly used: number;
  readonly size: number;
}

/** Everything that is kept, what was not used for longest first. */
export function listContent(place: CachePlace): readonly Kept[] {
  const kept: Kept[] = [];
  for (const name of fs.readdirSync(place.content)) {
    if (name.endsWith(NOTE)) continue;
    const path = join(place.content, name);
    const [stat, note] = [path, path + NOTE].map((one) => fs.lstatSync(one, { throwIfNoEntry: false }));
    if (stat) kept.push({ name, used: note?.mtimeMs ?? 0, size: stat.size });
  }
  return kept.sort((one, other) => one.used - other.used);
}

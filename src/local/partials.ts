import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { type DiskCalls, type DiskKind, diskCalls, diskKind } from './disk.ts';
import { writerId, writerLives } from './writer.ts';

/**
 * Partial files of a destination directory lie in one private folder beside the finished files, so that a later run
 * finds what a killed one left by reading a folder that holds nothing else: `.bridle-UID/KEY-WRITER.part`. Only its
 * writer ever writes to a name; taking over a dead writer's file is one atomic rename to a name of one's own.
 */
export interface PartialFolder {
  readonly directory: string;
  readonly folder: string;
  readonly kind: DiskKind;
  readonly calls: DiskCalls;
  /** Left by writers that are dead, by key. */
  readonly leftovers: Map<string, Leftover>;
  /** The directory held nothing when this run first looked: no destination needs to be asked about what it replaces. */
  readonly wasEmpty: boolean;
}

/** A partial and the journal that can prove it; the names differ when a claim was cut off between its two renames. */
interface Leftover {
  readonly part: string;
  readonly journal: string;
}

const PARTIAL_SHAPE =
  /^([0-9a-f]{32})-([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12})(-[0-9a-f]+)?\.(part|link|dir|part\.journal)$/;
/** Folders that are remembered before those that are empty are removed. */
const FOLDERS_KEPT = 1024;
/** Each process that ends may remove a folder that is empty just then: of 64 that ended together, more than 4 did so to one. */
const FOLDER_TRIES = 64;
/** What rmdir(2) says of a directory that holds something. */
const IN_USE: ReadonlySet<string | undefined> = new Set(['ENOTEMPTY', 'EEXIST']);

const folders = new Map<string, Promise<PartialFolder>>();
/** Those of the above whose leftovers are known. */
const settled = new Map<string, PartialFolder>();
/** Partials that a write of this process is working on. */
const active = new Set<string>();
/** Folders that the next clean-up tries to remove: a partial was made in them, or the last one found them in use. */
const used = new Set<string>();
let sequence = 0;

/** What `.bridle-UID` is called here. */
export function partialFolderName(): string {
  return `.bridle-${process.getuid?.() ?? 0}`;
}

/** True for names that only this project's writers use. Listings leave them out. */
export function isPartialFolder(name: string): boolean {
  return /^\.bridle-\d+$/.test(name);
}

/** The folder for partials of `directory`, made when absent; `directory` itself is made with its parents. */
export async function partialFolder(directory: string): Promise<PartialFolder> {
  const known = folders.get(directory);
  if (known) return known;
  if (folders.size >= FOLDERS_KEPT) {
    await closeFolders();
    const opened = folders.get(directory);
    if (opened) return opened;
  }
  const opening = openFolder(directory);
  folders.set(directory, opening);
  opening.then(
    (place) => settled.set(directory, place),
    () => folders.delete(directory),
  );
  return opening;
}

/** False when it is certain that nothing was left under `key` in `directory`. */
export function hasLeftovers(directory: string, key: string): boolean {
  return settled.get(directory)?.leftovers.has(key) ?? true;
}

/**
 * Works in the folder for partials of `directory`; again with a new one when that was gone (`ENOENT`), because another
 * process removed it, empty just then. Whoever has a file in it is safe from that.
 */
export async function inPartialFolder<T>(
  directory: string,
  work: (place: PartialFolder) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    const place = await partialFolder(directory);
    try {
      return await work(place);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || tries === FOLDER_TRIES) throw error;
      forgetFolder(place);
    }
  }
}

async function openFolder(directory: string): Promise<PartialFolder> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await readFolder(directory);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || tries === FOLDER_TRIES) throw error;
    }
  }
}

async function readFolder(directory: string): Promise<PartialFolder> {
  const folder = join(directory, partialFolderName());
  const calls = diskCalls(nearestKind(directory));
  try {
    await makeFolder(folder);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    await calls.mkdirs(directory);
    await makeFolder(folder);
  }
  const opened: PartialFolder = {
    directory,
    folder,
    kind: diskKind(directory),
    calls,
    leftovers: new Map(),
    wasEmpty: await isEmpty(directory),
  };
  await findLeftovers(opened);
  return opened;
}

/** True when nothing but the partial folder is there. Reads no more than a few names, however many there are. */
async function isEmpty(directory: string): Promise<boolean> {
  try {
    const names = await fs.promises.opendir(directory, { bufferSize: 4 });
    for await (const { name } of names) if (!isPartialFolder(name)) return false;
    return true;
  } catch (error) {
    // A directory may be written to and not be read.
    if (errnoOf(error) === 'EACCES') return false;
    throw error;
  }
}

function nearestKind(directory: string): DiskKind {
  for (let at = directory; ; at = dirname(at)) {
    if (fs.existsSync(at) || at === dirname(at)) return diskKind(at);
  }
}

/** A folder that someone else planted (a symlink, another owner) is refused: partials would be his to swap. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await fs.promises.mkdir(folder, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    const stat = await fs.promises.lstat(folder);
    const own = process.getuid?.() ?? stat.uid;
    if (!stat.isDirectory() || stat.uid !== own || (stat.mode & 0o022) !== 0) {
      throw Object.assign(new Error(`${folder}: not a private directory of this user`), { code: 'EPERM' });
    }
  }
}

/** Remembers what dead writers left that a journal can prove, and removes the rest of theirs. */
async function findLeftovers(place: PartialFolder): Promise<void> {
  const byKey = new Map<
    string,
    { readonly path: string; readonly suffix: string; readonly touched: number }[]
  >();
  const now = Date.now();
  for (const name of await fs.promises.readdir(place.folder)) {
    const shape = PARTIAL_SHAPE.exec(name);
    if (!shape?.[1] || !shape[2] || !shape[4]) continue;
    const path = join(place.folder, name);
    const stat = await fs.promises.lstat(path).catch(() => undefined);
    if (!stat || isInUse(path, shape[2], stat.mtimeMs, now)) continue;
    const found = byKey.get(shape[1]) ?? [];
    byKey.set(shape[1], found);
    found.push({ path, suffix: shape[4], touched: stat.mtimeMs });
  }
  for (const [key, found] of byKey) {
    found.sort((a, b) => b.touched - a.touched);
    const part = found.find(({ suffix }) => suffix === 'part')?.path;
    const journals = found.filter(({ suffix }) => suffix === 'part.journal').map(({ path }) => path);
    const journal = journals.find((path) => path === `${part}.journal`) ?? journals[0];
    if (part && journal) place.leftovers.set(key, { part, journal });
    for (const { path } of found) {
      if (part && journal && (path === part || path === journal)) continue;
      await fs.promises.rm(path, { recursive: true, force: true });
    }
  }
}

function isInUse(path: string, writer: string, touched: number, now: number): boolean {
  if (writer === writerId()) return active.has(path.replace(/\.journal$/, ''));
  return writerLives(writer, touched, now);
}

/** A name that nobody else writes to, for a new partial with this key. */
export function newPartial(
  place: PartialFolder,
  key: string,
  suffix: 'part' | 'link' | 'dir' = 'part',
): string {
  sequence += 1;
  const path = `${place.folder}/${key}-${writerId()}-${sequence.toString(16)}.${suffix}`;
  active.add(path);
  used.add(place.folder);
  return path;
}

/** Takes over what a dead writer (or an earlier attempt of this process) left under `key`; one claimant wins. */
export async function claimPartial(place: PartialFolder, key: string): Promise<string | undefined> {
  const left = place.leftovers.get(key);
  if (left === undefined) return undefined;
  place.leftovers.delete(key);
  const mine = newPartial(place, key);
  try {
    await place.calls.rename(left.part, mine);
    await place.calls.rename(left.journal, `${mine}.journal`);
    return mine;
  } catch {
    await dropPartial(place, mine);
    return undefined;
  }
}

/** Leaves a partial for the next attempt of this process, or for the next run. */
export function keepPartial(place: PartialFolder, key: string, path: string): void {
  active.delete(path);
  place.leftovers.set(key, { part: path, journal: `${path}.journal` });
}

/** The partial has its final name now. */
export function releasePartial(path: string): void {
  active.delete(path);
}

/** Removes a partial and its journal; absent is success. */
export async function dropPartial(place: PartialFolder, path: string): Promise<void> {
  try {
    await unlinkAny(place, path);
    await dropJournal(place, path);
  } finally {
    active.delete(path);
  }
}

/** Removes the journal of a partial that has become a file; absent is success. */
export async function dropJournal(place: PartialFolder, path: string): Promise<void> {
  await unlinkAny(place, `${path}.journal`);
}

async function unlinkAny(place: PartialFolder, path: string): Promise<void> {
  try {
    await place.calls.unlink(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

/** The calls of `closeFolders`, one after another. */
let closings: Promise<void> = Promise.resolve();

/**
 * Removes the folders that are empty. One that still holds something, because a write works in it, a journal has yet to
 * go, or the next run can resume it, is looked at again by the next call. Calls take turns: who is done with a folder
 * while another call finds it in use removes it by his own. A folder opened meanwhile is none of this call's business.
 */
export function closeFolders(): Promise<void> {
  closings = closings.then(closeOpened);
  return closings;
}

async function closeOpened(): Promise<void> {
  const closing = [...folders];
  const opened = await Promise.allSettled(closing.map(([, opening]) => opening));
  for (const [directory, opening] of closing) {
    if (folders.get(directory) !== opening) continue;
    folders.delete(directory);
    settled.delete(directory);
  }
  const emptied = new Set(used);
  used.clear();
  for (const one of opened) if (one.status === 'fulfilled') emptied.add(one.value.folder);
  for (const folder of emptied) {
    try {
      await fs.promises.rmdir(folder);
    } catch (error) {
      if (IN_USE.has(errnoOf(error))) used.add(folder);
    }
  }
}

/** After an ENOENT: another process removed the folder because it was empty just then. */
export function forgetFolder(place: PartialFolder): void {
  folders.delete(place.directory);
  settled.delete(place.directory);
}

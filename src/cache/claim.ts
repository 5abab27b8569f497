import fs, { constants } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { isOfThisMachine, writerId, writerLives } from '../local/writer.ts';
import type { CachePlace } from './place.ts';

/** The right to write one file of the cache, and what there is of it. Exactly one process of the machine has it. */
export interface Claim {
  readonly path: string;
  /** The directory that stands for the claim. */
  readonly folder: string;
}

/** Who has the claim now, and how far that one is. */
export interface Holder {
  readonly file: string;
  readonly lives: boolean;
  /** Bytes that have come. */
  readonly size: number;
}

const PART = '.part';
/** What somebody who failed has left for whoever comes next. */
const LEFT = `left${PART}`;
/** What rename(2) says when the directory there holds something. */
const IN_USE: ReadonlySet<string | undefined> = new Set(['ENOTEMPTY', 'EEXIST']);

let sequence = 0;

/** Who holds the claim to `name`; undefined when nobody does. */
export function holderOf(place: CachePlace, name: string): Holder | undefined {
  const folder = join(place.claims, name);
  for (const file of namesIn(folder)) {
    if (!file.endsWith(PART)) continue;
    const stat = fs.lstatSync(join(folder, file), { throwIfNoEntry: false });
    if (!stat) continue;
    const lives = file !== LEFT && writerLives(writerOf(file), stat.mtimeMs, Date.now());
    return { file, lives, size: stat.size };
  }
  return undefined;
}

/**
 * Takes the claim to `name`, with what was left of it, when nobody who lives has it. Undefined when somebody else was
 * quicker. A directory with the partial in it is moved into place, so a claim is never there without its holder's name.
 */
export function takeClaim(place: CachePlace, name: string): Claim | undefined {
  const holder = holderOf(place, name);
  if (holder?.lives) return undefined;
  const folder = join(place.claims, name);
  return holder ? takeOver(place, folder, holder.file) : makeClaim(place, folder);
}

/** A place to fetch to for oneself, whoever has the claim. */
export function ownClaim(place: CachePlace): Claim {
  const own = newName();
  const folder = join(place.fresh, own);
  const path = join(folder, own + PART);
  fs.mkdirSync(folder, { mode: 0o700 });
  fs.closeSync(fs.openSync(path, 'wx', 0o600));
  return { path, folder };
}

/** Two claims of one process are told apart, too. */
function newName(): string {
  sequence += 1;
  return `${writerId()}-${sequence.toString(16)}`;
}

function makeClaim(place: CachePlace, folder: string): Claim | undefined {
  const made = ownClaim(place);
  try {
    fs.renameSync(made.folder, folder);
    return { path: join(folder, basename(made.path)), folder };
  } catch (error) {
    fs.rmSync(made.folder, { recursive: true, force: true });
    if (IN_USE.has(errnoOf(error))) return undefined;
    throw error;
  }
}

function takeOver(place: CachePlace, folder: string, file: string): Claim | undefined {
  const left = join(folder, file);
  const path = join(folder, newName() + PART);
  try {
    fs.renameSync(left, path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (file !== LEFT && !isOfThisMachine(writerOf(file))) detach(place, path);
  // Those who cannot see this process go by the time.
  const now = new Date();
  fs.utimesSync(path, now, now);
  return { path, folder };
}

/** Of a writer in another container nothing is known: should it write on after all, then into a file that is nobody's. */
function detach(place: CachePlace, path: string): void {
  const copy = join(place.fresh, newName());
  fs.copyFileSync(path, copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  fs.renameSync(copy, path);
}

/** Gives the claim up and leaves what came to whoever takes it next; what was fetched for oneself goes. */
export function leaveClaim(place: CachePlace, claim: Claim): void {
  const { path, folder } = claim;
  if (dirname(folder) === place.fresh) dropClaim(claim);
  else quietly(() => fs.renameSync(path, join(folder, LEFT)));
}

/** Gives the claim up with all that came: it was wrong, or has become content. */
export function dropClaim({ path, folder }: Claim): void {
  quietly(() => fs.unlinkSync(path));
  // Whoever has put his own partial there meanwhile keeps it.
  quietly(() => fs.rmdirSync(folder));
}

/** Removes what processes that are dead have prepared and never used, and claims that nobody has touched since `before`. */
export function cleanClaims(place: CachePlace, before: number): void {
  for (const name of namesIn(place.fresh)) {
    const path = join(place.fresh, name);
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (stat && !writerLives(writerOf(name), stat.mtimeMs, Date.now())) {
      fs.rmSync(path, { recursive: true, force: true });
    }
  }
  for (const name of namesIn(place.claims)) {
    const holder = holderOf(place, name);
    if (holder?.lives) continue;
    const folder = join(place.claims, name);
    const touched = holder ? touchedAt(join(folder, holder.file)) : 0;
    if (touched > before) continue;
    const claim = takeClaim(place, name);
    if (claim) dropClaim(claim);
  }
}

function touchedAt(path: string): number {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** A writer is 30 characters; what follows tells several things of one writer apart. */
function writerOf(name: string): string {
  return name.slice(0, 30);
}

function namesIn(folder: string): readonly string[] {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // Gone already, or in use by the next: both are as well.
  }
}

import fs from 'node:fs';
import { join } from 'node:path';
import { toTransferError } from './errors.ts';
import type { PrefixDigest } from './integrity/prefix.ts';
import { type Journal, type JournalHeader, openJournal, readJournal } from './journal.ts';
import { writerId, writerLives } from './local/writer.ts';
import { handleOf, readHandle } from './resume-handle.ts';

/** The state directory holds this one folder for partials on services. */
const FOLDER = 'partials';
const NAME_SHAPE =
  /^(([0-9a-f]{32})-([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12})-[0-9a-f]+)\.(journal|handle|handle\.new)$/;
/** A journal is a line for each block: one that is longer was not written by us. */
const MOST_BYTES = 16 * 1024 * 1024;
/** Milliseconds between signs of life in a folder that other machines may share; see `writerLives`. */
const HEARTBEAT_MS = 60_000;

/** What is known on this machine of one partial on a service, and held by this process alone until `release` or `remove`. */
export interface RemoteJournal {
  /** What an earlier writer wrote down; undefined when that cannot be read. */
  readonly found: ReturnType<typeof readJournal>;
  /** What the endpoint needs to find the partial, as last written down. A secret for some services. */
  handle(): string | undefined;
  /** Begins the journal anew, with what it held before as far as it is in `blocks`. */
  open(header: JournalHeader, blocks: readonly PrefixDigest[]): Journal;
  /** Writes the handle down, whole or not at all, for this user only. */
  keepHandle(handle: string): void;
  /** Leaves it for a later try of this run, or for another run. */
  release(): void;
  /** Leaves it for another run alone. */
  leave(): void;
  /** The partial is no more, or has become a file. */
  remove(): void;
}

/** Journals of partials that do not lie on this machine. */
export interface RemoteJournals {
  /** Takes over what a dead writer, or an earlier try, left under `key`, the latest first; undefined when nothing is left. */
  claim(key: string): RemoteJournal | undefined;
  /** The same for exactly the one that {@link listRemoteJournals} told of. */
  claimOne(left: RemoteLeftover): RemoteJournal | undefined;
  /** A new one; undefined, with one warning, when nothing can be kept there. */
  create(key: string): RemoteJournal | undefined;
}

/** A leftover: its name without extension, and whether it has a journal (a kill may leave a handle alone). */
interface Left {
  readonly stem: string;
  readonly hasJournal: boolean;
}

/** Names without their extension that this process holds. */
const held = new Set<string>();
let sequence = 0;

/**
 * Journals below the state directory, in a folder that is made and read when first needed:
 * `partials/KEY-WRITER-N.journal` and, of mode 0600, `.handle`. The writer in the name is the lease: only it writes
 * there, and taking over a dead writer's is one atomic rename.
 */
export function createRemoteJournals(
  state: string,
  warn: (key: string, message: string) => void,
): RemoteJournals {
  const folder = join(state, FOLDER);
  let left: Map<string, Left[]> | undefined;

  /** By key, of writers that are dead. */
  function leftovers(): Map<string, Left[]> {
    left ??= findLeftovers(folder);
    return left;
  }

  function hold(key: string, stem: string, found: RemoteJournal['found']): RemoteJournal {
    held.add(stem);
    const { keepHandle, handle, flush, stop } = handleOf(stem);
    const beat = setInterval(() => touch(stem), HEARTBEAT_MS).unref();
    const letGo = () => {
      stop();
      clearInterval(beat);
      held.delete(stem);
    };
    const leave = () => {
      flush();
      letGo();
    };
    return {
      found,
      handle,
      keepHandle,
      open: (header, blocks) => openJournal(stem, header, blocks),
      leave,
      release() {
        leave();
        const one = { stem, hasJournal: fs.existsSync(`${stem}.journal`) };
        leftovers().set(key, [one, ...(leftovers().get(key) ?? [])]);
      },
      remove() {
        letGo();
        removeAll(stem);
      },
    };
  }

  return {
    claim(key) {
      const all = leftovers().get(key) ?? [];
      for (let one = all.shift(); one; one = all.shift()) {
        const mine = newStem(folder, key);
        if (takeOver(one, mine, all)) return hold(key, mine, readBounded(mine));
      }
      return undefined;
    },
    claimOne({ key, stem }) {
      const all = leftovers().get(key) ?? [];
      const [one] = all.splice(all.findIndex((each) => each.stem === stem) >>> 0, 1);
      const mine = newStem(folder, key);
      return one && takeOver(one, mine, all) ? hold(key, mine, readBounded(mine)) : undefined;
    },
    create(key) {
      try {
        makePrivate(state, folder);
      } catch (error) {
        const { message } = toTransferError(error, `write down what to resume in \`${folder}\``);
        warn('state', `${message}; interrupted uploads will start over`);
        return undefined;
      }
      return hold(key, newStem(folder, key), undefined);
    },
  };
}

function newStem(folder: string, key: string): string {
  sequence += 1;
  return join(folder, `${key}-${writerId()}-${sequence.toString(16)}`);
}

/**
 * The first rename decides: of two processes, only one finds the file under its old name. The handle of one that was
 * killed between its two renames has the name before.
 */
function takeOver({ stem, hasJournal }: Left, mine: string, others: readonly Left[]): boolean {
  if (!hasJournal) return takeHandle([stem], mine);
  if (!rename(`${stem}.journal`, `${mine}.journal`)) return false;
  const stems = [stem, ...others.filter((other) => !other.hasJournal).map((other) => other.stem)];
  takeHandle(stems, mine);
  return true;
}

/** Also one that a kill left under its first name: where there is no other, it may be the only trace of what lies there. */
function takeHandle(stems: readonly string[], mine: string): boolean {
  const isFound = stems.some((one) => rename(`${one}.handle`, `${mine}.handle`));
  const begun = isFound ? `${mine}.handle.new` : `${mine}.handle`;
  return stems.some((one) => rename(`${one}.handle.new`, begun)) || isFound;
}

function rename(from: string, to: string): boolean {
  try {
    fs.renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

function readBounded(stem: string): RemoteJournal['found'] {
  try {
    const stat = fs.lstatSync(`${stem}.journal`);
    return stat.isFile() && stat.size <= MOST_BYTES ? readJournal(stem) : undefined;
  } catch {
    return undefined;
  }
}

function removeAll(stem: string): void {
  for (const extension of ['.handle', '.handle.new', '.journal'])
    fs.rmSync(stem + extension, { force: true });
}

function touch(stem: string): void {
  const now = new Date();
  fs.utimes(`${stem}.journal`, now, now, () => undefined);
}

/** A folder that someone else planted, or may write to, is refused: what it says would decide where bytes go. */
function makePrivate(state: string, folder: string): void {
  fs.mkdirSync(state, { recursive: true, mode: 0o700 });
  try {
    fs.mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  if (!isPrivate(folder)) {
    throw Object.assign(new Error('not a private directory of this user'), { code: 'EPERM' });
  }
  fs.accessSync(folder, fs.constants.W_OK);
}

function isPrivate(folder: string): boolean {
  const stat = fs.lstatSync(folder, { throwIfNoEntry: false });
  return (
    stat?.isDirectory() === true &&
    stat.uid === (process.geteuid?.() ?? stat.uid) &&
    (stat.mode & 0o022) === 0
  );
}

function findLeftovers(folder: string): Map<string, Left[]> {
  const byKey = new Map<string, Left[]>();
  for (const one of stemsIn(folder)) {
    if (one.isInUse) continue;
    const key = keyOf(folder, one.stem);
    byKey.set(key, [...(byKey.get(key) ?? []), one]);
  }
  return byKey;
}

function keyOf(folder: string, stem: string): string {
  return stem.slice(folder.length + 1).slice(0, 32);
}

function isInUse(stem: string, writer: string, touched: number): boolean {
  return writer === writerId() ? held.has(stem) : writerLives(writer, touched, Date.now());
}

/** What lies in the folder by name without extension: what has a journal before what has none, the latest first. */
function stemsIn(folder: string) {
  const found = new Map<string, { writer: string; touched: number; hasJournal: boolean }>();
  for (const name of isPrivate(folder) ? fs.readdirSync(folder) : []) {
    const [, base, , writer, extension] = NAME_SHAPE.exec(name) ?? [];
    const { mtimeMs } = fs.lstatSync(join(folder, name), { throwIfNoEntry: false }) ?? {};
    if (!base || !writer || mtimeMs === undefined) continue;
    const stem = join(folder, base);
    const known = found.get(stem);
    found.set(stem, {
      writer,
      touched: Math.max(mtimeMs, known?.touched ?? 0),
      hasJournal: known?.hasJournal || extension === 'journal',
    });
  }
  return [...found]
    .map(([stem, one]) => ({ ...one, stem, isInUse: isInUse(stem, one.writer, one.touched) }))
    .sort((a, b) => Number(b.hasJournal) - Number(a.hasJournal) || b.touched - a.touched);
}

/** What a run left on a service, for those who clean up. */
export interface RemoteLeftover {
  readonly key: string;
  /** Where it is written down. */
  readonly stem: string;
  /** Without secrets; undefined when the journal cannot be read. */
  readonly destination: string | undefined;
  /** Bytes that were surely sent. */
  readonly sent: number;
  /** Milliseconds since the epoch of the last sign of life. */
  readonly touched: number;
  /** A process that may still be writing holds it. */
  readonly isInUse: boolean;
  /** Possibly a secret. */
  handle(): string | undefined;
}

/** Everything that is written down of partials on services. Changes nothing. */
export function listRemoteJournals(state: string): readonly RemoteLeftover[] {
  const folder = join(state, FOLDER);
  return stemsIn(folder).map(({ stem, touched, isInUse }) => {
    const found = readBounded(stem);
    return {
      key: keyOf(folder, stem),
      stem,
      destination: found?.header.destination,
      sent: found?.blocks.at(-1)?.end ?? 0,
      touched,
      isInUse,
      handle: () => readHandle(stem),
    };
  });
}

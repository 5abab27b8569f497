import { lstat, readlink, symlink, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { TransferError, toTransferError } from '../errors.ts';
import { writerId, writerLives } from '../local/writer.ts';

/** Milliseconds between two looks at a lock that somebody holds. */
const LOOK_MS = 20;

export interface LockWait {
  /** Milliseconds to wait for a writer that lives. */
  readonly longest: number;
  readonly now: () => number;
}

/**
 * Does `work` while no other process holds the lock `path`. The lock is a symbolic link whose target is its owner's
 * `writerId`: it is made with its content in one step, also over NFS. That of a dead owner is taken down. Rejects with
 * `timed-out` when a live one holds it for too long.
 */
export async function withLock<T>(path: string, wait: LockWait, work: () => Promise<T>): Promise<T> {
  const doing = `locking \`${path}\``;
  const until = wait.now() + wait.longest;
  try {
    while (!(await make(path))) {
      if (!(await takeDownDead(path, wait.now()))) {
        if (wait.now() >= until) throw held(path, doing);
        await sleep(LOOK_MS);
      }
    }
  } catch (error) {
    throw toTransferError(error, doing);
  }
  try {
    return await work();
  } finally {
    await letGo(path);
  }
}

/** Another machine may have taken over what was held for too long: that one is not ours to remove. */
async function letGo(path: string): Promise<void> {
  const owner = await ownerOf(path).catch(() => undefined);
  if (owner?.writer === writerId()) await unlink(path).catch(() => undefined);
}

/** False when the lock exists. */
async function make(path: string): Promise<boolean> {
  try {
    await symlink(writerId(), path);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/**
 * True when the lock was a dead owner's, or is gone by itself. Who takes a lock down holds a second one meanwhile, so
 * that none takes down what another has made since: two that saw the same dead owner would.
 */
async function takeDownDead(path: string, now: number): Promise<boolean> {
  const owner = await ownerOf(path);
  if (owner === undefined) return true;
  if (writerLives(owner.writer, owner.since, now)) return false;
  const guard = `${path}.down`;
  if (!(await make(guard))) return takeDownDead(guard, now);
  try {
    if ((await ownerOf(path))?.writer === owner.writer) await unlink(path);
    return true;
  } finally {
    await letGo(guard);
  }
}

async function ownerOf(
  path: string,
): Promise<{ readonly writer: string; readonly since: number } | undefined> {
  try {
    const [writer, { mtimeMs }] = await Promise.all([readlink(path), lstat(path)]);
    return { writer, since: mtimeMs };
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function held(path: string, doing: string): TransferError {
  return new TransferError('timed-out', `${doing}: another process holds it`, {
    hint: `remove \`${path}\` if no other bridle is running on any machine`,
  });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

import { isUtf8 } from 'node:buffer';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { errnoOf, TransferError, toTransferError } from '../errors.ts';
import type { Entry, ListCall, MkdirCall, RemoveCall } from '../protocol.ts';
import { isPartialFolder } from './partials.ts';
import { statOf } from './source.ts';

/**
 * What is below `directory`, parents before their members, names in byte order. Links to files count as files; links to
 * directories are told as `symlink` and not entered, so that no listing leaves its tree or runs in a circle. A directory
 * below that cannot be read is told with its problem.
 */
export async function* listTree(directory: string, call: ListCall): AsyncGenerator<Entry> {
  yield* listBelow(directory, '', await readNames(directory), call);
}

async function* listBelow(
  root: string,
  below: string,
  names: readonly Buffer[],
  call: ListCall,
): AsyncGenerator<Entry> {
  for (const raw of names) {
    if (call.signal.aborted) return;
    const name = raw.toString('utf8');
    const relative = below === '' ? name : `${below}/${name}`;
    if (!Buffer.from(name, 'utf8').equals(raw)) {
      const shown = JSON.stringify(raw.toString('latin1'));
      yield { name: relative, stat: { type: 'other' }, problem: `${shown}: the name is not UTF-8` };
      continue;
    }
    if (isPartialFolder(name)) continue;
    const stat = await statEntry(join(root, relative));
    if (!stat) continue;
    if (!call.recursive || stat.type !== 'directory') {
      yield { name: relative, stat };
      continue;
    }
    const members = await readNames(join(root, relative)).catch((error: unknown) =>
      toTransferError(error, 'list'),
    );
    if (members instanceof TransferError) yield { name: relative, stat, problem: members.message };
    else {
      yield { name: relative, stat };
      yield* listBelow(root, relative, members, call);
    }
  }
}

/**
 * Paths of the files below `directory` as {@link listTree} has them, with nothing asked of each but what directories
 * tell: a fifth of the time. Links to files count; what cannot be told is a `problem`.
 */
export function* listFiles(
  directory: string,
  below = '',
): Generator<{ readonly name: string; readonly problem?: string }> {
  for (const entry of readEntries(directory)) {
    const name = entry.name.toString('utf8');
    const relative = below === '' ? name : `${below}/${name}`;
    if (!isUtf8(entry.name)) {
      const shown = JSON.stringify(entry.name.toString('latin1'));
      yield { name: relative, problem: `${shown}: the name is not UTF-8` };
      continue;
    }
    if (isPartialFolder(name)) continue;
    if (entry.isDirectory()) {
      try {
        yield* listFiles(join(directory, name), relative);
      } catch (error) {
        yield { name: relative, problem: toTransferError(error, 'list').message };
      }
    } else if (!entry.isSymbolicLink() || isFileBehind(join(directory, name))) yield { name: relative };
  }
}

function readEntries(directory: string): fs.Dirent<Buffer>[] {
  try {
    const entries = fs.readdirSync(directory, { withFileTypes: true, encoding: 'buffer' });
    return entries.sort((a, b) => Buffer.compare(a.name, b.name));
  } catch (error) {
    throw toTransferError(error, `list \`${directory}\``);
  }
}

function isFileBehind(path: string): boolean {
  try {
    return fs.statSync(path).isFile();
  } catch {
    return false;
  }
}

async function readNames(directory: string): Promise<Buffer[]> {
  try {
    const names = await fs.promises.readdir(directory, { encoding: 'buffer' });
    return names.sort(Buffer.compare);
  } catch (error) {
    throw toTransferError(error, `list \`${directory}\``);
  }
}

async function statEntry(path: string): Promise<Entry['stat'] | undefined> {
  try {
    const own = await fs.promises.lstat(path, { bigint: true });
    if (!own.isSymbolicLink()) return statOf(own);
    const target = await fs.promises.stat(path, { bigint: true }).catch(() => undefined);
    return target?.isFile() ? statOf(target) : statOf(own);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw toTransferError(error, `list \`${path}\``);
  }
}

/** Makes a directory with its parents; an existing one is left as it is. `mode` is for the directory alone. */
export async function makeDirectory(path: string, { mode, isExact }: MkdirCall): Promise<void> {
  try {
    if (mode !== undefined && (await makeOne(path, mode & 0o777))) {
      if (isExact) await fs.promises.chmod(path, mode & 0o777);
    } else await fs.promises.mkdir(path, { recursive: true });
  } catch (error) {
    throw toTransferError(error, `make directory \`${path}\``);
  }
}

/** False when something is there already. */
async function makeOne(path: string, mode: number): Promise<boolean> {
  await fs.promises.mkdir(dirname(path), { recursive: true });
  try {
    await fs.promises.mkdir(path, { mode });
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    return false;
  }
}

/** Removes a file, a link (never what it points to) or an empty directory; with `recursive` a whole tree. Absent is success. */
export async function removeTree(path: string, call: RemoveCall): Promise<void> {
  try {
    const stat = await fs.promises.lstat(path);
    if (!stat.isDirectory()) await fs.promises.unlink(path);
    else if (call.recursive) await fs.promises.rm(path, { recursive: true, force: true });
    else await fs.promises.rmdir(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw toTransferError(error, `remove \`${path}\``);
  }
}

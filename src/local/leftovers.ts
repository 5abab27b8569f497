import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { errnoOf, toTransferError } from '../errors.ts';
import type { Leftover, LeftoversCall } from '../protocol.ts';
import { partialFolderName } from './partials.ts';
import { writerId, writerLives } from './writer.ts';

/** `KEY-WRITER-N`, and what follows it. */
const NAME_SHAPE =
  /^(([0-9a-f]{32})-([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12})(?:-[0-9a-f]+)?)\.(part|link|dir|part\.journal)$/;

/** A partial with its journal, of one write. */
interface Found {
  readonly key: string;
  readonly writer: string;
  readonly paths: readonly string[];
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly touched: number;
}

/**
 * What lies in this user's folders for partials, at `path` and below it; links are not followed, and other file systems
 * that are mounted below are left out. Of a path that is no directory: what a write to it left beside it.
 */
export async function* findLeftovers(path: string, call: LeftoversCall): AsyncGenerator<Leftover> {
  const doing = `look for leftovers in \`${path}\``;
  try {
    const there = await fs.promises.stat(path).catch(() => undefined);
    if (there?.isDirectory()) yield* findBelow(path, there.dev, call);
    else {
      await fs.promises.stat(dirname(path));
      yield* findIn(join(dirname(path), partialFolderName()), call.key);
    }
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

async function* findBelow(directory: string, device: number, call: LeftoversCall): AsyncGenerator<Leftover> {
  if (call.signal.aborted) return;
  const folders: string[] = [];
  try {
    for await (const entry of await fs.promises.opendir(directory)) {
      if (entry.isDirectory()) folders.push(entry.name);
    }
  } catch (error) {
    // Gone meanwhile.
    if (errnoOf(error) !== 'ENOENT') call.onProblem(toTransferError(error, `look into \`${directory}\``));
  }
  for (const name of folders.sort()) {
    const path = join(directory, name);
    if (name === partialFolderName()) yield* findIn(path, undefined);
    else if (!/^\.bridle-\d+$/.test(name) && (await deviceOf(path)) === device) {
      yield* findBelow(path, device, call);
    }
  }
}

async function deviceOf(path: string): Promise<number | undefined> {
  return (await fs.promises.lstat(path).catch(() => undefined))?.dev;
}

/** Everything in the folder, or what has that key. A folder that is not this user's own, and private, is not looked into. */
async function* findIn(folder: string, key: string | undefined): AsyncGenerator<Leftover> {
  const stat = await fs.promises.lstat(folder).catch(() => undefined);
  if (!stat?.isDirectory() || stat.uid !== (process.getuid?.() ?? stat.uid) || (stat.mode & 0o022) !== 0)
    return;
  const now = Date.now();
  const names = await fs.promises.readdir(folder);
  if (names.length === 0) {
    const remove = () => removeFolder(folder);
    yield { kind: 'folder', path: folder, age: Math.max(0, now - stat.mtimeMs), remove };
  }
  for (const found of await groupByWrite(folder, names)) {
    if (key !== undefined && found.key !== key) continue;
    const [first = folder] = found.paths;
    yield {
      kind: 'partial',
      path: first,
      size: found.size,
      age: Math.max(0, now - found.touched),
      isInUse: found.writer === writerId() || writerLives(found.writer, found.touched, now),
      async remove() {
        for (const path of found.paths) await fs.promises.rm(path, { recursive: true, force: true });
        await removeFolder(folder);
      },
    };
  }
}

/** In order of their names, the partial before its journal. */
async function groupByWrite(folder: string, names: readonly string[]): Promise<readonly Found[]> {
  const found = new Map<string, Found>();
  for (const name of [...names].sort()) {
    const [, stem, key, writer, kind] = NAME_SHAPE.exec(name) ?? [];
    const path = join(folder, name);
    const stat = await fs.promises.lstat(path).catch(() => undefined);
    if (!stem || !key || !writer || !stat) continue;
    const known = found.get(stem);
    found.set(stem, {
      key,
      writer,
      paths: [...(known?.paths ?? []), path],
      size: (known?.size ?? 0) + (await bytesOf(path, kind, stat)),
      touched: Math.max(known?.touched ?? 0, stat.mtimeMs),
    });
  }
  return [...found.values()];
}

/** Of a partial, or of all files in a directory that images were being put together in. */
async function bytesOf(path: string, kind: string | undefined, stat: fs.Stats): Promise<number> {
  if (kind === 'part') return stat.size;
  if (kind !== 'dir') return 0;
  let bytes = 0;
  for (const entry of await fs.promises.readdir(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await fs.promises.lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
    bytes += file?.size ?? 0;
  }
  return bytes;
}

/** Whoever is about to write there makes it anew. */
async function removeFolder(folder: string): Promise<void> {
  await fs.promises.rmdir(folder).catch((error: unknown) => {
    const code = errnoOf(error);
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  });
}

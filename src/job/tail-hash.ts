import { createHash, type Hash } from 'node:crypto';
import fs from 'node:fs';
import { basename, dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { type FileIdentity, identityOf, isSame } from '../integrity/digest-file.ts';
import { toPath } from './byte-text.ts';
import type { NamedFile } from './look.ts';

/** A digest that was taken while a file was written. */
export interface WrittenDigest {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  /** Of the content that was digested. */
  readonly identity: FileIdentity;
  /** Time that was left to do when the file was whole. */
  readonly seconds: number;
}

/** Files that are digested while they grow. */
export interface Followed {
  /** Undefined for a file that was not written front to back. Call it once, when nobody writes any more. */
  digestOf(file: NamedFile): WrittenDigest | undefined;
  /** Ends the following. */
  end(): void;
}

/** One read; after each others get a turn. */
const BLOCK = 1024 * 1024;

/** A file as far as it was read. */
interface Tail {
  readonly path: string;
  readonly hash: Hash;
  /** CRC-32 of each block, and of what was read of the last one. */
  readonly sums: number[];
  fd: number | undefined;
  at: number;
  isReading: boolean;
  /** Shorter than it was, or another file under the name: to be read again as a whole. */
  isBroken: boolean;
}

/**
 * Begins to follow `files` by inotify(7). That tells of writes and not where they went, so what was digested is compared
 * block by block with what the file holds in the end, by CRC-32, which takes a fraction of the time of sha256.
 */
export function followOutputs(files: readonly NamedFile[]): Followed {
  const tails = new Map<string, Tail>();
  for (const { path } of files) {
    const name = toPath(path);
    if (typeof name !== 'string' || tails.has(name)) continue;
    tails.set(name, {
      path: name,
      hash: createHash('sha256'),
      sums: [],
      fd: undefined,
      at: 0,
      isReading: false,
      isBroken: false,
    });
  }
  const watchers = watch([...tails.values()]);
  return {
    digestOf({ path }) {
      const tail = tails.get(toPath(path) as string);
      return tail && !tail.isBroken ? finish(tail) : undefined;
    },
    end() {
      for (const watcher of watchers) watcher.close();
      for (const { fd } of tails.values()) if (fd !== undefined) fs.closeSync(fd);
    },
  };
}

/** One watch for each directory; where there can be none, files are digested when all is over. */
function watch(tails: readonly Tail[]): fs.FSWatcher[] {
  const watchers: fs.FSWatcher[] = [];
  for (const directory of new Set(tails.map(({ path }) => dirname(path)))) {
    const here = new Map(
      tails.filter(({ path }) => dirname(path) === directory).map((tail) => [basename(tail.path), tail]),
    );
    try {
      const watcher = fs.watch(directory, (_, name) => {
        const tail = here.get(name ?? '');
        if (tail && !tail.isReading) void readOn(tail);
      });
      watcher.on('error', () => watcher.close());
      watchers.push(watcher);
    } catch {
      for (const tail of here.values()) tail.isBroken = true;
    }
  }
  return watchers;
}

async function readOn(tail: Tail): Promise<void> {
  tail.isReading = true;
  try {
    while (!tail.isBroken && readBlock(tail)) await new Promise((resolve) => setImmediate(resolve));
  } catch {
    tail.isBroken = true;
  }
  tail.isReading = false;
}

/** Takes at most the rest of a block; false when there is nothing more. */
function readBlock(tail: Tail): boolean {
  if (tail.fd === undefined) {
    // A FIFO must not be waited for.
    if (!fs.statSync(tail.path, { throwIfNoEntry: false })?.isFile()) return false;
    tail.fd = fs.openSync(tail.path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  }
  const { size } = fs.fstatSync(tail.fd);
  if (size < tail.at) tail.isBroken = true;
  if (size <= tail.at) return false;
  const inBlock = tail.at % BLOCK;
  const bytes = Buffer.allocUnsafe(Math.min(BLOCK - inBlock, size - tail.at));
  const read = bytes.subarray(0, fs.readSync(tail.fd, bytes, 0, bytes.length, null));
  if (read.length === 0) return false;
  tail.hash.update(read);
  const sum = crc32(read, inBlock === 0 ? 0 : tail.sums.pop());
  tail.sums.push(sum);
  tail.at += read.length;
  return true;
}

function finish(tail: Tail): WrittenDigest | undefined {
  const began = performance.now();
  try {
    while (!tail.isBroken && readBlock(tail));
    if (tail.isBroken || tail.fd === undefined) return undefined;
    const identity = identityOf(fs.fstatSync(tail.fd, { bigint: true }));
    if (identity.size !== tail.at || !isAsRead(tail.fd, tail)) return undefined;
    if (!isSame(identity, identityOf(fs.statSync(tail.path, { bigint: true })))) return undefined;
    const seconds = (performance.now() - began) / 1000;
    return { sha256: tail.hash.digest('hex'), identity, seconds };
  } catch {
    return undefined;
  }
}

/** Whether every block still holds what was digested. */
function isAsRead(fd: number, { at, sums }: Tail): boolean {
  const buffer = Buffer.allocUnsafe(Math.min(BLOCK, Math.max(1, at)));
  return sums.every((sum, index) => {
    const length = Math.min(BLOCK, at - index * BLOCK);
    return (
      fs.readSync(fd, buffer, 0, length, index * BLOCK) === length &&
      crc32(buffer.subarray(0, length)) === sum
    );
  });
}

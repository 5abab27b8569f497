import fs from 'node:fs';
import { dirname } from 'node:path';

/**
 * How calls on a file system behave. `memory`: never block, fsync is free. `disk`: metadata and page-cache calls return
 * at once, fsync and cold reads block. `network`: any call may block for as long as the network likes.
 */
export type DiskKind = 'memory' | 'disk' | 'network';

/** statfs(2) f_type values, from linux/magic.h. What is not listed is treated as `network`, the careful choice. */
const MEMORY = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */]);
const DISK = new Set([
  0xef53 /* ext2, ext3, ext4 */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */, 0x794c7630 /* overlayfs */,
  0xf2f52010 /* f2fs */, 0x2fc12fc1 /* zfs */, 0x4d44 /* vfat */, 0x5346544e /* ntfs */,
  0xca451a4e /* bcachefs */,
]);

const KINDS_KEPT = 1024;
const kinds = new Map<string, DiskKind>();

/** The kind of the file system that holds `directory`; asked once per directory. */
export function diskKind(directory: string): DiskKind {
  const known = kinds.get(directory);
  if (known) return known;
  const kind = readKind(directory);
  if (!kind) return 'network';
  if (kinds.size >= KINDS_KEPT) kinds.clear();
  kinds.set(directory, kind);
  return kind;
}

function readKind(directory: string): DiskKind | undefined {
  try {
    const type = fs.statfsSync(directory).type;
    if (MEMORY.has(type)) return 'memory';
    return DISK.has(type) ? 'disk' : 'network';
  } catch {
    return undefined;
  }
}

/** Bytes that an unprivileged writer may still use below `path`'s directory; undefined where nobody says. */
export function freeBytes(directory: string): number | undefined {
  for (let at = directory; ; at = dirname(at)) {
    try {
      const stat = fs.statfsSync(at);
      return stat.blocks === 0 ? undefined : stat.bavail * stat.bsize;
    } catch {
      if (at === dirname(at)) return undefined;
    }
  }
}

type Call<A extends unknown[], R> = (...args: A) => R | Promise<R>;

/** Seconds that a time in whole milliseconds may lose as a floating-point number, which is then cut, not rounded. */
export const HALF_A_TICK = 2.5e-7;

/**
 * The calls that a transfer makes, blocking where that is quicker and harmless (a promise costs 50 µs, an open on a
 * local disk 5), through the thread pool where a call could block the whole process. Await every one.
 */
export interface DiskCalls {
  readonly open: Call<[path: string, flags: number, mode?: number], number>;
  readonly close: Call<[fd: number], void>;
  readonly fstat: Call<[fd: number], fs.BigIntStats>;
  readonly stat: Call<[path: string], fs.BigIntStats>;
  readonly lstat: Call<[path: string], fs.BigIntStats>;
  /** What stands at `path` itself, undefined when nothing does: asked of every destination, so it must not throw. */
  readonly look: Call<[path: string], fs.Stats | undefined>;
  readonly rename: Call<[from: string, to: string], void>;
  readonly unlink: Call<[path: string], void>;
  readonly fchmod: Call<[fd: number, mode: number], void>;
  readonly ftruncate: Call<[fd: number, size: number], void>;
  readonly futimes: Call<[fd: number, seconds: number], void>;
  readonly symlink: Call<[target: string, path: string], void>;
  readonly link: Call<[target: string, path: string], void>;
  /** Creates with parents; existing is success. */
  readonly mkdirs: Call<[path: string], void>;
}

const blocking: DiskCalls = {
  open: (path, flags, mode) => fs.openSync(path, flags, mode),
  close: (fd) => fs.closeSync(fd),
  fstat: (fd) => fs.fstatSync(fd, { bigint: true }),
  stat: (path) => fs.statSync(path, { bigint: true }),
  lstat: (path) => fs.lstatSync(path, { bigint: true }),
  look: (path) => fs.lstatSync(path, { throwIfNoEntry: false }),
  rename: (from, to) => fs.renameSync(from, to),
  unlink: (path) => fs.unlinkSync(path),
  fchmod: (fd, mode) => fs.fchmodSync(fd, mode),
  ftruncate: (fd, size) => fs.ftruncateSync(fd, size),
  futimes: (fd, seconds) => fs.futimesSync(fd, seconds + HALF_A_TICK, seconds + HALF_A_TICK),
  symlink: (target, path) => fs.symlinkSync(target, path),
  link: (target, path) => fs.linkSync(target, path),
  mkdirs: (path) => void fs.mkdirSync(path, { recursive: true }),
};

const pooled: DiskCalls = {
  open: (path, flags, mode) => callback((done) => fs.open(path, flags, mode ?? 0o666, done)),
  close: (fd) => callback((done) => fs.close(fd, done)),
  fstat: (fd) => callback((done) => fs.fstat(fd, { bigint: true }, done)),
  stat: (path) => fs.promises.stat(path, { bigint: true }),
  lstat: (path) => fs.promises.lstat(path, { bigint: true }),
  look: (path) =>
    fs.promises.lstat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    }),
  rename: (from, to) => fs.promises.rename(from, to),
  unlink: (path) => fs.promises.unlink(path),
  fchmod: (fd, mode) => callback((done) => fs.fchmod(fd, mode, done)),
  ftruncate: (fd, size) => callback((done) => fs.ftruncate(fd, size, done)),
  futimes: (fd, seconds) =>
    callback((done) => fs.futimes(fd, seconds + HALF_A_TICK, seconds + HALF_A_TICK, done)),
  symlink: (target, path) => fs.promises.symlink(target, path),
  link: (target, path) => fs.promises.link(target, path),
  mkdirs: (path) => fs.promises.mkdir(path, { recursive: true }).then(() => undefined),
};

/** The calls that suit file systems of this kind. */
export function diskCalls(kind: DiskKind): DiskCalls {
  return kind === 'network' ? pooled : blocking;
}

type Done<T> = (error: NodeJS.ErrnoException | null, value?: T) => void;

function callback<T>(start: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value as T)));
  });
}

/** Forces the file's bytes to the device. Free, and therefore blocking, in memory. */
export function syncFile(fd: number, kind: DiskKind): void | Promise<void> {
  if (kind === 'memory') return fs.fsyncSync(fd);
  return callback((done) => fs.fsync(fd, done));
}

/** Reads into `into`; resolves with the bytes read, 0 at the end of the file. */
export function readAt(
  fd: number,
  into: Uint8Array,
  position: number,
  kind: DiskKind,
): number | Promise<number> {
  if (kind === 'memory') return fs.readSync(fd, into, 0, into.length, position);
  return callback((done) => fs.read(fd, into, 0, into.length, position, done));
}

/** Writes all of `chunk`. */
export function writeAt(
  fd: number,
  chunk: Uint8Array,
  position: number,
  kind: DiskKind,
): void | Promise<void> {
  if (kind === 'memory' || (kind === 'disk' && chunk.length <= 64 * 1024)) {
    for (let done = 0; done < chunk.length; ) {
      done += fs.writeSync(fd, chunk, done, chunk.length - done, position + done);
    }
    return;
  }
  return writeAll(fd, chunk, position);
}

async function writeAll(fd: number, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const offset = done;
    done += await callback<number>((end) =>
      fs.write(fd, chunk, offset, chunk.length - offset, position + offset, end),
    );
  }
}

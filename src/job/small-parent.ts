import fs from 'node:fs';
import { basename } from 'node:path';
import type { Children } from './children.ts';
import { inspect } from './inspect.ts';
import type { Libc } from './libc.ts';
import { commandLine, ownChildren, type ProcessStat, processStat } from './proc.ts';
import { type Program, spawn } from './spawn.ts';

/** util-linux's, which every distribution has here. busybox's does not know `-f`. */
const SETSID = '/usr/bin/setsid';
const NAME = 'setsid';

/**
 * Starts a program as the orphan of a small process, and returns its id as a child that was adopted. What the kernel
 * says of its memory is then its own: `ru_maxrss` of a child that this process starts itself begins with all that node
 * has resident (some 45 MiB), because posix_spawn(3) shares memory with its parent until execve, and Linux counts the
 * memory that is left behind there (`exec_mmap`). Undefined where this way cannot be gone: no util-linux, an argv[0] that
 * is not the file, arguments near the kernel's limit, or a file that perhaps does not start, since who started it could
 * not tell why.
 */
export function spawnSmall(libc: Libc, children: Children, program: Program): number | undefined {
  const { file, args } = program;
  if (!args[0]?.equals(file) || !hasSetsid() || !inspect(file).runs) return undefined;
  const before = new Set(ownChildren());
  const parent = spawn(libc, {
    ...program,
    file: Buffer.from(SETSID),
    args: [Buffer.from(SETSID), Buffer.from('-f'), file, ...args.slice(1)],
  });
  if (parent < 0 || children.reap(parent).status !== 0) return undefined;
  const adopted = ownChildren().filter((pid) => !before.has(pid) && !children.isWatched(pid));
  const stats = adopted.flatMap((pid) => processStat(pid) ?? []);
  return choose(stats, parent, program)?.pid;
}

/**
 * Of children that are new: nearly always one. Where several jobs run, another's orphan may have come in the same
 * millisecond; it has neither this program's arguments nor, most likely, the next free id after the parent's.
 */
function choose(adopted: readonly ProcessStat[], parent: number, program: Program): ProcessStat | undefined {
  const certain = adopted.find(({ session }) => session === parent);
  if (certain) return certain;
  const own = adopted.filter(({ pid, session }) => session === pid);
  const near = own.sort((a, b) => distance(parent, a.pid) - distance(parent, b.pid));
  return near.find(({ pid }) => isRun(pid, program)) ?? near[0];
}

/** Ids are given in turn, and begin anew at the largest there may be. */
const distance = (from: number, to: number): number => (to > from ? to - from : to - from + 2 ** 22);

/** Whether a process has the program's arguments, or none because it has ended. */
function isRun(pid: number, { file, args }: Program): boolean {
  const words = commandLine(pid);
  const rest = Buffer.concat(args.slice(1).flatMap((word) => [word, Buffer.of(0)]));
  return (
    words.length === 0 || (words.includes(file) && words.subarray(words.length - rest.length).equals(rest))
  );
}

/** Whether what ended is what should have become the program: then execve(2) failed after all. */
export function neverStarted(pid: number, file: Buffer): boolean {
  return processStat(pid)?.name === NAME && basename(file.toString('latin1')) !== NAME;
}

function hasSetsid(): boolean {
  try {
    fs.accessSync(SETSID, fs.constants.X_OK);
    return basename(fs.realpathSync(SETSID)) === NAME;
  } catch {
    return false;
  }
}

import fs from 'node:fs';

/** One process, as proc(5) tells in `/proc/PID/stat`. */
export interface ProcessStat {
  readonly pid: number;
  /** The first 15 bytes of the program's name. */
  readonly name: string;
  /** `R`, `S`, `D`, `T`, `t`, `Z`, `X` … */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
}

/** What is known of a process, or nothing when it is gone. */
export function processStat(pid: number): ProcessStat | undefined {
  const text = readOr(`/proc/${pid}/stat`);
  // The name may hold anything, parentheses included.
  const end = text.lastIndexOf(')');
  if (end < 0) return undefined;
  const [state = '', parent, group, session] = text.slice(end + 2).split(' ');
  return {
    pid,
    name: text.slice(text.indexOf('(') + 1, end),
    state,
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
  };
}

/** Every process of this machine that can be seen. Takes some 20 µs for each. */
export function allProcesses(): ProcessStat[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processStat(Number(name)) ?? []);
}

/**
 * The children of this process, zombies among them. Those it adopted are its main thread's, as are those it started
 * there; a kernel without `/proc/PID/task/TID/children` is asked for all processes.
 */
export function ownChildren(): number[] {
  const own = process.pid;
  try {
    return fs
      .readFileSync(`/proc/self/task/${own}/children`, 'latin1')
      .split(' ')
      .filter((word) => word !== '')
      .map(Number);
  } catch {
    return allProcesses()
      .filter(({ parent }) => parent === own)
      .map((child) => child.pid);
  }
}

/** Its arguments, each with a NUL behind it; empty for one that has ended. */
export function commandLine(pid: number): Buffer {
  return Buffer.from(readOr(`/proc/${pid}/cmdline`), 'latin1');
}

/** Whether a process can still do something. */
export const isLive = ({ state }: ProcessStat): boolean => state !== 'Z' && state !== 'X';

function readOr(path: string): string {
  try {
    return fs.readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

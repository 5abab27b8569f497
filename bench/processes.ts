import { readFileSync } from 'node:fs';

/** Ticks a second in which Linux tells processor time to programs (`USER_HZ`, 100 on every machine node runs on). */
const TICKS = 100;

/** The process and all below it. */
export function treeOf(pid: number): number[] {
  const children = readOr(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(treeOf)];
}

/**
 * Seconds of processor time so far: `own`, of every process that this one started and that has ended, with what those
 * waited for; `servers`, of everything below the given processes. One's difference is exact to a tick a process.
 */
export function processorTimes(servers: readonly number[]): {
  readonly own: number;
  readonly servers: number;
} {
  // Fields 14 to 17 (proc(5)): in user space and in the kernel, then the same of ended children.
  const [, , ownUser = 0, ownSystem = 0] = timesOf('self');
  const all = servers.flatMap(treeOf).flatMap(timesOf);
  return { own: (ownUser + ownSystem) / TICKS, servers: all.reduce((sum, ticks) => sum + ticks, 0) / TICKS };
}

function timesOf(pid: number | 'self'): number[] {
  const stat = readOr(`/proc/${pid}/stat`);
  // Behind the name, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).map(Number);
}

/** The text of a file, nothing when it cannot be read. */
export function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import type { Libc } from './libc.ts';
import { ownChildren } from './proc.ts';
import { NO_USAGE, RUSAGE_BYTES, readUsage, type Usage } from './usage.ts';

/** Of wait.h and prctl.h. */
const P_PID = 1;
const WNOHANG = 0x1;
const WSTOPPED = 0x2;
const WEXITED = 0x4;
const WNOWAIT = 0x0100_0000;
const CLD_STOPPED = 5;
const PR_SET_CHILD_SUBREAPER = 36;
/** Where a `siginfo_t` of a child has them, where pointers have 64 bits. */
const SI_CODE = 8;
const SI_PID = 16;
const SI_STATUS = 24;
const SIGINFO_BYTES = 128;

/** What is told of a child that is being watched. */
export interface Watch {
  /** It has ended and is not reaped yet: its id is still its own. Told once. */
  ended(): void;
  /** It was stopped by this signal. */
  stopped(signal: number): void;
}

/** The children of this process, but for those that node's own child_process starts. */
export interface Children {
  /** From now on; what happened before is told at once. */
  watch(pid: number, watch: Watch): void;
  /** Waits for the end of a child, and blocks. */
  reap(pid: number): { readonly status: number; readonly usage: Usage };
  /** Children that nobody here started: orphans of jobs. The dead among them are reaped. */
  orphans(): number[];
  /** Whether it is watched, ended or not. */
  isWatched(pid: number): boolean;
  /** `told` after each change of any child, until the returned function is called. */
  listen(told: () => void): () => void;
}

/** A child of this process that is none of a job: node's, or there before. */
interface Others {
  has(pid: number): boolean;
}

/**
 * Adopts from now on whatever a descendant leaves behind, and tells of children as the kernel's SIGCHLD does: nothing
 * is asked for again and again, and no thread waits.
 */
export function openChildren(libc: Libc): Children {
  const watched = new Map<number, Watch | undefined>();
  const listeners = new Set<() => void>();
  const others = collectOthers();
  libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

  /** The code and status of a child's change, if there is one. */
  const ask = (pid: number, options: number) => {
    const info = Buffer.alloc(SIGINFO_BYTES);
    if (libc.waitid(P_PID, pid, info, options | WNOHANG) !== 0 || info.readInt32LE(SI_PID) === 0) return;
    return { code: info.readInt32LE(SI_CODE), status: info.readInt32LE(SI_STATUS) };
  };

  const look = (pid: number, watch: Watch) => {
    const stop = ask(pid, WSTOPPED);
    if (stop?.code === CLD_STOPPED) watch.stopped(stop.status);
    if (ask(pid, WEXITED | WNOWAIT) === undefined) return;
    // Watched until it is reaped, so that nobody takes it for an orphan.
    watched.set(pid, undefined);
    watch.ended();
  };

  process.on('SIGCHLD', () => {
    for (const [pid, watch] of [...watched]) if (watch) look(pid, watch);
    for (const told of [...listeners]) told();
  });

  return {
    watch(pid, watch) {
      watched.set(pid, watch);
      look(pid, watch);
    },
    reap(pid) {
      const status = Buffer.alloc(4);
      const rusage = Buffer.alloc(RUSAGE_BYTES);
      watched.delete(pid);
      if (libc.wait4(pid, status, 0, rusage) !== pid) return { status: 0, usage: NO_USAGE };
      return { status: status.readInt32LE(0), usage: readUsage(rusage) };
    },
    orphans() {
      const found = ownChildren().filter((pid) => !watched.has(pid) && !others.has(pid));
      return found.filter(
        (pid) => libc.wait4(pid, Buffer.alloc(4), WNOHANG, Buffer.alloc(RUSAGE_BYTES)) === 0,
      );
    },
    isWatched: (pid) => watched.has(pid),
    listen(told) {
      listeners.add(told);
      return () => listeners.delete(told);
    },
  };
}

/** node's own waits for each of its children by id, and one that was reaped here would never end there. */
function collectOthers(): Others {
  const before = new Set(ownChildren());
  const nodes = new Set<ChildProcess>();
  subscribe('child_process', (message) => {
    const child = (message as { readonly process: ChildProcess }).process;
    nodes.add(child);
    child.once('exit', () => nodes.delete(child));
  });
  return { has: (pid) => before.has(pid) || [...nodes].some((child) => child.pid === pid) };
}

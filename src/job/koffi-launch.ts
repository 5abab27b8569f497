import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import type { Children } from './children.ts';
import { killAll, kinOf, liveOf, send } from './kin.ts';
import type { Ended, Launch, Running } from './launch.ts';
import { launchError } from './launch-error.ts';
import type { Libc } from './libc.ts';
import { processStat } from './proc.ts';
import { neverStarted, spawnSmall } from './small-parent.ts';
import { type Program, spawn } from './spawn.ts';

/** Milliseconds in which what was killed must be gone; what hangs in the kernel longer is beyond us. */
const LAST = 5000;
/** A timer holds node while a job runs: a signal that is listened for does not. As long as a timer can be. */
const EVER = 2 ** 31 - 1;

/** Programs started by posix_spawn(3) and reaped by wait4(2). */
export function launchWithLibc(libc: Libc, children: Children) {
  const leaders = new Set<number>();

  /** What a job left; in a session of its own, that may be any job's, and waits until no other runs. */
  const leftBy = (mine?: number) => {
    const others = new Set([...leaders].filter((pid) => pid !== mine));
    return children.orphans().filter((pid) => {
      const session = processStat(pid)?.session ?? 0;
      return session === mine || (mine === undefined ? !others.has(session) : others.size === 0);
    });
  };

  const endAll = async (mine?: number): Promise<number> => {
    const roots = () => leftBy(mine);
    if (roots().length === 0) return 0;
    const killed = killAll(() => kinOf(roots()));
    await gone(children, () => liveOf(killed).length === 0 && roots().length === 0);
    return killed.size;
  };

  const launch = async (job: Launch): Promise<Running> => {
    const started = new Date();
    const clock = performance.now();
    const { pid, isAdopted } = start(libc, children, job);
    leaders.add(pid);
    const hold = setInterval(() => undefined, EVER);
    const finish = async (): Promise<Ended> => {
      const seconds = (performance.now() - clock) / 1000;
      try {
        if (isAdopted && neverStarted(pid, job.file)) throw failed(libc, job.file, constants.errno.ENOEXEC);
        const survivors = job.isSurvivable === true ? kinOf(leftBy(pid)).length : await endAll(pid);
        return { pid, ...children.reap(pid), started, seconds, survivors };
      } finally {
        leaders.delete(pid);
        if (children.isWatched(pid)) children.reap(pid);
        clearInterval(hold);
      }
    };
    const ended = new Promise<void>((resolve) => {
      children.watch(pid, { ended: resolve, stopped: (signal) => job.onStop?.(signal) });
    }).then(finish);
    return {
      pid,
      ended,
      signal(name) {
        if (leaders.has(pid)) send(pid, name, () => kinOf([pid, ...leftBy(pid)]));
      },
    };
  };

  return { mode: 'koffi' as const, launch, endSurvivors: () => endAll() };
}

/** As the child of a small process where that can be, else as a child of this one. */
function start(libc: Libc, children: Children, job: Launch): { pid: number; isAdopted: boolean } {
  const program: Program = { ...job, limits: job.limits };
  const adopted = spawnSmall(libc, children, program);
  if (adopted !== undefined) return { pid: adopted, isAdopted: true };
  const pid = spawn(libc, program);
  if (pid < 0) throw failed(libc, job.file, -pid);
  return { pid, isAdopted: false };
}

const failed = (libc: Libc, file: Buffer, errno: number) => launchError(file, errno, libc.strerror(errno));

/** Resolves once `isSo`, looked at whenever a child changes, or after some seconds. */
function gone(children: Children, isSo: () => boolean): Promise<void> {
  if (isSo()) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(late);
      stop();
      resolve();
    };
    const late = setTimeout(end, LAST);
    const stop = children.listen(() => isSo() && end());
  });
}

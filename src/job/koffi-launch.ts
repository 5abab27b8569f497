import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import type { Children } from './children.ts';
import { killAll, kinOf, liveOf, send, tell } from './kin.ts';
import type { Ended, Launch, Running } from './launch.ts';
import { launchError } from './launch-error.ts';
import type { Libc } from './libc.ts';
import { processStat } from './proc.ts';
import { neverStarted, spawnSmall } from './small-parent.ts';
import { type Program, spawn } from './spawn.ts';
import { selfUsage } from './usage.ts';
import { openWatchdog } from './watchdog.ts';

/**
 * Milliseconds for what a job left to end by itself, and again to act on SIGTERM: a `tee` that a shell did not wait for
 * has the last lines of a log still to write.
 */
const GRACE = 500;
/** Milliseconds in which what was killed must be gone; what hangs in the kernel longer is beyond us. */
const LAST = 5000;
/**
 * Milliseconds between two looks for orphans while a job runs, for the watchdog to know them: the kernel tells nobody of
 * an adoption. A look takes 20 µs. The timer holds node as well, which a signal that is listened for does not.
 */
const LOOK = 250;

/** Of these two waits, both; the second alone; neither, for what was killed. */
type Patience = 'all' | 'term' | 'none';

/** Programs started by posix_spawn(3) and reaped by wait4(2). */
export function launchWithLibc(libc: Libc, children: Children) {
  const leaders = new Set<number>();
  const watchdog = openWatchdog(libc, children);

  /** What a job left; in a session of its own, that may be any job's, and waits until no other runs. */
  const leftBy = (mine?: number) => {
    const others = new Set([...leaders].filter((pid) => pid !== mine));
    return children.orphans().filter((pid) => {
      const session = processStat(pid)?.session ?? 0;
      return session === mine || (mine === undefined ? !others.has(session) : others.size === 0);
    });
  };

  /** All that has to end when this process is killed. */
  const guarded = () => [...leaders, ...leftBy()];

  /** Its end is watched from its first moment: a look for orphans reaps whoever has ended and is watched by nobody. */
  const startWatched = (job: Launch) => {
    try {
      const begun = start(libc, children, job);
      leaders.add(begun.pid);
      const ended = new Promise<void>((resolve) => {
        children.watch(begun.pid, { ended: resolve, stopped: (signal) => job.onStop?.(signal) });
      });
      return { ...begun, ended };
    } finally {
      watchdog.guard(guarded());
    }
  };

  const endAll = async (mine: number | undefined, patience: Patience): Promise<number> => {
    const roots = () => leftBy(mine);
    const isOver = () => roots().length === 0;
    if (patience === 'all') await until(children, isOver, GRACE);
    const left = kinOf(roots()).map(({ pid }) => pid);
    if (left.length === 0) return 0;
    if (patience !== 'none') {
      tell(left, 'SIGTERM');
      tell(left, 'SIGCONT');
      await until(children, isOver, GRACE);
    }
    const killed = killAll(() => kinOf(roots()));
    await until(children, () => liveOf(killed).length === 0 && isOver(), LAST);
    return new Set([...left, ...killed]).size;
  };

  const launch = async (job: Launch): Promise<Running> => {
    watchdog.expect(guarded(), job.mark);
    const started = new Date();
    const clock = performance.now();
    const begun = startWatched(job);
    const { pid, isAdopted } = begun;
    const floor = isAdopted ? {} : { maxrssFloor: selfUsage().maxrss };
    let patience: Patience = 'all';
    const hold = setInterval(() => watchdog.guard(guarded()), LOOK);
    const finish = async (): Promise<Ended> => {
      const seconds = (performance.now() - clock) / 1000;
      try {
        if (isAdopted && neverStarted(pid, job.file)) throw failed(libc, job.file, constants.errno.ENOEXEC);
        const survivors = job.isSurvivable === true ? kinOf(leftBy(pid)).length : await endAll(pid, patience);
        return { pid, ...children.reap(pid), ...floor, started, seconds, survivors };
      } finally {
        leaders.delete(pid);
        watchdog.guard(guarded());
        if (children.isWatched(pid)) children.reap(pid);
        clearInterval(hold);
      }
    };
    const ended = begun.ended.then(finish);
    return {
      pid,
      ended,
      signal(name) {
        if (!leaders.has(pid)) return;
        if (name === 'SIGKILL') patience = 'none';
        send(pid, name, () => kinOf([pid, ...leftBy(pid)]));
      },
    };
  };

  return { mode: 'koffi' as const, launch, endSurvivors: () => endAll(undefined, 'term') };
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

/** Resolves once `isSo`, looked at whenever a child changes, or after as many milliseconds. */
function until(children: Children, isSo: () => boolean, longest: number): Promise<void> {
  if (isSo()) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(late);
      stop();
      resolve();
    };
    const late = setTimeout(end, longest);
    const stop = children.listen(() => isSo() && end());
  });
}

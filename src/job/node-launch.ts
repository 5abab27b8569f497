import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import { errnoOf, TransferError } from '../errors.ts';
import { inspect } from './inspect.ts';
import { killAll, kinOf, send, tell } from './kin.ts';
import type { Ended, Launch, Running } from './launch.ts';
import { launchError } from './launch-error.ts';
import { childrenUsage, usageBetween } from './usage.ts';
import { openNodeWatchdog } from './watchdog.ts';

/** Milliseconds for what a job left to end by itself, and again to act on SIGTERM. */
const GRACE = 500;

/**
 * Programs started by child_process, for where koffi does not run. Arguments that are no UTF-8 are refused, such
 * variables left out; what a job leaves running is found by its session alone; the soft limit of open files is node's;
 * usage is what `/proc/self/stat` tells.
 */
export function launchWithNode() {
  const kept = new Set<number>();
  const leaders = new Set<number>();
  const watchdog = openNodeWatchdog();

  /** Nobody tells of a child's child, so each wait is as long as it may be. */
  const endAll = async (sessions: readonly number[], isHurried: boolean): Promise<number> => {
    const find = () => kinOf(sessions);
    if (!isHurried && find().length > 0) await wait(GRACE);
    const left = find().map(({ pid }) => pid);
    if (!isHurried && left.length > 0) {
      tell(left, 'SIGTERM');
      tell(left, 'SIGCONT');
      await wait(GRACE);
    }
    return new Set([...left, ...killAll(find)]).size;
  };

  const endSurvivors = async (): Promise<number> => {
    const ended = await endAll([...kept], false);
    kept.clear();
    return ended;
  };

  const beginGuarded = (job: Launch): ChildProcess => {
    try {
      const child = begin(job);
      if (child.pid !== undefined) leaders.add(child.pid);
      return child;
    } finally {
      watchdog.guard([...leaders, ...kept]);
    }
  };

  const launch = async (job: Launch): Promise<Running> => {
    watchdog.expect([...leaders, ...kept], job.mark);
    const started = new Date();
    const clock = performance.now();
    const before = childrenUsage();
    const child = beginGuarded(job);
    const pid = await idOf(child, job.file);
    let isHurried = false;
    const finish = async (status: number): Promise<Ended> => {
      const seconds = (performance.now() - clock) / 1000;
      const usage = usageBetween(before, childrenUsage());
      if (job.isSurvivable === true) kept.add(pid);
      const survivors = job.isSurvivable === true ? kinOf([pid]).length : await endAll([pid], isHurried);
      leaders.delete(pid);
      watchdog.guard([...leaders, ...kept]);
      return { pid, status, started, seconds, usage, survivors };
    };
    const ended = new Promise<number>((resolve) => {
      child.once('exit', (code, signal) => {
        resolve(signal === null ? (code ?? 0) << 8 : constants.signals[signal]);
      });
    }).then(finish);
    return {
      pid,
      ended,
      signal(name) {
        if (!leaders.has(pid)) return;
        if (name === 'SIGKILL') isHurried = true;
        send(pid, name, () => kinOf([pid]));
      },
    };
  };

  return { mode: 'node' as const, launch, endSurvivors };
}

function begin(job: Launch): ChildProcess {
  const [name, ...args] = job.args.map((argument) => text(job.file, argument));
  const file = text(job.file, job.file);
  // node would hand it to a shell, as execvp(3) does.
  if (inspect(job.file).problem?.startsWith('no program') === true) {
    throw launchError(job.file, constants.errno.ENOEXEC, 'Exec format error');
  }
  try {
    return spawn(file, args, {
      ...(name === undefined ? {} : { argv0: name }),
      env: environmentOf(job.environment),
      stdio: [...job.stdio],
      detached: true,
    });
  } catch (error) {
    throw failed(job.file, error);
  }
}

function idOf(child: ChildProcess, file: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(failed(file, error)));
    child.once('spawn', () => resolve(child.pid ?? 0));
  });
}

function failed(file: Buffer, error: unknown): TransferError {
  const { errno } = error as { readonly errno?: number };
  const number = Math.abs(errno ?? constants.errno.EINVAL);
  return launchError(file, number, errnoOf(error) ?? getSystemErrorName(-number));
}

/** Decoded, for node to encode it again; what would not come out the same is no argument that it can pass on. */
function text(file: Buffer, bytes: Buffer): string {
  const decoded = bytes.toString();
  if (Buffer.from(decoded).equals(bytes)) return decoded;
  throw new TransferError('unsupported', `starting \`${file}\`: \`${decoded}\` is no UTF-8`, {
    hint: 'without koffi, arguments go through node, which would change them',
  });
}

function environmentOf(entries: readonly Buffer[]): NodeJS.ProcessEnv {
  const pairs = entries.flatMap((bytes) => {
    const entry = bytes.toString();
    const at = entry.indexOf('=');
    return at > 0 && Buffer.from(entry).equals(bytes) ? [[entry.slice(0, at), entry.slice(at + 1)]] : [];
  });
  return Object.fromEntries(pairs);
}

import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import { getSystemErrorName } from 'node:util';
import { errnoOf, TransferError } from '../errors.ts';
import { inspect } from './inspect.ts';
import { killAll, kinOf, send } from './kin.ts';
import type { Ended, Launch, Running } from './launch.ts';
import { launchError } from './launch-error.ts';
import { childrenUsage, usageBetween } from './usage.ts';

/**
 * Programs started by child_process, for where koffi does not run. Arguments that are no UTF-8 are refused, such
 * variables left out; what a job leaves running is found by its session alone; the soft limit of open files is node's;
 * usage is what `/proc/self/stat` tells.
 */
export function launchWithNode() {
  const sessions = new Set<number>();

  const endAll = async (): Promise<number> => {
    const killed = killAll(() => kinOf([...sessions]));
    sessions.clear();
    return killed.size;
  };

  const launch = async (job: Launch): Promise<Running> => {
    const started = new Date();
    const clock = performance.now();
    const before = childrenUsage();
    const child = begin(job);
    const pid = await idOf(child, job.file);
    let isOver = false;
    const ended = new Promise<Ended>((resolve) => {
      child.once('exit', (code, signal) => {
        const seconds = (performance.now() - clock) / 1000;
        isOver = true;
        const status = signal === null ? (code ?? 0) << 8 : constants.signals[signal];
        const left = kinOf([pid]).length;
        if (job.isSurvivable === true) sessions.add(pid);
        const survivors = job.isSurvivable === true ? left : killAll(() => kinOf([pid])).size;
        resolve({ pid, status, started, seconds, usage: usageBetween(before, childrenUsage()), survivors });
      });
    });
    return {
      pid,
      ended,
      signal(name) {
        if (!isOver) send(pid, name, () => kinOf([pid]));
      },
    };
  };

  return { mode: 'node' as const, launch, endSurvivors: endAll };
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

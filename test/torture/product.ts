import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url));
/** Milliseconds between two looks at what a run has done. */
const LOOK = 5;
/** Of stderr: enough to see what went wrong. */
const KEPT_OUTPUT = 4000;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** From the start, or from the signal that was sent. */
  readonly seconds: number;
  readonly stderr: string;
}

export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** False when it has ended already. */
  kill(signal: NodeJS.Signals): boolean;
}

/** Starts a launcher of `bin`, as a user does; `before` are words to put in front (strace). */
export function startProduct(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  before: readonly string[] = [],
): Running {
  const [program = '', ...rest] = [...before, `${BIN}bridle`, ...args];
  const child = spawn(program, rest, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH ?? '', ...env },
  });
  let since = performance.now();
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT_OUTPUT);
  });
  return {
    pid: child.pid ?? 0,
    ended: whenEnded(child).then(([code, signal]) => ({
      code,
      signal,
      seconds: (performance.now() - since) / 1000,
      stderr,
    })),
    kill(signal) {
      since = performance.now();
      return child.exitCode === null && child.signalCode === null && child.kill(signal);
    },
  };
}

function whenEnded(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve([code, signal]));
  });
}

/** Lets it run for so long, then sends the signal, unless it has ended by then. */
export async function killAfter(
  running: Running,
  seconds: number,
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<Ended> {
  const timer = setTimeout(() => running.kill(signal), seconds * 1000);
  const ended = await running.ended;
  clearTimeout(timer);
  return ended;
}

/** Lets it run until `isTime`, then sends the signal, unless it has ended by then. */
export async function killWhen(
  running: Running,
  signal: NodeJS.Signals,
  isTime: () => Promise<boolean>,
): Promise<Ended> {
  let over = false;
  const ended = running.ended.finally(() => {
    over = true;
  });
  while (!over && !(await isTime())) await delay(LOOK);
  running.kill(signal);
  return ended;
}

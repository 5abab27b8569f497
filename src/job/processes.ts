import fs from 'node:fs';

/** States as records name them, in their order. */
export const STATES = ['running', 'sleeping', 'waiting', 'stopped', 'zombie', 'other'] as const;

type State = (typeof STATES)[number];

/** Every process and every thread of the machine that can be seen. */
export interface ProcessCounts {
  readonly total: number;
  readonly states: Readonly<Record<State, number>>;
  /** KiB. */
  readonly vmsize: number;
  /** KiB. */
  readonly rss: number;
  readonly tasks: { readonly total: number; readonly states: Readonly<Record<State, number>> };
}

const LETTERS: Readonly<Record<string, State>> = {
  R: 'running',
  S: 'sleeping',
  D: 'waiting',
  T: 'stopped',
  Z: 'zombie',
};

/** Fields of /proc/PID/stat behind the name (proc(5)), counted from the state. */
const THREADS = 17;
const VMSIZE = 20;
const RSS = 21;
/** Processes looked at before others get a turn, some milliseconds. */
const TURN = 128;

let buffer: Buffer | undefined;

/** Counts them, giving way now and then. `pageKib` is the size of a page, in which the kernel counts what is resident. */
export async function countProcesses(pageKib: number): Promise<ProcessCounts> {
  const states = none();
  const tasks = { total: 0, states: none() };
  let [total, vmsize, rss] = [0, 0, 0];
  for (const pid of listOf('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const fields = fieldsOf(`/proc/${pid}/stat`);
    if (!fields) continue;
    total += 1;
    const state = stateOf(fields);
    states[state] += 1;
    vmsize += Math.round(Number(fields[VMSIZE]) / 1024);
    rss += Number(fields[RSS]) * pageKib;
    countTasks(pid, Number(fields[THREADS]), state, tasks);
    if (total % TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return { total, states, vmsize, rss, tasks };
}

interface Counted {
  total: number;
  readonly states: Record<State, number>;
}

function countTasks(pid: string, threads: number, state: State, into: Counted): void {
  // The only thread has the state of the process.
  if (threads <= 1) {
    into.total += 1;
    into.states[state] += 1;
    return;
  }
  for (const tid of listOf(`/proc/${pid}/task`)) {
    const fields = fieldsOf(`/proc/${pid}/task/${tid}/stat`);
    if (!fields) continue;
    into.total += 1;
    into.states[stateOf(fields)] += 1;
  }
}

const none = (): Record<State, number> => ({
  running: 0,
  sleeping: 0,
  waiting: 0,
  stopped: 0,
  zombie: 0,
  other: 0,
});

const stateOf = (fields: readonly string[]): State => LETTERS[fields[0] ?? ''] ?? 'other';

/** What stands behind the name, which may hold anything. */
function fieldsOf(path: string): string[] | undefined {
  buffer ??= Buffer.allocUnsafe(4096);
  let fd: number | undefined;
  try {
    fd = fs.openSync(path, 'r');
    const text = buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, buffer.length, 0));
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

function listOf(path: string): string[] {
  try {
    return fs.readdirSync(path);
  } catch {
    return [];
  }
}

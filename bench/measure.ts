import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { processorTimes, readOr, treeOf } from './processes.ts';
import type { Contender, Contest } from './row.ts';

/** The kernel keeps the peak; between looks only a process that ends is lost. */
const LOOK_MS = 10;

export interface Run {
  readonly seconds: number;
  /** Sum of the peaks of every process, MiB; only when asked for. */
  readonly memory?: number;
  /** Seconds of processor time, of the contender with all its processes and of the servers. */
  readonly processor: { readonly own: number; readonly servers: number };
  /** The most bytes in the contest's `temporary`; only with `memory`. */
  readonly temporary?: number;
}

/** Runs a contender once, from an empty output. Throws when it ends or leaves anything other than it should. */
export async function runOnce(
  contender: Contender,
  contest: Contest,
  options: { readonly memory: boolean },
): Promise<Run> {
  const { output, words, status = 0, name, isOutputOpen = false } = contender;
  if (output !== undefined) {
    await rm(output, { recursive: true, force: true });
    await mkdir(output, { recursive: true });
    if (isOutputOpen) await chmod(output, 0o777);
  }
  const [program = '', ...args] = words;
  let stderr = '';
  const before = processorTimes(contest.servers ?? []);
  const began = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr.on('data', (text: Buffer) => {
    stderr = (stderr + text.toString()).slice(-1000);
  });
  const watch = options.memory ? watchMemory(child) : undefined;
  const watchBytes =
    options.memory && contest.temporary !== undefined ? watchDirectory(contest.temporary) : undefined;
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  }).finally(() => {
    watch?.();
    watchBytes?.();
  });
  const seconds = (performance.now() - began) / 1000;
  const after = processorTimes(contest.servers ?? []);
  const processor = { own: after.own - before.own, servers: after.servers - before.servers };
  if (code !== status) throw new Error(`${name}: expected exit status ${status}, got ${code}: ${stderr}`);
  if (output !== undefined && contest.leaves) await checkOutput(name, output, contest.leaves);
  return {
    seconds,
    processor,
    ...(watch ? { memory: watch() } : {}),
    ...(watchBytes ? { temporary: watchBytes() } : {}),
  };
}

async function checkOutput(name: string, output: string, leaves: NonNullable<Contest['leaves']>) {
  let files = 0;
  let bytes = 0;
  for (const entry of await readdir(output, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    files += 1;
    bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  if (files === leaves.files && bytes === leaves.bytes) return;
  throw new Error(
    `${name}: expected ${leaves.files} files of ${leaves.bytes} bytes, got ${files} of ${bytes}`,
  );
}

/** Looks at the process and all below it until it is asked for the result, in MiB. Threads share their process's memory. */
function watchMemory(child: ChildProcess): () => number {
  const peaks = new Map<number, number>();
  const look = () => {
    for (const pid of treeOf(child.pid ?? 0)) {
      peaks.set(pid, Math.max(peaks.get(pid) ?? 0, peakOf(pid)));
    }
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  return () => {
    clearInterval(timer);
    return [...peaks.values()].reduce((sum, peak) => sum + peak, 0) / 1024;
  };
}

/** Looks at the files below a directory until it is asked for the most bytes that lay there at once. */
function watchDirectory(directory: string): () => number {
  let most = 0;
  const timer = setInterval(() => {
    const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const sizes = files.map(
      ({ parentPath, name }) => statSync(join(parentPath, name), { throwIfNoEntry: false })?.size ?? 0,
    );
    most = Math.max(
      most,
      sizes.reduce((sum, size) => sum + size, 0),
    );
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    return most;
  };
}

/** VmHWM, KiB (proc(5)). */
function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readOr(`/proc/${pid}/status`))?.[1] ?? 0);
}

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contender, Contest } from './row.ts';

/** The kernel keeps the peak; between looks only a process that ends is lost. */
const LOOK_MS = 10;

export interface Run {
  readonly seconds: number;
  /** Sum of the peaks of every process, MiB; only when asked for. */
  readonly memory?: number;
}

/** Runs a contender once, from an empty output. Throws when it ends or leaves anything other than it should. */
export async function runOnce(
  contender: Contender,
  contest: Contest,
  options: { readonly memory: boolean },
): Promise<Run> {
  const { output, words, status = 0, name } = contender;
  if (output !== undefined) {
    await rm(output, { recursive: true, force: true });
    await mkdir(output, { recursive: true });
  }
  const [program = '', ...args] = words;
  let stderr = '';
  const began = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr.on('data', (text: Buffer) => {
    stderr = (stderr + text.toString()).slice(-1000);
  });
  const watch = options.memory ? watchMemory(child) : undefined;
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const seconds = (performance.now() - began) / 1000;
  if (code !== status) throw new Error(`${name}: expected exit status ${status}, got ${code}: ${stderr}`);
  if (output !== undefined && contest.leaves) await checkOutput(name, output, contest.leaves);
  return watch ? { seconds, memory: watch() } : { seconds };
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

function treeOf(pid: number): number[] {
  const children = readOr(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(treeOf)];
}

/** VmHWM, KiB (proc(5)). */
function peakOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readOr(`/proc/${pid}/status`))?.[1] ?? 0);
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

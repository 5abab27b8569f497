import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Ended, type Launch, launch, type Running } from '../../src/job/launch.ts';

const PATIENCE = 30_000;

/** A folder of its own for a test. */
export const newFolder = (): string => fs.mkdtempSync(join(tmpdir(), 'bridle-job-'));

export interface Job extends Partial<Omit<Launch, 'args'>> {
  readonly args?: readonly (Buffer | string)[];
}

export const bytes = (word: Buffer | string): Buffer => (typeof word === 'string' ? Buffer.from(word) : word);

/** Starts a program with its output in `file`, its path as argv[0], and little else. */
export async function startJob(program: string, job: Job, file: string): Promise<Running> {
  const descriptor = fs.openSync(file, 'w', 0o600);
  const nothing = fs.openSync('/dev/null', 'r');
  try {
    return await launch({
      file: Buffer.from(program),
      environment: [Buffer.from('PATH=/usr/bin:/bin')],
      stdio: [nothing, descriptor, descriptor],
      ...job,
      args: [program, ...(job.args ?? [])].map(bytes),
    });
  } finally {
    fs.closeSync(descriptor);
    fs.closeSync(nothing);
  }
}

export interface Finished extends Ended {
  readonly output: Buffer;
}

/** Runs a program to its end; its output is what it wrote to 1 and 2. */
export async function runJob(program: string, job: Job = {}): Promise<Finished> {
  const folder = newFolder();
  try {
    const file = join(folder, 'out');
    const running = await startJob(program, job, file);
    const ended = await running.ended;
    return { ...ended, output: fs.readFileSync(file) };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** Runs `script` by the shell. */
export const runScript = (script: string, job: Job = {}): Promise<Finished> =>
  runJob('/bin/sh', { ...job, args: ['-c', script] });

/** Whether a process of this id is there and does something. */
export function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX]/.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

/** Waits for something that another process does and tells nobody of. */
export async function until(isSo: () => boolean): Promise<void> {
  const last = performance.now() + PATIENCE;
  while (!isSo()) {
    if (performance.now() > last) throw new Error(`never so: ${isSo}`);
    await wait(10);
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isRunning } from './jobs.ts';

const WRAPPER = fileURLToPath(new URL('wrapper.mjs', import.meta.url));
let count = 0;

export interface Wrapped {
  readonly wrapper: ChildProcess;
  /** What the program has written so far. */
  readonly said: () => string;
  /** What became of it, once the wrapper has ended. */
  readonly result: () => Promise<Record<string, unknown>>;
}

/** Starts a process of its own that starts a program, with its files in `folder`. */
export const wrapIn =
  (folder: string) =>
  (mode: 'koffi' | 'node', words: readonly string[], env: NodeJS.ProcessEnv = process.env): Wrapped => {
    const number = count++;
    const [output, result] = [join(folder, `output-${number}`), join(folder, `result-${number}`)];
    const descriptor = fs.openSync(output, 'w');
    const wrapper = spawn(process.execPath, [WRAPPER, mode, result, ...words], {
      stdio: ['ignore', descriptor, descriptor],
      env,
    });
    fs.closeSync(descriptor);
    const ended = once(wrapper, 'exit');
    return {
      wrapper,
      said: () => fs.readFileSync(output, 'utf8'),
      async result() {
        await ended;
        return JSON.parse(fs.readFileSync(result, 'utf8'));
      },
    };
  };

/** Processes with `entry` in their environment. */
export function having(entry: string): number[] {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return isRunning(pid) && fs.readFileSync(`/proc/${pid}/environ`, 'utf8').includes(entry);
    } catch {
      return false;
    }
  });
}

import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where there is memory to be had as a file system, it is quicker, and wears out no disk. */
export function memoryDirectory(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}

/** Lends a fresh directory below `parent`; it is gone afterwards, also when a signal ends this process: it may hold gigabytes. */
export async function withScratch<T>(
  name: string,
  parent: string,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(parent, `bridle-${name}-`));
  const onSignal = (signal: NodeJS.Signals) => {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    process.off(signal, onSignal);
    // Whoever lent an outer directory clears it away first: the last one to listen lets the signal have its effect.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    return await work(directory);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

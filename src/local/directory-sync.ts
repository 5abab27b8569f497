import fs from 'node:fs';
import type { DiskKind } from './disk.ts';

interface Batch {
  running: Promise<void> | undefined;
  next: Promise<void> | undefined;
}

const batches = new Map<string, Batch>();

/**
 * Resolves when every rename made in `directory` before the call is on the device. Calls that come while one fsync
 * runs share the next: one fsync serves all the renames before it.
 */
export function syncDirectory(directory: string, kind: DiskKind): void | Promise<void> {
  if (kind === 'memory') return;
  let batch = batches.get(directory);
  if (!batch) {
    batch = { running: undefined, next: undefined };
    batches.set(directory, batch);
  }
  const mine = batch;
  if (!mine.running) return start(directory, mine);
  mine.next ??= mine.running.catch(() => undefined).then(() => start(directory, mine));
  return mine.next;
}

function start(directory: string, batch: Batch): Promise<void> {
  batch.next = undefined;
  batch.running = sync(directory).finally(() => {
    batch.running = undefined;
    if (batch.next === undefined) batches.delete(directory);
  });
  return batch.running;
}

async function sync(directory: string): Promise<void> {
  const handle = await fs.promises.open(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems cannot sync a directory and say EINVAL; their rename is durable by itself.
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EINVAL') throw error;
  } finally {
    await handle.close();
  }
}

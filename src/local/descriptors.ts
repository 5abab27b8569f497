import fs from 'node:fs';

/** What a run has open besides its transfers: standard streams, the loop's own, threads, the list, reports. */
const RESERVED = 32;
/** What one transfer has open at most: two ends, a journal, a directory that is being synced. */
const EACH = 4;

/**
 * Transfers that can be under way at once without running out of descriptors (`ulimit -n`, which node raises to the
 * hard limit when it starts); at least one. Undefined where the system does not say, which is everywhere but on Linux.
 */
export function transfersAffordable(): number | undefined {
  const most = openFileLimit();
  return most === undefined ? undefined : Math.max(1, Math.floor((most - RESERVED) / EACH));
}

/** The soft limit of proc(5), `/proc/PID/limits`. */
function openFileLimit(): number | undefined {
  try {
    const limit = /^Max open files +(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}

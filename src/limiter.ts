import type { Clock } from './clock.ts';

/** Seconds' worth of bytes that may pass at once after a pause. */
const BURST_SECONDS = 0.25;

/** Holds the whole run to `bytesPerSecond`: each call resolves when its bytes may pass, in the order of the calls. */
export function createLimiter(
  bytesPerSecond: number,
  clock: Clock,
): (bytes: number, signal: AbortSignal) => Promise<void> {
  let nextFree = clock.now();
  return async (bytes, signal) => {
    const now = clock.now();
    nextFree = Math.max(nextFree, now - BURST_SECONDS * 1000);
    const wait = nextFree - now;
    nextFree += (bytes / bytesPerSecond) * 1000;
    if (wait > 0) await clock.sleep(wait, signal);
  };
}

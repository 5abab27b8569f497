import type { RunOptions } from './engine.ts';

const MIB = 1024 * 1024;

/** How a run goes when nobody says otherwise. `perHost` follows `threads`. */
export const DEFAULTS = {
  threads: 8,
  attempts: 3,
  memory: 64 * MIB,
  itemSeconds: 6 * 3600,
  retryNotFoundSeconds: 0,
  removeAnyway: false,
  checksums: [],
  verifyWritten: false,
  preserve: false,
  update: false,
  symlink: false,
} as const satisfies Omit<RunOptions, 'perHost'>;

/** What a cache keeps when nobody says otherwise. */
export const CACHE_DEFAULTS = {
  /** Bytes. */
  mostBytes: 20 * 1024 * MIB,
  /** Milliseconds. */
  mostAge: 30 * 24 * 3600 * 1000,
  /** Seconds without a byte from the process that is waited for. */
  patience: 60,
} as const;

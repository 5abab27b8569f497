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

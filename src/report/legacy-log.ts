import type { Clock, Write } from './consumer.ts';
import { safeText } from './format.ts';

export type LegacyLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR' | 'CRITICAL';

/** Writes one line. */
export type LegacyLog = (level: LegacyLevel, message: string) => void;

export interface LegacyLogOptions {
  readonly write: Write;
  readonly now: Clock;
  /** Writes lines of level DEBUG, too. */
  readonly debug: boolean;
}

/**
 * The drop-in's log: `YYYY-MM-DD HH:MM:SS,mmm` in local time, the level right-aligned in 7 columns, `:  `, the message.
 * Control characters of a message are shown escaped, so that no name can forge a line.
 */
export function legacyLog({ write, now, debug }: LegacyLogOptions): LegacyLog {
  return (level, message) => {
    if (level === 'DEBUG' && !debug) return;
    write(`${timestamp(now())} ${level.padStart(7)}:  ${safeText(message)}\n`);
  };
}

function timestamp(milliseconds: number): string {
  const date = new Date(milliseconds);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time},${String(date.getMilliseconds()).padStart(3, '0')}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

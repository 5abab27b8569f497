import type { Limits } from './limits.ts';

/** Rows of `/proc/PID/limits`, in the order of their numbers, as records call them; others are called by number. */
const ROWS = [
  ['Max cpu time', 'RLIMIT_CPU'],
  ['Max file size', 'RLIMIT_FSIZE'],
  ['Max data size', 'RLIMIT_DATA'],
  ['Max stack size', 'RLIMIT_STACK'],
  ['Max core file size', 'RLIMIT_CORE'],
  ['Max resident set', 'RESOURCE_5'],
  ['Max processes', 'RLIMIT_NPROC'],
  ['Max open files', 'RLIMIT_NOFILE'],
  ['Max locked memory', 'RLIMIT_MEMLOCK'],
  ['Max address space', 'RLIMIT_AS'],
  ['Max file locks', 'RLIMIT_LOCKS'],
  ['Max pending signals', 'RLIMIT_SIGPENDING'],
  ['Max msgqueue size', 'RLIMIT_MSGQUEUE'],
  ['Max nice priority', 'RLIMIT_NICE'],
  ['Max realtime priority', 'RLIMIT_RTPRIO'],
  ['Max realtime timeout', 'RESOURCE_15'],
] as const;

/** The `limits` block of a record. */
export function limitLines(limits: Limits): string {
  const value = (limit: bigint | undefined) => (limit === undefined ? 'unlimited' : String(limit));
  const lines = ROWS.flatMap(([row, name]) => {
    const limit = limits.find((one) => one.name === row);
    return limit ? [`${name}_soft: ${value(limit.soft)}`, `${name}_hard: ${value(limit.hard)}`] : [];
  });
  return `  limits:\n${lines.map((line) => `    ${line}\n`).join('')}`;
}

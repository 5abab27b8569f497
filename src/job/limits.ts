import fs from 'node:fs';
import type { Libc } from './libc.ts';

/** One limit of getrlimit(2). */
export interface Limit {
  /** Row of `/proc/PID/limits`, as `Max open files`. */
  readonly name: string;
  /** Undefined: none. */
  readonly soft: bigint | undefined;
  readonly hard: bigint | undefined;
}

export type Limits = readonly Limit[];

const OPEN_FILES = 'Max open files';
/** Of setrlimit(2) on the machines that `loadLibc` knows. */
const RLIMIT_NOFILE = 7;
const RLIMIT_BYTES = 16;

/** What `/proc/PID/limits` says of a process; nothing where it cannot be read. */
export function limitsOf(pid: number | 'self'): Limits {
  let text: string;
  try {
    text = fs.readFileSync(`/proc/${pid}/limits`, 'latin1');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    const [, name, soft, hard] = /^(Max [a-z ]+?) {2,}(\S+) +(\S+)/.exec(line) ?? [];
    return name === undefined ? [] : [{ name, soft: toLimit(soft), hard: toLimit(hard) }];
  });
}

/**
 * The limits that this process was started with. node raises its own soft limit of open files to the hard one: it is
 * what the launcher saw (`openFiles`, as `ulimit -S -n` prints it), else what the parent has, as long as that has the
 * same hard one.
 */
export function initialLimits(openFiles?: string): Limits {
  const told = openFiles !== undefined && /^(\d+|unlimited)$/.test(openFiles) ? toLimit(openFiles) : null;
  const parents = limitsOf(process.ppid).find(({ name }) => name === OPEN_FILES);
  return limitsOf('self').map((limit) => {
    if (limit.name !== OPEN_FILES) return limit;
    if (told !== null) return { ...limit, soft: told };
    return parents !== undefined && parents.hard === limit.hard ? parents : limit;
  });
}

function toLimit(word: string | undefined): bigint | undefined {
  return word === undefined || word === 'unlimited' ? undefined : BigInt(word);
}

/**
 * Runs `work` while this process has the soft limit of open files that `limits` names, for a child to inherit: no
 * attribute of posix_spawn(3) sets one. It is back before anything else of this thread runs.
 */
export function withOpenFileLimit<T>(libc: Libc, limits: Limits | undefined, work: () => T): T {
  const wanted = limits?.find(({ name }) => name === OPEN_FILES);
  if (wanted === undefined) return work();
  const own = Buffer.alloc(RLIMIT_BYTES);
  if (libc.getrlimit(RLIMIT_NOFILE, own) !== 0) return work();
  const lent = Buffer.from(own);
  lent.writeBigUInt64LE(wanted.soft ?? 2n ** 64n - 1n, 0);
  if (lent.equals(own) || libc.setrlimit(RLIMIT_NOFILE, lent) !== 0) return work();
  try {
    return work();
  } finally {
    libc.setrlimit(RLIMIT_NOFILE, own);
  }
}

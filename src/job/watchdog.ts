import { spawn as spawnByNode } from 'node:child_process';
import fs from 'node:fs';
import type { Children } from './children.ts';
import type { Libc } from './libc.ts';
import { spawn } from './spawn.ts';

/** Ends what this process has started when this process itself is killed, which it cannot see coming. */
export interface Watchdog {
  /** Starts it, unless it runs: before the first that it guards, so that none is unguarded. */
  begin(): void;
  /** The leaders of what runs now; of none, when nothing does. */
  guard(leaders: Iterable<number>): void;
}

const SHELL = '/bin/sh';
const O_CLOEXEC = 0o2000000;
/** An id and a blank for each of two descriptors. */
const PIPE_BYTES = 8;

/**
 * Reads lines of leaders until nobody can write any more, and kills those of the last line: their groups, and first
 * whoever descends from them, as long as it does. Words of the shell alone, but for `kill` where it is none of them.
 */
const SCRIPT = `
while read -r line; do leaders=$line; done
[ -n "$leaders" ] || exit 0
gather() {
  for pid; do
    all="$all $pid"
    for list in /proc/$pid/task/*/children; do
      kin=
      read -r kin <"$list"
      gather $kin
    done
  done
}
all=
gather $leaders
kill -s STOP $all
for leader in $leaders; do kill -s KILL -- "-$leader"; done
all=
gather $leaders $all
kill -s KILL $all
`;

/**
 * A shell in a session of its own, that goes when this process does. The alternative, a signal at the parent's death
 * (prctl(2)), would reach the program alone and not what it started, and costs each job one more execve.
 */
export function openWatchdog(libc: Libc, children: Children): Watchdog {
  let pipe: number | undefined;
  const start = () => {
    const ends = Buffer.alloc(PIPE_BYTES);
    if (libc.pipe2(ends, O_CLOEXEC) !== 0) return;
    const [reads, writes] = [ends.readInt32LE(0), ends.readInt32LE(4)];
    const nothing = fs.openSync('/dev/null', 'w');
    const pid = spawn(libc, {
      file: Buffer.from(SHELL),
      args: [SHELL, '-c', SCRIPT].map((word) => Buffer.from(word)),
      environment: [],
      stdio: [reads, nothing, nothing],
      limits: undefined,
    });
    for (const descriptor of [reads, nothing]) fs.closeSync(descriptor);
    if (pid < 0) {
      fs.closeSync(writes);
      return;
    }
    children.watch(pid, { ended: () => children.reap(pid), stopped: () => undefined });
    // It would be gone a moment after this process.
    process.once('exit', () => children.isWatched(pid) && process.kill(pid, 'SIGKILL'));
    return writes;
  };
  return {
    begin() {
      pipe ??= start();
    },
    guard(leaders) {
      if (pipe !== undefined) tell(pipe, leaders);
    },
  };
}

/** One that was killed is no reason to fail: node has SIGPIPE ignored. */
function tell(pipe: number, leaders: Iterable<number>): void {
  try {
    fs.writeSync(pipe, `${[...leaders].join(' ')}\n`);
  } catch {}
}

/** The same, started by child_process. */
export function openNodeWatchdog(): Watchdog {
  let write: ((text: string) => void) | undefined;
  const start = () => {
    const child = spawnByNode(SHELL, ['-c', SCRIPT], {
      env: {},
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    const { stdin } = child;
    child.once('error', () => undefined);
    stdin.on('error', () => undefined);
    child.unref();
    if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
    process.once('exit', () => child.kill('SIGKILL'));
    return (text: string) => {
      stdin.write(text);
    };
  };
  return {
    begin() {
      write ??= start();
    },
    guard(leaders) {
      write?.(`${[...leaders].join(' ')}\n`);
    },
  };
}

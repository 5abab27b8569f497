import { spawn as spawnByNode } from 'node:child_process';
import fs from 'node:fs';
import type { Children } from './children.ts';
import type { Libc } from './libc.ts';
import { spawn } from './spawn.ts';

/** Ends what this process has started when this process itself is killed, which it cannot see coming. */
export interface Watchdog {
  /**
   * Before each start, whose process nobody can name yet: while these run, and until the next {@link guard}, whoever has
   * the mark in its environment is looked for a second long.
   */
  expect(leaders: Iterable<number>, mark: Buffer | undefined): void;
  /** The leaders of what runs now; of none, when nothing does. */
  guard(leaders: Iterable<number>): void;
}

const SHELL = '/bin/sh';
const O_CLOEXEC = 0o2000000;
/** An id and a blank for each of two descriptors. */
const PIPE_BYTES = 8;

/**
 * Reads lines of leaders until nobody can write any more, and kills those of the last line: their groups, whoever
 * descends from them or is in a session of theirs, and whoever has the mark (`$1`) in its environment. All are stopped
 * before any is killed, because the children of the dead have no parent to be found by. The first search needs no other
 * program, so that it comes through in a machine full of processes; `grep` finds the rest, again and again until there is
 * nothing more.
 */
const SCRIPT = `
mark=$1 rounds=2 leaders=
while read -r line; do leaders=$line; done
case $leaders in +*) rounds=10 leaders=\${leaders#+} ;; '') exit 0 ;; esac
all=
gather() {
  for pid; do
    case " $all " in *" $pid "*) ;; *) all="$all $pid" ;; esac
    for list in /proc/$pid/task/*/children; do
      kin=
      read -r kin <"$list"
      gather $kin
    done
  done
}
halt() {
  while :; do
    known=$all
    gather "$@" $all
    [ "$all" != "$known" ] || return 0
    kill -s STOP $all
  done
}
look() {
  set --
  for pid in $leaders $all; do set -- "$@" -e "[)] [^ZX] [0-9]* [0-9]* $pid [-0-9 ]*$"; done
  [ $# -eq 0 ] || grep -l "$@" /proc/[0-9]*/stat
  [ -z "$mark" ] || grep -l -F -e "$mark" /proc/[0-9]*/environ
}
for leader in $leaders; do kill -s STOP -- "-$leader"; done
halt $leaders
for leader in $leaders; do kill -s KILL -- "-$leader"; done
[ -z "$all" ] || kill -s KILL $all
quiet=0 tries=0
while [ $quiet -lt $rounds ] && [ $tries -lt 100 ]; do
  [ $tries -eq 0 ] || sleep 0.1 || sleep 1
  tries=$((tries + 1)) quiet=$((quiet + 1)) fresh=
  for path in $(look); do path=\${path#/proc/} fresh="$fresh \${path%%/*}"; done
  [ -n "$fresh" ] || continue
  quiet=0
  kill -s STOP $fresh
  halt $fresh
  kill -s KILL $all
done
`;

/** Marks that `grep` takes for what they are: one line of letters, and long enough to be of one run alone. */
const MARK = /^[\x20-\x7e]{16,4096}$/;

const markOf = (mark: Buffer | undefined): string => {
  const text = mark?.toString('latin1') ?? '';
  return MARK.test(text) ? text : '';
};

const line = (leaders: Iterable<number>): string => [...leaders].join(' ');

/**
 * A shell in a session of its own, that goes when this process does. The alternative, a signal at the parent's death
 * (prctl(2)), would reach the program alone and not what it started, and costs each job one more execve.
 */
export function openWatchdog(libc: Libc, children: Children): Watchdog {
  let pipe: number | undefined;
  let told: string | undefined;
  const start = (mark: string) => {
    const ends = Buffer.alloc(PIPE_BYTES);
    if (libc.pipe2(ends, O_CLOEXEC) !== 0) return;
    const [reads, writes] = [ends.readInt32LE(0), ends.readInt32LE(4)];
    const nothing = fs.openSync('/dev/null', 'w');
    const pid = spawn(libc, {
      file: Buffer.from(SHELL),
      args: [SHELL, '-c', SCRIPT, SHELL, mark].map((word) => Buffer.from(word)),
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
  const tell = (what: string) => {
    if (pipe === undefined || what === told) return;
    told = what;
    try {
      fs.writeSync(pipe, `${what}\n`);
    } catch {
      // It was killed, which is no reason to fail: node has SIGPIPE ignored.
    }
  };
  return {
    expect(leaders, mark) {
      pipe ??= start(markOf(mark));
      tell(`+${line(leaders)}`);
    },
    guard: (leaders) => tell(line(leaders)),
  };
}

/** The same, started by child_process. */
export function openNodeWatchdog(): Watchdog {
  let write: ((text: string) => void) | undefined;
  const start = (mark: string) => {
    const child = spawnByNode(SHELL, ['-c', SCRIPT, SHELL, mark], {
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
    expect(leaders, mark) {
      write ??= start(markOf(mark));
      write(`+${line(leaders)}\n`);
    },
    guard(leaders) {
      write?.(`${line(leaders)}\n`);
    },
  };
}

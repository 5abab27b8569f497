import fs from 'node:fs';
import type { Libc } from './libc.ts';
import { type Limits, withOpenFileLimit } from './limits.ts';

/** What execve(2) is given, and how. */
export interface Program {
  readonly file: Buffer;
  readonly args: readonly Buffer[];
  readonly environment: readonly Buffer[];
  readonly stdio: readonly [number, number, number];
  readonly limits: Limits | undefined;
}

/** More than any C library's structures for attributes and actions take (glibc 336 and 80 bytes). */
const ROOM = 1024;
/** Of spawn.h, the same in glibc and musl: signals at their default, none blocked, a session of its own. */
const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
const F_DUPFD_CLOEXEC = 1030;
const POINTER = 8;

/**
 * Starts a program in a session of its own, with every signal at its default and none blocked, and with the three
 * descriptors and no other. Returns its process id, or the negative number of execve(2)'s error.
 */
export function spawn(libc: Libc, program: Program): number {
  const attributes = Buffer.alloc(ROOM);
  const actions = Buffer.alloc(ROOM);
  const pid = Buffer.alloc(POINTER);
  const borrowed: number[] = [];
  libc.posix_spawnattr_init(attributes);
  libc.posix_spawn_file_actions_init(actions);
  try {
    libc.posix_spawnattr_setflags(attributes, SETSIGDEF | SETSIGMASK | SETSID);
    libc.posix_spawnattr_setsigmask(attributes, Buffer.alloc(ROOM));
    // All bits: sigfillset(3) leaves out the two that glibc keeps for itself, and has them ignored then.
    libc.posix_spawnattr_setsigdefault(attributes, Buffer.alloc(ROOM, 0xff));
    connect(libc, actions, program.stdio, borrowed);
    const args = vector(libc, program.args);
    const environment = vector(libc, program.environment);
    const error = withOpenFileLimit(libc, program.limits, () =>
      libc.posix_spawn(pid, terminated(program.file), actions, attributes, args, environment),
    );
    return error === 0 ? pid.readInt32LE(0) : -error;
  } finally {
    libc.posix_spawnattr_destroy(attributes);
    libc.posix_spawn_file_actions_destroy(actions);
    for (const descriptor of borrowed) fs.closeSync(descriptor);
  }
}

/** The three in their places. One that lies in another's place is copied first, before that is taken. */
function connect(libc: Libc, actions: Buffer, stdio: Program['stdio'], borrowed: number[]): void {
  const sources = stdio.map((descriptor, place) => {
    if (descriptor > 2 || descriptor === place) return descriptor;
    const copy = libc.fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return descriptor;
    borrowed.push(copy);
    return copy;
  });
  sources.forEach((source, place) => {
    libc.posix_spawn_file_actions_adddup2(actions, source, place);
  });
  if (libc.posix_spawn_file_actions_addclosefrom_np) {
    libc.posix_spawn_file_actions_addclosefrom_np(actions, 3);
    return;
  }
  // All that is open now: what is opened meanwhile, node opens so that it is closed by execve.
  for (const name of fs.readdirSync('/proc/self/fd')) {
    if (Number(name) > 2) libc.posix_spawn_file_actions_addclose(actions, Number(name));
  }
}

/** A `char *const[]` and behind it what it points to, in one piece: what holds the one holds the other. */
function vector(libc: Libc, words: readonly Buffer[]): Buffer {
  const table = Buffer.alloc((words.length + 1) * POINTER);
  const whole = Buffer.concat([table, ...words.map(terminated)]);
  let at = libc.address(whole) + BigInt(table.length);
  words.forEach((word, index) => {
    whole.writeBigUInt64LE(at, index * POINTER);
    at += BigInt(word.length + 1);
  });
  return whole;
}

const terminated = (word: Buffer): Buffer => Buffer.concat([word, Buffer.of(0)]);

import { createRequire } from 'node:module';
import type koffi from 'koffi';

type Koffi = typeof koffi;

/** A pointer, which memory of ours stands for as well. */
type Memory = Buffer | bigint | null;

/** The calls of the C library that node has no words for. What fails returns -1, and {@link Libc.errno} tells why. */
export interface Libc {
  errno(): number;
  /** Where memory of ours is. It stays there as long as the buffer is held. */
  address(memory: Buffer): bigint;
  /** This one and those of the attributes and actions return the number of the error. */
  posix_spawn(
    pid: Buffer,
    file: Buffer,
    actions: Buffer,
    attributes: Buffer,
    args: Memory,
    env: Memory,
  ): number;
  posix_spawnattr_init(attributes: Buffer): number;
  posix_spawnattr_destroy(attributes: Buffer): number;
  posix_spawnattr_setflags(attributes: Buffer, flags: number): number;
  posix_spawnattr_setsigdefault(attributes: Buffer, signals: Buffer): number;
  posix_spawnattr_setsigmask(attributes: Buffer, signals: Buffer): number;
  posix_spawn_file_actions_init(actions: Buffer): number;
  posix_spawn_file_actions_destroy(actions: Buffer): number;
  posix_spawn_file_actions_adddup2(actions: Buffer, from: number, to: number): number;
  posix_spawn_file_actions_addclose(actions: Buffer, descriptor: number): number;
  /** Only in glibc 2.34 and newer. */
  readonly posix_spawn_file_actions_addclosefrom_np: ((actions: Buffer, from: number) => number) | undefined;
  wait4(pid: number, status: Buffer, options: number, rusage: Buffer): number;
  waitid(kind: number, pid: number, info: Buffer, options: number): number;
  prctl(option: number, a: number, b: number, c: number, d: number): number;
  /** With one argument, which is all that is needed of it. */
  fcntl(descriptor: number, command: number, argument: number): number;
  pipe2(ends: Buffer, flags: number): number;
  getrlimit(resource: number, limit: Buffer): number;
  setrlimit(resource: number, limit: Buffer): number;
  strerror(errno: number): string;
  /** `path` and `name` end with a NUL. */
  lsetxattr(path: Buffer, name: Buffer, value: Buffer, size: number, flags: number): number;
  /** A symbol of its own only in glibc 2.33 and newer. */
  readonly mknod: ((path: Buffer, mode: number, device: bigint) => number) | undefined;
}

/** C's words for the arguments and the result of each, in the order of the type above. */
const CALLS = {
  posix_spawn: ['int', ['void *', 'void *', 'void *', 'void *', 'void *', 'void *']],
  posix_spawnattr_init: ['int', ['void *']],
  posix_spawnattr_destroy: ['int', ['void *']],
  posix_spawnattr_setflags: ['int', ['void *', 'short']],
  posix_spawnattr_setsigdefault: ['int', ['void *', 'void *']],
  posix_spawnattr_setsigmask: ['int', ['void *', 'void *']],
  posix_spawn_file_actions_init: ['int', ['void *']],
  posix_spawn_file_actions_destroy: ['int', ['void *']],
  posix_spawn_file_actions_adddup2: ['int', ['void *', 'int', 'int']],
  posix_spawn_file_actions_addclose: ['int', ['void *', 'int']],
  wait4: ['int', ['int', 'void *', 'int', 'void *']],
  waitid: ['int', ['int', 'uint', 'void *', 'int']],
  prctl: ['int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']],
  pipe2: ['int', ['void *', 'int']],
  getrlimit: ['int', ['int', 'void *']],
  setrlimit: ['int', ['int', 'void *']],
  strerror: ['str', ['int']],
  lsetxattr: ['int', ['void *', 'void *', 'void *', 'size_t', 'int']],
} satisfies Readonly<Record<string, [result: string, args: string[]]>>;

/** Machines whose structures are laid out as this room reads them: 64 bits, little end first. */
const KNOWN: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

/** The C library of this process; undefined where koffi has no binary that runs here. */
export function loadLibc(): Libc | undefined {
  if (!KNOWN.has(process.arch)) return undefined;
  try {
    const native = loadKoffi();
    const library = native.load(null);
    const calls = Object.fromEntries(
      Object.entries(CALLS).map(([name, [result, args]]) => [name, library.func(name, result, args)]),
    );
    return {
      ...(calls as unknown as Libc),
      errno: () => native.errno(),
      address: (memory) => native.address(memory),
      posix_spawn_file_actions_addclosefrom_np: optional(() =>
        library.func('posix_spawn_file_actions_addclosefrom_np', 'int', ['void *', 'int']),
      ),
      mknod: optional(() => library.func('mknod', 'int', ['void *', 'uint', 'uint64_t'])),
      fcntl: variadic(library.func('int fcntl(int descriptor, int command, ...)')),
    };
  } catch {
    return undefined;
  }
}

/** Its binary without its loader, where that is found, takes 5 ms instead of 15. */
function loadKoffi(): Koffi {
  const require = createRequire(import.meta.url);
  const near = createRequire(require.resolve('koffi'));
  const binary = optional<Koffi>(() => near(`@koromix/koffi-linux-${process.arch}`));
  return binary?.version === undefined ? (require('koffi') as Koffi) : binary;
}

function variadic(fcntl: (...words: unknown[]) => number): Libc['fcntl'] {
  return (descriptor, command, argument) => fcntl(descriptor, command, 'int', argument);
}

function optional<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

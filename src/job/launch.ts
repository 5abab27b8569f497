import { openChildren } from './children.ts';
import { launchWithLibc } from './koffi-launch.ts';
import { loadLibc } from './libc.ts';
import type { Limits } from './limits.ts';
import { launchWithNode } from './node-launch.ts';
import type { Usage } from './usage.ts';

/** A program to start. */
export interface Launch {
  /** Absolute path of the program, bytes as given. */
  readonly file: Buffer;
  /** With argv[0]. */
  readonly args: readonly Buffer[];
  /** `NAME=value`, bytes as given. */
  readonly environment: readonly Buffer[];
  /** Descriptors of this process that become 0, 1, 2 of the job; nothing else is inherited. */
  readonly stdio: readonly [number, number, number];
  /** Those that this process was started with: the soft limit of open files, which node raises, is put back. */
  readonly limits?: Limits;
  /** An entry of the environment that no process but this run's jobs has: they are found by it when this one is killed. */
  readonly mark?: Buffer;
  /** Leaves alone what goes on when the program itself has ended, until {@link endSurvivors}. */
  readonly isSurvivable?: boolean;
  /** Told of a program that is stopped, with the signal that did it. */
  readonly onStop?: (signal: number) => void;
}

/** How a program ended. */
export interface Ended {
  readonly pid: number;
  /** As wait(2) gives it. */
  readonly status: number;
  readonly started: Date;
  /** By a clock that does not step. */
  readonly seconds: number;
  /** Of it and of those it waited for. */
  readonly usage: Usage;
  /** KiB below which `usage.maxrss` tells nothing, because the program was started by node itself. */
  readonly maxrssFloor?: number;
  /** Processes that went on when it had ended, and were ended then unless they might go on. */
  readonly survivors: number;
}

/** A program that was started. */
export interface Running {
  readonly pid: number;
  /** Rejects with a launch error only when it turned out late that the program could not be started. */
  readonly ended: Promise<Ended>;
  /** To its process group and to what escaped it. Stopped ones are woken for it. Once it has ended: nothing. */
  signal(name: NodeJS.Signals): void;
}

/**
 * `koffi`: by posix_spawn(3) and wait4(2), byte for byte. `node`: by child_process, where koffi has no binary that runs
 * here: docs/record.md tells what is lost.
 */
export type Mode = 'koffi' | 'node';

/** Starts programs and knows what became of them. There is one in a process: a process has one set of children. */
export interface Launcher {
  readonly mode: Mode;
  launch(job: Launch): Promise<Running>;
  endSurvivors(): Promise<number>;
}

let launcher: Launcher | undefined;

/** Decides how programs are started, and adopts orphans from now on. Only the first call's wish counts. */
export function openLauncher(wish?: Mode): Launcher {
  if (launcher) return launcher;
  const libc = wish === 'node' ? undefined : loadLibc();
  launcher = libc ? launchWithLibc(libc, openChildren(libc)) : launchWithNode();
  return launcher;
}

/**
 * Starts a program in a session of its own, with default signals and no descriptor but the three. Rejects with an error that
 * `launchCause` tells errno of: not there, not executable, another machine's, without a `#!` line, arguments too long.
 */
export function launch(job: Launch): Promise<Running> {
  return openLauncher().launch(job);
}

/** Ends everything that jobs left running, and returns how many processes that were. */
export function endSurvivors(): Promise<number> {
  return launcher?.endSurvivors() ?? Promise.resolve(0);
}

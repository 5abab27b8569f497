import type { Stage } from './stage.ts';

/** One program with its arguments, timed as a whole process. */
export interface Contender {
  readonly name: string;
  /** As an argument list; what a shell must put together is `sh -c …`. */
  readonly words: readonly string[];
  /** A program that must be there. Without it the contender is left out, and the table says so. */
  readonly needs?: string;
  /** Exit status that is right. Default 0. */
  readonly status?: number;
  /** Emptied before each run, outside the timed part. */
  readonly output?: string;
  /** Anybody may write to `output`: a server that is another user does. */
  readonly isOutputOpen?: boolean;
}

/** What one contender has to reach, in medians of the same table. */
export interface Bar {
  readonly contender: string;
  /** The slowest of these counts. */
  readonly against: readonly string[];
  /** Its time is at most this many times theirs. */
  readonly time?: number;
  /** Its speed is at least this many times theirs. */
  readonly speed?: number;
  /** It takes at most this many seconds more than they do. */
  readonly longer?: number;
}

/** What is run in turn, and what it is held to. */
export interface Contest {
  readonly contenders: readonly Contender[];
  readonly bars: readonly Bar[];
  /** Peak memory of every contender called `bridle…` or `pegasus-transfer`, in MiB. */
  readonly mostMemory?: number;
  /** What a run moves, for a speed in the table. */
  readonly moves?: { readonly count: number; readonly unit: 'files' | 'MB' };
  /** What is in `output` afterwards; a contender that leaves anything else is out of the contest. */
  readonly leaves?: { readonly files: number; readonly bytes: number };
  /** Process ids of the servers at the top; the table then tells whose processor time a run took. */
  readonly servers?: readonly number[];
  /** A directory where nothing may be written: the table tells the most bytes that lay there. */
  readonly temporary?: string;
}

/** One row of the benchmarks: makes its inputs, says what to run. */
export interface Row {
  readonly name: string;
  readonly title: string;
  /** Runs of each, when the user does not say. Default 5. */
  readonly runs?: number;
  prepare(stage: Stage): Promise<Contest>;
}

import type { ByteText } from '../../job/byte-text.ts';
import type { Limits } from '../../job/limits.ts';
import type { FileEntry, Output } from '../../job/record-file.ts';
import type { JobReport } from '../../job/record-job.ts';
import type { Followed } from '../../job/tail-hash.ts';
import type { TemporaryFile } from '../../job/temporary.ts';
import type { RawEnvironment } from './environment.ts';
import type { KickstartOrder } from './options.ts';

/** Exit statuses that are not a job's own. */
export const STATUS = {
  done: 0,
  /** A variable, the record, or a digest. */
  failed: 1,
  /** The time was over: the number of SIGALRM, as the original has it. */
  timeOut: 14,
  noStart: 43,
  notRun: 127,
} as const;

/** One run of the wrapper, from its options to its record. */
export interface Run {
  readonly started: Date;
  /** Milliseconds, by the clock of `performance.now()`. */
  readonly clock: number;
  readonly order: KickstartOrder;
  readonly environment: RawEnvironment;
  readonly limits: Limits;
  readonly files: {
    readonly stdout: TemporaryFile | undefined;
    readonly stderr: TemporaryFile | undefined;
    readonly metadata: TemporaryFile;
    readonly integrity: TemporaryFile;
  };
  /** Where the jobs work. */
  directory: ByteText;
  inputs: readonly FileEntry[];
  outputs: readonly Output[];
  readonly jobs: JobReport[];
  /** The exit status so far. */
  status: number;
  /** Outputs that are digested while they are written. */
  followed?: Followed;
  readonly say: (line: string) => void;
}

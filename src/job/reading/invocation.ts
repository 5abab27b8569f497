/** One of the jobs that a record tells of, with the status that wait(2) gave, or a negative number for one that never ran. */
export interface JobStatus {
  readonly job: string;
  readonly raw: number;
}

/** What a record says of a file that a job made. Every attribute as it stands in the record. */
export interface OutputFile {
  readonly lfn: string;
  readonly attributes: ReadonlyMap<string, string>;
}

/** What is asked of an invocation record, whatever it was written in. */
export interface Invocation {
  /** In the order of the record. */
  readonly statuses: readonly JobStatus[];
  readonly outputs: readonly OutputFile[];
  /** A digest that should be there could not be made. */
  readonly isMissingDigest: boolean;
}

/** The jobs of a record, in the order they run. */
export const JOBS = ['setup', 'prejob', 'mainjob', 'postjob', 'cleanup'] as const;

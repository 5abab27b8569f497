/** Exit statuses of `bridle run` that are not the job's own; docs/run.md tells of them. */
export const RUN_STATUS = {
  done: 0,
  /** The record could not be written. */
  failed: 1,
  /** An output is not there, cannot be read, or is not what it must be (EX_DATAERR of sysexits.h). */
  badOutput: 65,
  /** The job was not started, as PegasusLite says it. */
  notStarted: 71,
  /** An output did not arrive where it shall go (EX_IOERR of sysexits.h). */
  notStagedOut: 74,
  /** The job was told to end since its time was over, and said that all went well; as timeout(1) has it. */
  timeOut: 124,
} as const;

import { readable } from '../../job/byte-text.ts';
import { isBad, type Output } from '../../job/record-file.ts';
import type { JobReport } from '../../job/record-job.ts';
import { readWaitStatus } from '../../job/status-text.ts';
import { formatLocation } from '../../location.ts';
import { hasArrived, type Staged } from './staging.ts';

/** What is told of a run, whatever became of it. */
export interface RunFacts {
  readonly status: number;
  /** Why the status is none of the job's own. */
  readonly problem: string | undefined;
  readonly started: Date;
  readonly seconds: number;
  readonly directory: string | undefined;
  readonly isKept: boolean;
  readonly job: JobReport | undefined;
  readonly inputs: readonly Staged[];
  readonly outputs: readonly Output[];
  readonly stagedOut: readonly Staged[];
}

/** As one line of JSON. */
export function factsJson(run: RunFacts): string {
  const { job } = run;
  const facts = {
    exitStatus: run.status,
    problem: run.problem,
    started: run.started.toISOString(),
    seconds: Number(run.seconds.toFixed(3)),
    workDirectory: run.directory,
    kept: run.isKept,
    job: job && {
      ...(job.raw < 0 ? { notRunnable: true } : readWaitStatus(job.raw)),
      pid: job.pid,
      started: job.started.toISOString(),
      seconds: job.seconds,
      usage: { ...job.usage, ...(job.cgroup ? { cgroup: job.cgroup } : {}) },
    },
    inputs: run.inputs.map(stagedFacts),
    outputs: run.outputs.map(outputFacts),
    stagedOut: run.stagedOut.map(stagedFacts),
  };
  return `${JSON.stringify(facts)}\n`;
}

function outputFacts(output: Output) {
  const { entry, sha256 } = output;
  return {
    lfn: readable(entry.lfn ?? ''),
    bytes: entry.stat === undefined ? undefined : Number(entry.stat.size),
    sha256,
    good: !isBad(output),
  };
}

function stagedFacts(staged: Staged) {
  const { file, outcome } = staged;
  return {
    lfn: file.lfn,
    checkpoint: file.isCheckpoint,
    arrived: hasArrived(staged),
    source: outcome && formatLocation(outcome.source),
    destination: outcome && formatLocation(outcome.destination),
    bytes: outcome?.bytes,
    attempts: outcome?.attempts.length,
    verified: outcome && { source: outcome.sourceVerification, destination: outcome.destinationVerification },
    failure: outcome?.failure && { code: outcome.failure.code, message: outcome.failure.message },
  };
}

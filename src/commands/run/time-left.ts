import { TransferError } from '../../errors.ts';
import type { Environment } from '../../request.ts';

const SECOND = 1000;
/** Part of all the time that is kept for staging, and seconds of it at most, unless it is said. */
const KEPT = 0.2;
const MOST_KEPT = 300;
/** Longer than any job; timers take no more than 2^31 milliseconds. */
const LONGEST = 24 * 86_400;

export interface TimeAsked {
  /** Seconds from now; 0 for as long as the batch system says. */
  readonly deadline: number;
  /** Seconds at the end that the job does not get; 0 for a fifth, at most 5 minutes. */
  readonly reserve: number;
}

export interface TimeLeft {
  /** Seconds from now on until the job is told to end; undefined without a deadline. */
  readonly termAfter: number;
  /** Seconds from then on until it is ended. */
  readonly killAfter: number;
}

/**
 * When a job is told to end so that there is time to stage out what it leaves: half of what is kept for that is its own.
 * Without a deadline the end that Slurm names counts (`SLURM_JOB_END_TIME`, seconds since the epoch).
 */
export function timeLeft(
  { deadline, reserve }: TimeAsked,
  env: Environment,
  now: number,
): TimeLeft | undefined {
  const whole = deadline > 0 ? deadline : untilSlurmEnds(env.SLURM_JOB_END_TIME, now);
  if (whole === undefined) return undefined;
  const kept = reserve > 0 ? reserve : Math.min(MOST_KEPT, Math.max(0, whole) * KEPT);
  return { termAfter: Math.min(LONGEST, Math.max(0.001, whole - kept)), killAfter: Math.max(0.1, kept / 2) };
}

function untilSlurmEnds(text: string | undefined, now: number): number | undefined {
  if (!text) return undefined;
  if (!/^\d{1,12}$/.test(text)) {
    throw new TransferError(
      'invalid-request',
      `SLURM_JOB_END_TIME: expected seconds since 1970, got \`${text}\``,
    );
  }
  return Number(text) - now / SECOND;
}

import type { Grade, Outcome, Status } from '../outcome.ts';

const GRADES: readonly Grade[] = ['none', 'size', 'wire', 'server', 'end-to-end'];

/** Counts over a run; the only thing kept of items that ended. */
export interface Tally {
  transfers: number;
  mkdirs: number;
  removes: number;
  /** Of transfers that are done. */
  bytes: number;
  /** Those of them that were copied or streamed, not linked, moved or there already. */
  movedBytes: number;
  /** Transfers whose destination was identical already. */
  unchanged: number;
  resumed: number;
  /** Bytes that resumed transfers did not send again. */
  resumedBytes: number;
  retried: number;
  readonly status: Record<Status, number>;
  /** Transfers that are done, by {@link overallGrade}. */
  readonly verified: Record<Grade, number>;
}

export function startTally(): Tally {
  return {
    transfers: 0,
    mkdirs: 0,
    removes: 0,
    bytes: 0,
    movedBytes: 0,
    unchanged: 0,
    resumed: 0,
    resumedBytes: 0,
    retried: 0,
    status: { done: 0, failed: 0, unsupported: 0, skipped: 0, canceled: 0 },
    verified: { none: 0, size: 0, wire: 0, server: 0, 'end-to-end': 0 },
  };
}

/** Adds one outcome. */
export function countOutcome(tally: Tally, outcome: Outcome): void {
  tally.status[outcome.status]++;
  if ((outcome.attempts.at(-1)?.round ?? 1) > 1) tally.retried++;
  if (outcome.kind === 'mkdir') tally.mkdirs++;
  else if (outcome.kind === 'remove') tally.removes++;
  else tally.transfers++;
  if (outcome.kind !== 'transfer' || outcome.status !== 'done') return;
  tally.bytes += outcome.bytes;
  if (outcome.route === 'copy' || outcome.route === 'stream') tally.movedBytes += outcome.bytes;
  if (outcome.route === 'none') tally.unchanged++;
  tally.verified[overallGrade(outcome)]++;
  if (outcome.resumedFrom > 0) {
    tally.resumed++;
    tally.resumedBytes += outcome.resumedFrom;
  }
}

/**
 * One grade for both sides: the weaker of the two, but `end-to-end` when the content matched a digest made before the
 * transfer and the service confirms what it stored.
 */
export function overallGrade(outcome: Outcome): Grade {
  const source = GRADES.indexOf(outcome.sourceVerification.grade);
  const destination = GRADES.indexOf(outcome.destinationVerification.grade);
  if (source === GRADES.length - 1 && destination >= GRADES.indexOf('server')) return 'end-to-end';
  return GRADES[Math.min(source, destination)] ?? 'none';
}

/** Grades from the strongest down. */
export const GRADES_DOWN: readonly Grade[] = ['end-to-end', 'server', 'wire', 'size', 'none'];

import type { TransferError } from '../../errors.ts';
import { safeText } from '../../report/format.ts';
import type { Run } from '../pegasus-kickstart/status.ts';
import type { Staged } from './staging.ts';
import { RUN_STATUS } from './status.ts';
import type { SignalDesk } from './told.ts';

/** What became of a run so far. */
export interface Course {
  readonly state: Run;
  readonly desk: SignalDesk;
  directory: string | undefined;
  problem: string | undefined;
  inputs: readonly Staged[];
  stagedOut: readonly Staged[];
}

/** The first problem counts, and no status but 0 is taken away from a job. */
export function fail(course: Course, status: number, problem: string): void {
  course.state.say(`bridle: ${problem}`);
  course.problem ??= problem;
  course.state.status ||= status;
}

/** The job cannot be started. */
export function refuse(course: Course, error: TransferError): void {
  fail(course, RUN_STATUS.notStarted, safeText(error.message));
  if (error.hint !== undefined) course.state.say(`hint: ${safeText(error.hint)}`);
}

import { formatLocation } from '../location.ts';
import type { Event, Failure, Outcome } from '../outcome.ts';
import type { Clock, Consumer } from './consumer.ts';
import type { LegacyLog } from './legacy-log.ts';
import { startLegacyStats } from './legacy-stats.ts';
import { pythonJson } from './python-format.ts';

const RULE = '-'.repeat(80);

export interface LegacyReportOptions {
  readonly log: LegacyLog;
  readonly now: Clock;
  /** The `PATH` and `LD_LIBRARY_PATH` that called programs would see. */
  readonly path: string;
  readonly libraryPath: string;
}

interface Checks {
  succeeded: number;
  failed: number;
  seconds: number;
}

/** The first line of a run, before the list is read; without `file` the list comes from standard input. */
export function readingLine(file?: string): string {
  return file === undefined ? 'Reading URL pairs from stdin' : `Reading transfer specification from ${file}`;
}

/** The drop-in's voice. Header, rounds, errors as they happen; monitoring lines, statistics and verdict at the end. */
export function legacyReport({ log, now, path, libraryPath }: LegacyReportOptions): Consumer {
  const stats = startLegacyStats();
  const checks = new Map<string, Checks>();
  let lastRound = 0;
  let anyFailed = false;
  let anyGivenUp = false;

  function header(total: number): void {
    log('INFO', `${total} transfers loaded`);
    log('INFO', `PATH=${path}`);
    log('INFO', `LD_LIBRARY_PATH=${libraryPath}`);
    log('INFO', RULE);
  }

  function startRound(round: number): void {
    if (round <= lastRound) return;
    lastRound = round;
    log('INFO', `Starting transfers - attempt ${round}`);
  }

  function fail(failure: Failure): void {
    log('ERROR', failure.message);
    if (failure.hint !== undefined) log('INFO', `hint: ${failure.hint}`);
  }

  function countCheck(linkage: string, success: boolean, seconds: number): void {
    const count = checks.get(linkage) ?? { succeeded: 0, failed: 0, seconds: 0 };
    if (success) count.succeeded++;
    else count.failed++;
    count.seconds += seconds;
    checks.set(linkage, count);
  }

  function end(outcome: Outcome): void {
    if (outcome.kind === 'transfer') for (const attempt of outcome.attempts) stats.add(attempt);
    if (outcome.status === 'skipped') {
      log('WARNING', `Skipped ${nameOf(outcome)}: ${outcome.notes.join('; ') || 'no reason was given'}`);
      return;
    }
    for (const note of outcome.notes) log('DEBUG', `${nameOf(outcome)}: ${note}`);
    if (outcome.status === 'done') return;
    anyFailed = true;
    const told = outcome.attempts.at(-1)?.failure?.message;
    if (outcome.failure === undefined) log('ERROR', `${nameOf(outcome)}: ${outcome.status}`);
    else if (outcome.failure.message !== told) fail(outcome.failure);
  }

  function verdict(seconds: number): void {
    log('INFO', RULE);
    for (const [linkage, count] of checks) log('INFO', monitoringLine(linkage, count, now()));
    for (const line of stats.lines(seconds)) log('INFO', line);
    if (anyFailed) log('CRITICAL', 'Some transfers failed! See above, and possibly stderr.');
    else log('INFO', 'All transfers completed successfully.');
  }

  function take(event: Event): void {
    switch (event.type) {
      case 'run-started':
        header(event.total);
        return;
      case 'round-started':
        startRound(event.round);
        return;
      case 'item-started':
        log('DEBUG', `Starting ${formatLocation(event.source)} -> ${formatLocation(event.destination)}`);
        return;
      case 'attempt-ended':
        if (event.attempt.failure !== undefined) fail(event.attempt.failure);
        return;
      case 'retry-scheduled':
        log('INFO', `Next attempt on ${formatLocation(event.source)} in ${Math.ceil(event.seconds)} seconds`);
        return;
      case 'resumed':
        log('INFO', `Resuming at byte ${event.from}: ${event.why}`);
        return;
      case 'started-over':
        log('INFO', `Starting over: ${event.why}`);
        return;
      case 'breaker-opened':
        log('WARNING', `${event.failures} of the last ${event.of} tries at ${event.host} failed, pausing it`);
        return;
      case 'host-given-up':
        if (!anyGivenUp) log('ERROR', 'Too many failures to continue trying - exiting early');
        anyGivenUp = true;
        return;
      case 'warning':
        log('WARNING', event.message);
        return;
      case 'debug':
        log('DEBUG', event.message);
        return;
      case 'verified':
        countCheck(event.linkage, event.success, event.seconds);
        return;
      case 'item-ended':
        end(event.outcome);
        return;
      case 'run-ended':
        verdict(event.seconds);
        return;
      default:
    }
  }

  return { event: take, close() {} };
}

function nameOf(outcome: Outcome): string {
  const destination = formatLocation(outcome.destination);
  return outcome.kind === 'transfer'
    ? `${formatLocation(outcome.source)} -> ${destination}`
    : `${outcome.kind} ${destination}`;
}

/** Read by the monitoring daemon of the submit host: integers, but the duration as text. */
function monitoringLine(
  linkage: string,
  { succeeded, failed, seconds }: Checks,
  milliseconds: number,
): string {
  const event = pythonJson({
    ts: Math.floor(milliseconds / 1000),
    monitoring_event: 'int.metric',
    payload: [{ event: 'check', file_type: linkage, succeeded, failed, duration: seconds.toFixed(3) }],
  });
  return `@@@MONITORING_PAYLOAD - START@@@${event}@@@MONITORING_PAYLOAD - END@@@`;
}

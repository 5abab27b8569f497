import { formatLocation } from '../location.ts';
import type { Failure, Outcome } from '../outcome.ts';
import type { Consumer, Write } from './consumer.ts';
import { formatDuration, formatRate, formatSize, plural, safeText } from './format.ts';
import { countOutcome, GRADES_DOWN, startTally, type Tally } from './tally.ts';

/** Failures told one by one; a thousand equal lines help nobody. */
const MOST_FAILURES = 20;

export interface SummaryOptions {
  readonly write: Write;
  /** The report that names every failure, when one is written. */
  readonly reportPath?: string;
}

/** Warnings as they come, and at the end what failed and why, what was retried, and one line of totals. */
export function summary({ write, reportPath }: SummaryOptions): Consumer {
  const tally = startTally();
  const failures: string[] = [];
  const hints = new Set<string>();
  let failed = 0;
  let anyTransient = false;
  let seconds = 0;

  function warn(message: string): void {
    write(`warning: ${safeText(message)}\n`);
  }

  function recordFailure(outcome: Outcome, failure: Failure | undefined): void {
    failed++;
    anyTransient ||= failure?.transient === true || outcome.status === 'canceled';
    if (failed > MOST_FAILURES) return;
    failures.push(failureLine(outcome, failure));
    if (failure?.hint === undefined || hints.has(failure.hint)) return;
    hints.add(failure.hint);
    failures.push(`  hint: ${safeText(failure.hint)}\n`);
  }

  return {
    event(event) {
      if (event.type === 'warning') warn(event.message);
      else if (event.type === 'breaker-opened') warn(paused(event.host, event.failures, event.of));
      else if (event.type === 'host-given-up') warn(`${event.host}: given up for this run`);
      else if (event.type === 'run-ended') seconds = event.seconds;
      else if (event.type === 'item-ended') {
        const { outcome } = event;
        countOutcome(tally, outcome);
        if (outcome.status !== 'done' && outcome.status !== 'skipped')
          recordFailure(outcome, outcome.failure);
      }
    },
    close() {
      let text = failures.join('');
      if (failed > MOST_FAILURES) {
        const where = reportPath === undefined ? 'see --report' : `see \`${safeText(reportPath)}\``;
        text += `and ${failed - MOST_FAILURES} more, ${where}\n`;
      }
      text += repairs(tally);
      text += totals(tally, seconds);
      if (failed > 0) text += nextStep(tally, anyTransient);
      write(text);
    },
  };
}

function paused(host: string, failures: number, of: number): string {
  return `${host}: ${failures} of the last ${of} tries failed; waiting, and trying one at a time`;
}

function failureLine(outcome: Outcome, failure: Failure | undefined): string {
  const why = safeText(failure?.message ?? outcome.notes[0] ?? 'no reason was given');
  const from = safeText(formatLocation(outcome.source));
  const to = safeText(formatLocation(outcome.destination));
  const what = outcome.kind === 'transfer' ? `${from} -> ${to}` : `${outcome.kind} ${to}`;
  const tries = outcome.attempts.length > 1 ? ` (${outcome.attempts.length} attempts)` : '';
  return `${outcome.status}: ${what}: ${why}${tries}\n`;
}

function repairs(tally: Tally): string {
  const parts: string[] = [];
  if (tally.retried > 0) parts.push(`${tally.retried} needed another attempt`);
  if (tally.resumed > 0)
    parts.push(`${tally.resumed} resumed (${formatSize(tally.resumedBytes)} not sent again)`);
  if (tally.unchanged > 0) parts.push(`${tally.unchanged} identical already, left alone`);
  return parts.length === 0 ? '' : `${parts.join(', ')}\n`;
}

function totals(tally: Tally, seconds: number): string {
  const counted: string[] = [];
  const others = tally.mkdirs + tally.removes;
  if (tally.transfers > 0 || others === 0) counted.push(plural(tally.transfers, 'file'));
  if (tally.mkdirs > 0) counted.push(plural(tally.mkdirs, 'mkdir'));
  if (tally.removes > 0) counted.push(plural(tally.removes, 'remove'));
  if (tally.transfers > 0) counted.push(formatSize(tally.bytes));
  const rate = tally.movedBytes > 0 && seconds > 0 ? ` (${formatRate(tally.movedBytes / seconds)})` : '';
  const status = Object.entries(tally.status)
    .filter(([name, count]) => count > 0 || name === 'done')
    .map(([name, count]) => `${count} ${name}`);
  const verified = GRADES_DOWN.filter((grade) => tally.verified[grade] > 0).map(
    (grade) => `${tally.verified[grade]} ${grade}`,
  );
  const proof = verified.length === 0 ? '' : `; verified: ${verified.join(', ')}`;
  return `${counted.join(', ')} in ${formatDuration(seconds)}${rate}: ${status.join(', ')}${proof}\n`;
}

function nextStep(tally: Tally, anyTransient: boolean): string {
  if (anyTransient) return 'next: run it again; interrupted files go on where they stopped\n';
  return tally.status.unsupported > 0 && tally.status.failed === 0
    ? 'next: change what is not supported in the list, then run it again\n'
    : 'next: these will fail again unless something changes; mend what the lines above name, then run it again\n';
}

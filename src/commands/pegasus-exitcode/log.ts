import { appendFileSync } from 'node:fs';
import { toTransferError } from '../../errors.ts';
import { localMicroseconds } from '../../job/local-time.ts';
import type { Verdict } from './judge.ts';
import type { ExitcodeOrder } from './order.ts';

/** One line of the log, as the monitoring of the workflow reads it. */
export function logLine(
  { outFile, jobRetry, log }: ExitcodeOrder,
  { status, files }: Verdict,
  said: readonly string[],
  now: Date,
): string {
  return json({
    name: outFile,
    timestamp: localMicroseconds(now),
    exitcode: said.length === 0 ? 0 : 1,
    app_exitcode: status ?? null,
    retry: files.count ?? null,
    job_retry: jobRetry,
    // With a file, what would go to the terminal stands in the line.
    ...(log === undefined ? {} : { std_out: '', std_err: said.map((line) => `${line}\n `).join('') }),
  });
}

/** Appends a line in one write, so that jobs that end together keep theirs whole. */
export function appendLine(path: string, line: string): void {
  try {
    appendFileSync(path, `${line}\n`);
  } catch (error) {
    throw toTransferError(error, `write \`${path}\``);
  }
}

/** As Python prints it, which is what readers of the log were written against. */
function json(fields: Readonly<Record<string, string | number | null>>): string {
  const pairs = Object.entries(fields).map(
    ([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`,
  );
  return `{${pairs.join(', ')}}`;
}

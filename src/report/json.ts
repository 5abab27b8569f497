import type { Clock, Consumer } from './consumer.ts';
import { isoTime, outcomeJson } from './outcome-json.ts';
import type { ReportFile } from './report-file.ts';
import { countOutcome, startTally } from './tally.ts';

export interface JsonReportOptions {
  /** Where the text goes: `openReportFile(path)`. */
  readonly file: ReportFile;
  readonly version: string;
  readonly now: Clock;
}

/**
 * One JSON document about the run, an outcome a line, in the order in which items ended:
 *
 * `{ "bridle": version, "started": ISO 8601, "outcomes": [ … ], "ended": ISO 8601, "summary": { … } }`
 *
 * with outcomes as in `outcomeJson` and a summary of `seconds`, `bytes`, `movedBytes`, `unchanged`, `transfers`, `mkdirs`,
 * `removes`, `retried`, `resumed`, `resumedBytes`, and counts by `status` and by `verified` (grade of the transfers that are done).
 * Closing publishes the file and throws a `TransferError` when it could not be written.
 */
export function jsonReport({ file, version, now }: JsonReportOptions): Consumer {
  const started = now();
  const tally = startTally();
  let separator = '\n';
  let seconds: number | undefined;
  file.append(
    `{\n"bridle": ${JSON.stringify(version)},\n"started": ${JSON.stringify(isoTime(started))},\n"outcomes": [`,
  );

  return {
    event(event) {
      if (event.type === 'run-ended') seconds = event.seconds;
      if (event.type !== 'item-ended') return;
      countOutcome(tally, event.outcome);
      file.append(separator + JSON.stringify(outcomeJson(event.outcome)));
      separator = ',\n';
    },
    close() {
      const ended = now();
      const summary = { seconds: seconds ?? (ended - started) / 1000, ...tally };
      file.append(
        `\n],\n"ended": ${JSON.stringify(isoTime(ended))},\n"summary": ${JSON.stringify(summary)}\n}\n`,
      );
      file.publish();
    },
  };
}

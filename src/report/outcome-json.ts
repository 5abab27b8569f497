import { formatLocation, type Location } from '../location.ts';
import type { Attempt, Event, Outcome } from '../outcome.ts';

/**
 * An outcome as the report has it:
 *
 * | field | value |
 * |---|---|
 * | `index`, `kind`, `status`, `lfn`, `linkage`, `route`, `bytes`, `resumedFrom`, `seconds` | as in `Outcome` |
 * | `source`, `destination` | `{ "url", "site" }` |
 * | `verification` | `{ "source": { "grade", "algorithm"?, "value"?, "by"? }, "destination": { … } }` |
 * | `digests` | `{ "sha256": "…" }`, lower-case hexadecimal |
 * | `attempts` | list of {@link attemptJson} |
 * | `notes` | list of sentences |
 * | `failure` | `{ "code", "message", "hint"?, "transient", "retryAfter"? }`, absent when there was none |
 * | `wasVisible` | `true` when wrong content could be seen for a while, else absent |
 */
export function outcomeJson(outcome: Outcome): object {
  return {
    index: outcome.index,
    kind: outcome.kind,
    status: outcome.status,
    lfn: outcome.lfn,
    linkage: outcome.linkage,
    source: placeJson(outcome.source),
    destination: placeJson(outcome.destination),
    route: outcome.route,
    bytes: outcome.bytes,
    resumedFrom: outcome.resumedFrom,
    seconds: outcome.seconds,
    verification: { source: outcome.sourceVerification, destination: outcome.destinationVerification },
    digests: outcome.digests,
    attempts: outcome.attempts.map(attemptJson),
    notes: outcome.notes,
    failure: outcome.failure,
    wasVisible: outcome.wasVisible,
  };
}

/** `{ "round", "source", "destination", "started" (ISO 8601), "seconds", "bytes", "route", "failure"? }`. */
export function attemptJson(attempt: Attempt): object {
  return {
    ...attempt,
    source: placeJson(attempt.source),
    destination: placeJson(attempt.destination),
    started: isoTime(attempt.started),
  };
}

/** The event under its own field names, with `time` in front and places, attempts and outcomes in the shapes above. */
export function eventJson(event: Event, milliseconds: number): object {
  const time = isoTime(milliseconds);
  switch (event.type) {
    case 'item-started':
      return { time, ...event, source: placeJson(event.source), destination: placeJson(event.destination) };
    case 'retry-scheduled':
      return { time, ...event, source: placeJson(event.source) };
    case 'attempt-ended':
      return { time, ...event, attempt: attemptJson(event.attempt) };
    case 'item-ended':
      return { time, type: event.type, outcome: outcomeJson(event.outcome) };
    default:
      return { time, ...event };
  }
}

/** UTC with milliseconds, `2026-11-22T10:02:07.431Z`. */
export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function placeJson(location: Location): object {
  return { url: formatLocation(location), site: location.site };
}

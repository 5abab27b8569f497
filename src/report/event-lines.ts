import type { Clock, Consumer, Write } from './consumer.ts';
import { eventJson } from './outcome-json.ts';

export interface EventLinesOptions {
  readonly write: Write;
  readonly now: Clock;
}

/** Every event as one line of JSON, written as it happens. The shapes are those of `outcome-json.ts`. */
export function eventLines({ write, now }: EventLinesOptions): Consumer {
  return {
    event: (event) => write(`${JSON.stringify(eventJson(event, now()))}\n`),
    close() {},
  };
}

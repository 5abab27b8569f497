import { closeSync, openSync, writeSync } from 'node:fs';
import { toTransferError } from '../errors.ts';
import type { Consumer } from '../report/consumer.ts';
import { eventLines } from '../report/event-lines.ts';
import type { Io } from './io.ts';

/** Events as lines of JSON, as they happen, to a file or for `-` to standard output. Throws when it cannot be opened. */
export function openEvents(target: string, io: Io): Consumer {
  if (target === '-') return eventLines({ write: io.out, now: Date.now });
  const doing = `writing \`${target}\``;
  let descriptor: number;
  try {
    descriptor = openSync(target, 'w');
  } catch (error) {
    throw toTransferError(error, doing);
  }
  let failure: unknown;
  const lines = eventLines({
    now: Date.now,
    write(text) {
      const bytes = Buffer.from(text);
      try {
        for (let done = 0; failure === undefined && done < bytes.length; )
          done += writeSync(descriptor, bytes, done);
      } catch (error) {
        failure = error;
      }
    },
  });
  return {
    event: lines.event,
    close() {
      closeSync(descriptor);
      if (failure !== undefined) throw toTransferError(failure, doing);
    },
  };
}

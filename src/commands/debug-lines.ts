import { formatLocation } from '../location.ts';
import type { Consumer, Write } from '../report/consumer.ts';
import { safeText } from '../report/format.ts';

/** What `--debug` tells besides: every attempt, and every wait. */
export function debugLines(write: Write): Consumer {
  const tell = (text: string) => write(`debug: ${safeText(text)}\n`);
  return {
    event(event) {
      switch (event.type) {
        case 'debug':
          tell(event.message);
          return;
        case 'attempt-ended': {
          const { attempt } = event;
          const pair = `${formatLocation(attempt.source)} -> ${formatLocation(attempt.destination)}`;
          const end = attempt.failure ? attempt.failure.message : `${attempt.bytes} bytes`;
          tell(`${pair}: round ${attempt.round}, ${attempt.route}, ${attempt.seconds.toFixed(3)} s: ${end}`);
          return;
        }
        case 'retry-scheduled':
          tell(`${formatLocation(event.source)}: round ${event.round} in ${event.seconds.toFixed(1)} s`);
          return;
        case 'resumed':
          tell(`item ${event.index} goes on at byte ${event.from}: ${event.why}`);
          return;
        case 'started-over':
          tell(`item ${event.index} starts over: ${event.why}`);
          return;
        default:
      }
    },
    close() {},
  };
}

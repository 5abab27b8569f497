import { type Progress, progress } from '../report/progress.ts';
import type { Io } from './io.ts';

/** Progress on standard error: drawn on a terminal, a line now and then elsewhere. */
export function showProgress(io: Io): Progress {
  return progress({
    write: io.err,
    now: Date.now,
    isTTY: io.errIsTerminal() && io.env.TERM !== 'dumb',
    colour: !io.env.NO_COLOR,
    width: io.errWidth,
    every(milliseconds, callback) {
      const timer = setInterval(callback, milliseconds);
      timer.unref();
      return () => clearInterval(timer);
    },
  });
}

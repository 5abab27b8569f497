import { formatSize } from '../../report/format.ts';
import type { Io } from '../io.ts';

/** Milliseconds between two lines that replace each other. */
const EVERY = 200;

/** Bytes so far, on a line of the terminal that is gone in the end; nothing where there is no terminal. */
export function showBytes(verb: string, total: number, isQuiet: boolean, io: Io) {
  const isShown = !isQuiet && io.errIsTerminal();
  let bytes = 0;
  let last = 0;
  return {
    onBytes(more: number): void {
      bytes += more;
      const now = performance.now();
      if (!isShown || now - last < EVERY) return;
      last = now;
      io.err(`\r\x1b[K${verb} ${formatSize(bytes)} of ${formatSize(total)}`);
    },
    end: () => {
      if (isShown) io.err('\r\x1b[K');
    },
  };
}

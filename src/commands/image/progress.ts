import { formatSize } from '../../report/format.ts';
import type { Io } from '../io.ts';

/** Milliseconds between two lines that replace each other. */
const EVERY = 200;

/** Bytes so far, of so many where that is known, on a line of the terminal that is gone in the end; nothing where there is no terminal. */
export function showBytes(verb: string, total: number | undefined, isQuiet: boolean, io: Io) {
  const isShown = !isQuiet && io.errIsTerminal();
  let bytes = 0;
  let last = 0;
  return {
    /** `whole` where the total becomes known on the way. */
    onBytes(more: number, whole: number | undefined = total): void {
      bytes += more;
      const now = performance.now();
      if (!isShown || now - last < EVERY) return;
      last = now;
      const of = whole === undefined ? '' : ` of ${formatSize(whole)}`;
      io.err(`\r\x1b[K${verb} ${formatSize(bytes)}${of}`);
    },
    end: () => {
      if (isShown) io.err('\r\x1b[K');
    },
  };
}

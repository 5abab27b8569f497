import { safeText } from '../../report/format.ts';

/** Says one line; with `debug` only where that was asked for. */
export type IntegrityLog = (message: string, level?: 'debug') => void;

/** The original's only form. Control characters are shown escaped, so that no name can forge a line. */
export function integrityLog(write: (text: string) => void, debug: boolean): IntegrityLog {
  return (message, level) => {
    if (level === 'debug' && !debug) return;
    write(`Integrity check: ${safeText(message)}\n`);
  };
}

import { safeText } from '../report/format.ts';

/** Tells each warning once, by its key. */
export function warnOnce(say: (line: string) => void): (key: string, message: string) => void {
  const warned = new Set<string>();
  return (key, message) => {
    if (!warned.has(key)) say(`warning: ${safeText(message)}`);
    warned.add(key);
  };
}

import fs from 'node:fs';

/** The arguments that this process was started with, node and its script among them, byte for byte. */
export function rawArguments(): Buffer[] {
  return words(fs.readFileSync('/proc/self/cmdline'));
}

/** The environment that this process was started with, entries without a `=` and repeated ones included. */
export function rawEnvironment(): Buffer[] {
  return words(fs.readFileSync('/proc/self/environ'));
}

/** Each ends in a NUL (proc(5)). */
function words(text: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf(0, from);
    const to = end < 0 ? text.length : end;
    found.push(text.subarray(from, to));
    from = to + 1;
  }
  return found;
}

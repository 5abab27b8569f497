import fs from 'node:fs';

/** The longest is a list of 10,000 parts with their digests. */
const MOST_BYTES = 4 * 1024 * 1024;

/**
 * Writes down what a service needs to be told to go on with a partial, in `STEM.handle` of mode 0600: whole or not at
 * all, because it may be the only trace of what lies there.
 */
export function writeHandle(stem: string, handle: string): void {
  const path = `${stem}.handle.new`;
  const { O_CREAT, O_TRUNC, O_WRONLY, O_NOFOLLOW } = fs.constants;
  const fd = fs.openSync(path, O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW, 0o600);
  try {
    fs.writeSync(fd, JSON.stringify({ bridle: 1, handle }));
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(path, `${stem}.handle`);
}

/** What {@link writeHandle} wrote; undefined for anything else, and for a file that others can use. */
export function readHandle(stem: string): string | undefined {
  let fd: number;
  try {
    fd = fs.openSync(
      `${stem}.handle`,
      fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK,
    );
  } catch {
    return undefined;
  }
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile() || stat.size > MOST_BYTES || (stat.mode & 0o077) !== 0) return undefined;
    const value: unknown = JSON.parse(fs.readFileSync(fd, 'utf8'));
    const fields = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
    return fields.bridle === 1 && typeof fields.handle === 'string' ? fields.handle : undefined;
  } catch {
    return undefined;
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Milliseconds between two times that a handle is written down which grows with every part: a kill costs what came
 * since, and on a slow file system each takes several of them.
 */
const HANDLE_MS = 100;

/**
 * The handle of one partial as it grows: `flush` writes down what is known, which happens by itself soon after it
 * changed; after `stop` it does not any more.
 */
export function handleOf(stem: string) {
  let known = readHandle(stem);
  let written = known;
  let writtenAt = Number.NEGATIVE_INFINITY;
  let late: NodeJS.Timeout | undefined;
  const stop = () => clearTimeout(late);
  const flush = () => {
    stop();
    late = undefined;
    if (known === undefined || known === written) return;
    writtenAt = performance.now();
    written = known;
    writeHandle(stem, known);
  };
  const flushLate = () => {
    try {
      flush();
    } catch {
      // A full disk shows again at the next growth, to somebody who can be told.
    }
  };
  return {
    flush,
    stop,
    handle: () => known,
    keepHandle(handle: string) {
      known = handle;
      const wait = writtenAt + HANDLE_MS - performance.now();
      if (wait <= 0) flush();
      else late ??= setTimeout(flushLate, wait).unref();
    },
  };
}

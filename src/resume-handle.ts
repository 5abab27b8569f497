import fs from 'node:fs';

/** The longest is a list of 10,000 parts with their digests. */
const MOST_BYTES = 4 * 1024 * 1024;

/** What is known of a partial on a service before it has a journal. */
export interface KeptHandle {
  /** Possibly a secret. */
  readonly handle: string;
  /** Where it was to be stored, without secrets. */
  readonly destination?: string | undefined;
}

/**
 * Writes down what a service needs to be told to go on with a partial, in `STEM.handle` of mode 0600: whole or not at
 * all, because it may be the only trace of what lies there.
 */
export function writeHandle(stem: string, { handle, destination }: KeptHandle): void {
  const path = `${stem}.handle.new`;
  const { O_CREAT, O_TRUNC, O_WRONLY, O_NOFOLLOW } = fs.constants;
  const fd = fs.openSync(path, O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW, 0o600);
  try {
    fs.writeSync(fd, JSON.stringify({ bridle: 1, handle, destination }));
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(path, `${stem}.handle`);
}

/** What {@link writeHandle} wrote; undefined for anything else, and for a file that others can use. */
export function readHandle(stem: string): KeptHandle | undefined {
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
    const { handle, destination } = fields;
    if (fields.bridle !== 1 || typeof handle !== 'string') return undefined;
    return { handle, ...(typeof destination === 'string' ? { destination } : {}) };
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

/** The handle of `stem`, written down as it grows; `flush` at once, and `stop` before its file is removed. */
export function openHandle(stem: string) {
  let known = readHandle(stem);
  let written = known;
  let writtenAt = Number.NEGATIVE_INFINITY;
  let late: NodeJS.Timeout | undefined;
  const stop = () => clearTimeout(late);
  const flush = () => {
    stop();
    late = undefined;
    if (known === undefined || known.handle === written?.handle) return;
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
    handle: () => known?.handle,
    keepHandle(handle: string, destination = known?.destination) {
      known = { handle, destination };
      const wait = writtenAt + HANDLE_MS - performance.now();
      if (wait <= 0) flush();
      else late ??= setTimeout(flushLate, wait).unref();
    },
  };
}

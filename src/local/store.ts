import fs from 'node:fs';
import { errnoOf } from '../errors.ts';
import { diskCalls } from './disk.ts';

const blockingCalls = diskCalls('memory');
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;

/** One small file to be stored in one go. */
export interface StoreJob {
  readonly partial: string;
  readonly path: string;
  /** Permission bits of a new file; the umask applies. */
  readonly mode: number;
  /** Permission bits of the file that is replaced; they stay as they are. */
  readonly oldMode: number | undefined;
  /** Modification time in seconds since the epoch. */
  readonly modified: number | undefined;
}

/**
 * Creates the partial, writes, syncs and renames it, in the calling thread. Throws having removed the partial. For file
 * systems in memory: nothing here waits for a device there.
 */
export function storeNow(job: StoreJob, bytes: Uint8Array): void {
  const fd = fs.openSync(job.partial, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, job.mode);
  try {
    for (let done = 0; done < bytes.length; )
      done += fs.writeSync(fd, bytes, done, bytes.length - done, done);
    if (job.oldMode !== undefined) fs.fchmodSync(fd, job.oldMode);
    if (job.modified !== undefined) blockingCalls.futimes(fd, job.modified);
    fs.fsyncSync(fd);
    fs.renameSync(job.partial, job.path);
  } catch (error) {
    fs.rmSync(job.partial, { force: true });
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}

/** What is left of an error on its way between threads. */
export interface StoreFailure {
  readonly code: string;
  readonly message: string;
}

/** The errno and text of what {@link storeNow} threw. */
export function toStoreFailure(error: unknown): StoreFailure {
  return { code: errnoOf(error) ?? '', message: error instanceof Error ? error.message : String(error) };
}

/** A job and where its bytes are: in which shared memory, from where on, how many. */
export interface PackedJob {
  readonly id: number;
  readonly job: StoreJob;
  readonly memory: number;
  readonly from: number;
  readonly length: number;
}

const FIELDS = 9;

/** A job as text, to be put behind others. Paths hold no NUL, so it can part them; cloning records costs ten times as much. */
export function packJob({ id, job, memory, from, length }: PackedJob): string {
  const { partial, path, mode, oldMode, modified } = job;
  return `${id}\0${memory}\0${from}\0${length}\0${mode}\0${oldMode ?? ''}\0${modified ?? ''}\0${partial}\0${path}\0`;
}

/** The jobs that {@link packJob} made into `text`. */
export function unpackJobs(text: string): PackedJob[] {
  const fields = text.split('\0');
  const jobs: PackedJob[] = [];
  for (let at = 0; at + FIELDS <= fields.length - 1; at += FIELDS) {
    const [id, memory, from, length, mode, oldMode, modified, partial, path] = fields.slice(at, at + FIELDS);
    jobs.push({
      id: Number(id),
      memory: Number(memory),
      from: Number(from),
      length: Number(length),
      job: {
        partial: partial ?? '',
        path: path ?? '',
        mode: Number(mode),
        oldMode: oldMode ? Number(oldMode) : undefined,
        modified: modified ? Number(modified) : undefined,
      },
    });
  }
  return jobs;
}

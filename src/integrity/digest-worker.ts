import { parentPort } from 'node:worker_threads';
import { toTransferError } from '../errors.ts';
import { type DigestJob, digestFile, digestSmall, type FileDigests, look } from './digest-file.ts';

/** Files for all threads together: each takes the next one that nobody has taken. */
export interface DigestBatch {
  readonly id: number;
  readonly jobs: readonly DigestJob[];
  /** How many of `jobs` are taken. */
  readonly taken: Int32Array<SharedArrayBuffer>;
}

export interface DigestFailure {
  readonly code: string;
  readonly message: string;
}

/** What came of some jobs of a batch, by their index. */
export interface DigestAnswer {
  readonly id: number;
  readonly results: readonly (readonly [index: number, result: FileDigests | DigestFailure])[];
}

/** Milliseconds for which results are gathered: a message costs as much as a small file. */
const GATHER_MS = 20;

const port = parentPort;
let queue = Promise.resolve();

port?.on('message', (batch: DigestBatch) => {
  queue = queue.then(() => serve(batch));
});

async function serve({ id, jobs, taken }: DigestBatch): Promise<void> {
  let results: DigestAnswer['results'][number][] = [];
  let sent = performance.now();
  const send = () => {
    if (results.length > 0) port?.postMessage({ id, results } satisfies DigestAnswer);
    results = [];
    sent = performance.now();
  };
  for (;;) {
    const index = Atomics.add(taken, 0, 1);
    const job = jobs[index];
    if (!job) break;
    results.push([index, await perform(job)]);
    if (performance.now() - sent >= GATHER_MS) send();
  }
  send();
}

async function perform(job: DigestJob): Promise<FileDigests | DigestFailure> {
  try {
    const seen = look(job.path);
    return (seen && digestSmall(job, seen)) ?? (await digestFile(job));
  } catch (error) {
    const { code, message } = toTransferError(error, `read \`${job.path}\``);
    return { code, message };
  }
}

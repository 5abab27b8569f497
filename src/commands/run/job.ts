import { fromText } from '../../job/byte-text.ts';
import type { JobReport } from '../../job/record-job.ts';
import { inputTarget, type Target } from '../../job/stdio.ts';
import { openDeadline } from '../pegasus-kickstart/deadline.ts';
import { notRunnable, readyJob, runJob } from '../pegasus-kickstart/run-job.ts';
import type { Run } from '../pegasus-kickstart/status.ts';
import type { TimeLeft } from './time-left.ts';
import type { SignalDesk } from './told.ts';

const STDOUT = 1;
const STDERR = 2;
const SECOND = 1000;

export interface JobOptions {
  readonly desk: SignalDesk;
  readonly left: TimeLeft | undefined;
  /** Seconds between two lines that say it runs; 0 for none. */
  readonly heartbeat: number;
  readonly stdin: string | undefined;
  /** Standard output is taken by something else: the job's goes to standard error. */
  readonly isOutTaken: boolean;
}

export interface JobEnd {
  readonly report: JobReport;
  /** It was told to end since its time was over. */
  readonly isOver: boolean;
}

/** Runs the job in the current directory, once. Whatever goes wrong is in its report. */
export async function runMainJob(state: Run, options: JobOptions): Promise<JobEnd> {
  const { environment, limits, files, say, order } = state;
  const { desk, left, heartbeat } = options;
  const ready = readyJob('mainjob', order.command, { environment });
  if (ready.errno !== undefined) {
    say(`starting the job: \`${order.command[0]}\` is not there or cannot be executed`);
    return { report: notRunnable(ready), isOver: false };
  }
  const deadline = openDeadline({ termAfter: left?.termAfter ?? 0, killAfter: left?.killAfter ?? 0, say });
  const began = performance.now();
  const beat = () => say(`job: running for ${Math.round((performance.now() - began) / SECOND)} s`);
  const heart = heartbeat > 0 ? setInterval(beat, heartbeat * SECOND) : undefined;
  const captured = (file: Run['files']['stdout'], other: number): Target =>
    file ? { kind: 'temporary', path: file.path, fd: file.fd } : { kind: 'descriptor', fd: other };
  deadline.start();
  try {
    const report = await runJob(ready, {
      environment,
      limits,
      stdin: inputTarget(options.stdin === undefined ? '/dev/null' : fromText(options.stdin)),
      stdout: captured(files.stdout, options.isOutTaken ? STDERR : STDOUT),
      stderr: captured(files.stderr, STDERR),
      say,
      watch(job) {
        desk.watch(job);
        deadline.watch(job);
      },
    });
    return { report, isOver: deadline.isOver() };
  } finally {
    clearInterval(heart);
    deadline.stop();
  }
}

import type { Container } from '../../job/containers/container.ts';
import type { JobReport } from '../../job/record-job.ts';
import { openDeadline } from '../pegasus-kickstart/deadline.ts';
import { notRunnable, readyJob, runJob, streamsOf } from '../pegasus-kickstart/run-job.ts';
import type { Run } from '../pegasus-kickstart/status.ts';
import type { TimeLeft } from './time-left.ts';
import type { SignalDesk } from './told.ts';

const SECOND = 1000;

export interface JobOptions {
  readonly desk: SignalDesk;
  readonly left: TimeLeft | undefined;
  /** Seconds between two lines that say it runs; 0 for none. */
  readonly heartbeat: number;
  /** What it is run in; nothing without. */
  readonly container?: Container | undefined;
}

export interface JobEnd {
  readonly report: JobReport;
  /** It was told to end since its time was over. */
  readonly isOver: boolean;
}

/** Runs the job in the current directory, once. Whatever goes wrong is in its report. */
export async function runMainJob(state: Run, options: JobOptions): Promise<JobEnd> {
  const { environment, limits, say, order } = state;
  const { desk, left, heartbeat, container } = options;
  const ready = readyJob('mainjob', order.command, {
    environment,
    ...(container ? { wrap: container.wrap } : {}),
  });
  if (ready.errno !== undefined) {
    say(`starting the job: \`${order.command[0]}\` is not there or cannot be executed`);
    return { report: notRunnable(ready), isOver: false };
  }
  const deadline = openDeadline({ termAfter: left?.termAfter ?? 0, killAfter: left?.killAfter ?? 0, say });
  const began = performance.now();
  const beat = () => say(`job: running for ${Math.round((performance.now() - began) / SECOND)} s`);
  const heart = heartbeat > 0 ? setInterval(beat, heartbeat * SECOND) : undefined;
  deadline.start();
  try {
    const report = await runJob(ready, {
      environment,
      limits,
      ...streamsOf(state),
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

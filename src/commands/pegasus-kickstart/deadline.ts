import type { Running } from '../../job/launch.ts';

/** The time that all jobs have together. */
export interface Deadline {
  /** True once the time was over, whatever became of the job. */
  readonly isOver: () => boolean;
  start(): void;
  /** What is to be ended when the time is over; undefined between two jobs. */
  watch(job: Running | undefined): void;
  stop(): void;
}

export interface DeadlineOptions {
  /** Seconds; 0 for no end. */
  readonly termAfter: number;
  readonly killAfter: number;
  readonly say: (line: string) => void;
}

const SECOND = 1000;
/** Milliseconds of the longest timer that node has; 24 days. */
const LONGEST = 2 ** 31 - 1;

/** After `termAfter` the job that runs then is sent TERM, and KILL each `killAfter` from then on. */
export function openDeadline({ termAfter, killAfter, say }: DeadlineOptions): Deadline {
  let isOver = false;
  let job: Running | undefined;
  let timer: NodeJS.Timeout | undefined;
  let next: 'SIGTERM' | 'SIGKILL' = 'SIGTERM';

  const set = (seconds: number) => {
    timer = setTimeout(ring, Math.min(LONGEST, seconds * SECOND));
  };
  const ring = () => {
    isOver = true;
    if (!job) {
      // Between two jobs: the next one, if any, has begun by then.
      set(1);
      return;
    }
    say(next === 'SIGTERM' ? 'Job timed out, sending SIGTERM' : 'Job still running, sending SIGKILL');
    job.signal(next);
    next = 'SIGKILL';
    set(killAfter);
  };
  return {
    isOver: () => isOver,
    start() {
      if (termAfter > 0) set(termAfter);
    },
    watch(running) {
      job = running;
    },
    stop: () => clearTimeout(timer),
  };
}

import { TransferError } from '../../errors.ts';
import type { ByteText } from '../../job/byte-text.ts';
import type { Running } from '../../job/launch.ts';
import type { JobName, JobReport } from '../../job/record-job.ts';
import { PASSED_ON, signalStatus } from '../../job/signals.ts';
import { exitStatusOf } from '../../job/status-text.ts';
import { expandArgument, splitCommand } from '../../job/words.ts';
import { openDeadline } from './deadline.ts';
import { type JobSetting, notRunnable, readyJob, runJob, streamsOf } from './run-job.ts';
import { type Run, STATUS } from './status.ts';

export interface JobsOptions {
  readonly isHashedAsWritten: boolean;
  /** Called when the first job has been started: time to do what takes a moment. */
  readonly onStarted: () => void;
}

/**
 * Runs setup, prejob, main job, postjob and cleanup, as far as there are such, and sets the status of the run. Setup and
 * cleanup do not count; what fails keeps those after it from starting, but not the cleanup.
 */
export async function runJobs(state: Run, options: JobsOptions): Promise<void> {
  const { order, environment, say } = state;
  const main = attempt(state, () => {
    const wrapper = environment.get('KICKSTART_WRAPPER');
    const words = order.command.map((word) => expandArgument(word, environment.get));
    return [...(wrapper === undefined ? [] : splitCommand(wrapper, environment.get)), ...words];
  });
  if (!main) return;
  const mainJob = readyJob('mainjob', main, { environment, isMadeExecutable: order.isMadeExecutable });
  if (mainJob.errno !== undefined) {
    say(
      'FATAL: Unable to execute the specified binary. It might not exist, have the correct permissions, or be of the right type for the current system.',
    );
    state.jobs.push(notRunnable(mainJob));
    state.status = STATUS.notRun;
    return;
  }

  const deadline = openDeadline({ ...order, say });
  let current: Running | undefined;
  let pending: NodeJS.Signals | undefined;
  const setting: JobSetting = {
    environment,
    limits: state.limits,
    ...streamsOf(state),
    say,
    watch(job) {
      current = job;
      deadline.watch(job);
      if (job) options.onStarted();
    },
  };
  const pass = (signal: NodeJS.Signals) => {
    if (current) current.signal(signal);
    else pending = signal;
  };
  for (const signal of PASSED_ON) process.on(signal, pass);

  const side = async (name: JobName, word: string): Promise<JobReport | undefined> => {
    const line = environment.get(`KICKSTART_${word}`) ?? environment.get(`GRIDSTART_${word}`);
    if (line === undefined) return undefined;
    const words = attempt(state, () => splitCommand(line, environment.get));
    if (!words || words.length === 0) return undefined;
    const report = await runJob(readyJob(name, words, { environment }), setting);
    state.jobs.push(report);
    return report;
  };
  const mayGoOn = () => state.status === STATUS.done && !deadline.isOver() && pending === undefined;
  const count = (report: JobReport | undefined) => {
    if (report) state.status = exitStatusOf(report.raw);
  };

  deadline.start();
  await side('setup', 'SETUP');
  if (mayGoOn()) count(await side('prejob', 'PREJOB'));
  if (mayGoOn()) {
    if (options.isHashedAsWritten) await watchOutputs(state);
    const report = await runJob(mainJob, setting);
    state.jobs.push(report);
    count(report);
  }
  if (mayGoOn()) count(await side('postjob', 'POSTJOB'));
  deadline.stop();
  if (pending !== undefined && state.status === STATUS.done) state.status = signalStatus(pending);
  if (deadline.isOver()) state.status = STATUS.timeOut;
  await side('cleanup', 'CLEANUP');
}

/** The words that `make` finds; undefined, with the status of a failure, when they cannot be told. */
function attempt(state: Run, make: () => ByteText[]): ByteText[] | undefined {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    state.say(error.hint === undefined ? error.message : `${error.message}\nhint: ${error.hint}`);
    state.status = STATUS.failed;
    return undefined;
  }
}

async function watchOutputs(state: Run): Promise<void> {
  const { followOutputs } = await import('../../job/tail-hash.ts');
  state.followed = followOutputs(state.order.outputs);
}

import fs from 'node:fs';
import { TransferError, toTransferError } from '../../errors.ts';
import { type ByteText, toBytes } from '../../job/byte-text.ts';
import { startCgroupMeter } from '../../job/cgroup.ts';
import { asItIs, type CommandLine, type Wrap } from '../../job/container.ts';
import { findExecutable } from '../../job/executable.ts';
import { type Ended, launch, openLauncher, type Running } from '../../job/launch.ts';
import { launchCause } from '../../job/launch-error.ts';
import type { Limits } from '../../job/limits.ts';
import { look } from '../../job/look.ts';
import { type JobName, type JobReport, NOT_RUNNABLE } from '../../job/record-job.ts';
import { errnoNumber, errorText } from '../../job/status-text.ts';
import { connect, type Target } from '../../job/stdio.ts';
import { NO_USAGE } from '../../job/usage.ts';
import type { RawEnvironment } from './environment.ts';
import type { Run } from './status.ts';

/** What all jobs of a run have in common. */
export interface JobSetting {
  readonly environment: RawEnvironment;
  readonly limits: Limits;
  readonly stdin: Target;
  readonly stdout: Target;
  readonly stderr: Target;
  /** Told of the job that runs, and when none does. */
  readonly watch: (job: Running | undefined) => void;
  readonly say: (line: string) => void;
}

/** Where the streams of the jobs lead: as was asked for, else to the files of the run. */
export function streamsOf({ order, files }: Run): Pick<JobSetting, 'stdin' | 'stdout' | 'stderr'> {
  return {
    stdin: order.stdin,
    stdout: order.stdout ?? targetOf(files.stdout),
    stderr: order.stderr ?? targetOf(files.stderr),
  };
}

function targetOf(file: Run['files']['stdout']): Target {
  if (!file) throw new TransferError('unexpected', 'connecting the jobs: a stream has no place to go');
  return { kind: 'temporary', path: file.path, fd: file.fd };
}

/** Exit statuses that stand for a job which never began. */
const NO_STREAMS = 126;
const NOT_STARTED = 127;

/** A job whose command line is known, before it is run. */
export interface ReadyJob {
  readonly name: JobName;
  /** With the program's path for its name. */
  readonly command: CommandLine;
  readonly report: Pick<JobReport, 'name' | 'executable' | 'args'>;
  /** Why it cannot be run. */
  readonly errno: number | undefined;
}

export function readyJob(
  name: JobName,
  words: readonly ByteText[],
  {
    environment,
    isMadeExecutable = false,
    wrap = asItIs,
  }: {
    readonly environment: RawEnvironment;
    readonly isMadeExecutable?: boolean;
    /** Puts it into what it shall run in. */
    readonly wrap?: Wrap;
  },
): ReadyJob {
  const [program = '', ...args] = wrap([words[0] ?? '', ...words.slice(1)]);
  const { path, errno } = findExecutable(program, environment.get('PATH'), isMadeExecutable);
  const executable = look({ kind: 'file', path });
  // A name without a slash would be looked for in `PATH` again.
  const file = path.includes('/') ? path : `./${path}`;
  return { name, command: [file, ...args], report: { name, executable, args }, errno };
}

/** That a job could not be tried. */
export function notRunnable({ report, errno }: ReadyJob): JobReport {
  return { ...report, started: new Date(), seconds: 0, usage: NO_USAGE, raw: NOT_RUNNABLE, errno };
}

/** Runs a job to its end. Whatever goes wrong is in the report. */
export async function runJob(job: ReadyJob, setting: JobSetting): Promise<JobReport> {
  if (job.errno !== undefined) return notRunnable(job);
  const started = new Date();
  const never = (exit: number): JobReport => {
    return { ...job.report, started, seconds: 0, usage: NO_USAGE, raw: exit << 8 };
  };
  const streams: { readonly fd: number; close(): void }[] = [];
  try {
    for (const [side, target] of [
      ['in', setting.stdin],
      ['out', setting.stdout],
      ['out', setting.stderr],
    ] as const) {
      streams.push(connect(target, side));
    }
  } catch (error) {
    setting.say(toTransferError(error, `running the ${job.name}`).message);
    for (const { close } of streams) close();
    return never(NO_STREAMS);
  }
  const meter = startCgroupMeter();
  const samples = meter && setInterval(meter.sample, SAMPLE);
  try {
    const [stdin, stdout, stderr] = streams.map(({ fd }) => fd) as [number, number, number];
    const ended = await untilEnded(job, setting, [stdin, stdout, stderr]);
    return { ...job.report, ...outcomeOf(ended), cgroup: meter?.end() };
  } catch (error) {
    const cause = launchCause(error);
    tellStream(streams[2]?.fd, `execv: ${errorText(cause?.errno ?? errnoNumber(undefined))}\n`);
    setting.say(toTransferError(error, `running the ${job.name}`).message);
    return never(NOT_STARTED);
  } finally {
    clearInterval(samples);
    setting.watch(undefined);
    for (const { close } of streams) close();
  }
}

/** Milliseconds between two looks at the memory of the control group. */
const SAMPLE = 1000;
/** Names a file that is this run's own. */
const MARK = 'KICKSTART_INTEGRITY_DATA=';

async function untilEnded(
  { name, command }: ReadyJob,
  { environment, limits, watch }: JobSetting,
  stdio: [number, number, number],
): Promise<Ended> {
  const mark = environment.entries().find((entry) => entry.startsWith(MARK));
  const running = await launch({
    file: toBytes(command[0]),
    args: command.map(toBytes),
    environment: environment.entries().map(toBytes),
    stdio,
    limits,
    ...(mark === undefined ? {} : { mark: toBytes(mark) }),
    // What prepares the ground for the main job may leave a service for it.
    isSurvivable: name === 'setup' || name === 'prejob',
  });
  watch(running);
  return await running.ended;
}

function outcomeOf({ pid, status, started, seconds, usage, survivors }: Ended) {
  const notes = [
    ...(survivors > 0 ? [`survivors: ${survivors}`] : []),
    ...(openLauncher().mode === 'koffi' ? [] : [`launched_by: ${openLauncher().mode}`]),
  ];
  return { pid, raw: status, started, seconds, usage, notes };
}

function tellStream(fd: number | undefined, line: string): void {
  try {
    if (fd !== undefined) fs.writeSync(fd, line);
  } catch {
    return;
  }
}

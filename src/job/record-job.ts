import type { ByteText } from './byte-text.ts';
import type { CgroupUsage } from './cgroup.ts';
import { localMilliseconds } from './local-time.ts';
import { type FileEntry, fileLines, type Names } from './record-file.ts';
import { errorText, readWaitStatus, signalText } from './status-text.ts';
import type { Usage } from './usage.ts';
import { quoted } from './yaml-scalar.ts';

/** The jobs of one run, in the order in which they are run and recorded. */
export const JOB_NAMES = ['setup', 'prejob', 'mainjob', 'postjob', 'cleanup'] as const;

export type JobName = (typeof JOB_NAMES)[number];

/** One process, from its start to its end. */
export interface JobReport {
  readonly name: JobName;
  readonly started: Date;
  readonly seconds: number;
  /** Undefined when nothing was started. */
  readonly pid?: number | undefined;
  readonly usage: Usage;
  /** Of the control group that it ran in, with whatever else is in there. */
  readonly cgroup?: CgroupUsage | undefined;
  /** A wait status; {@link NOT_RUNNABLE} for what could not be tried. */
  readonly raw: number;
  /** Why it was not tried. */
  readonly errno?: number | undefined;
  readonly executable: FileEntry;
  /** Without the program's own name. */
  readonly args: readonly ByteText[];
  /** Further lines, as `key: value`, that the original does not have. */
  readonly notes?: readonly string[];
}

/** What stands for the wait status of a program that is not there or not executable. */
export const NOT_RUNNABLE = -127;

/** Readers divide by it. */
const LEAST_SECONDS = 0.003;
const LEAST_TIME = 0.001;

export function jobLines(job: JobReport, names: Names): string {
  const { name, args } = job;
  return (
    `  ${name}:\n` +
    `    start: ${localMilliseconds(job.started)}\n` +
    `    duration: ${Math.max(LEAST_SECONDS, job.seconds).toFixed(3)}\n` +
    (job.pid === undefined ? '' : `    pid: ${job.pid}\n`) +
    usageLines(job.usage, '    ', LEAST_TIME) +
    cgroupLines(job.cgroup).join('') +
    `    status:\n      raw: ${job.raw}\n` +
    statusLines(job).join('') +
    `    executable:\n${fileLines(job.executable, '      ', names)}` +
    `    argument_vector:\n${args.map((word) => `      - ${quoted(word)}\n`).join('')}` +
    '    procs:\n' +
    (job.notes ?? []).map((line) => `    ${line}\n`).join('')
  );
}

/** Further keys of `usage`. */
function cgroupLines(usage: CgroupUsage = {}): string[] {
  const values = [
    ['cgroup_memory_peak', usage.memoryPeak],
    ['cgroup_memory_anon', usage.anonymousPeak],
    ['cgroup_read_bytes', usage.readBytes],
    ['cgroup_written_bytes', usage.writtenBytes],
    ['cgroup_oom_kills', usage.oomKills],
  ] as const;
  return values.flatMap(([key, value]) => (value === undefined ? [] : [`      ${key}: ${value}\n`]));
}

function statusLines({ raw, errno = 0 }: JobReport): string[] {
  if (raw < 0) return [`      failure_error: ${errno}   ${errorText(errno)}\n`];
  const status = readWaitStatus(raw);
  switch (status.kind) {
    case 'exited':
      return [`      regular_exitcode: ${status.code}\n`];
    case 'signaled': {
      const text = signalText(status.signal);
      return [
        `      signalled_signal: ${status.signal}\n`,
        // The first is how the original writes it, the second how its reader looks it up.
        `      singalled_name: "${text}"\n`,
        `      signalled_name: "${text}"\n`,
        `      corefile: ${status.core}\n`,
      ];
    }
    case 'stopped':
      return [
        `      suspended_signal: ${status.signal}\n`,
        `      suspended_name: "${signalText(status.signal)}"\n`,
      ];
  }
}

export function usageLines(usage: Usage, indent: string, least = 0): string {
  const time = (seconds: number) => Math.max(least, seconds).toFixed(3);
  const counts = [
    `maxrss: ${usage.maxrss}`,
    `minflt: ${usage.minflt}`,
    `majflt: ${usage.majflt}`,
    `nswap: ${usage.nswap}`,
    `inblock: ${usage.inblock}`,
    `outblock: ${usage.outblock}`,
    `msgsnd: ${usage.msgsnd}`,
    `msgrcv: ${usage.msgrcv}`,
    `nsignals: ${usage.nsignals}`,
    `nvcsw: ${usage.nvcsw}`,
    `nivcsw: ${usage.nivcsw}`,
  ];
  const lines = [`utime: ${time(usage.utime)}`, `stime: ${time(usage.stime)}`, ...counts];
  return `${indent}usage:\n${lines.map((line) => `${indent}  ${line}\n`).join('')}`;
}

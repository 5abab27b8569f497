import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fromText } from '../../job/byte-text.ts';
import { readToolEntries } from '../../job/integrity-data.ts';
import { look } from '../../job/look.ts';
import { type Invocation, invocationRecord, type StreamEntry } from '../../job/record.ts';
import type { FileSource } from '../../job/record-file.ts';
import { JOB_NAMES } from '../../job/record-job.ts';
import type { Target } from '../../job/stdio.ts';
import type { TemporaryFile } from '../../job/temporary.ts';
import { selfUsage } from '../../job/usage.ts';
import { withoutSecrets } from './environment.ts';
import { type Facts, recordNames } from './facts.ts';
import { jobIds } from './job-ids.ts';
import { type Run, STATUS } from './status.ts';
import { writeRecord } from './write-record.ts';

const LABELS = ['transformation', 'derivation', 'resource', 'wf-label', 'wf-stamp'] as const;

/** Writes the record of a run. Returns what went wrong with that. */
export async function recordRun(state: Run, facts: Facts): Promise<string | undefined> {
  const { order, files, environment } = state;
  const hasFailed = state.status !== STATUS.done || state.jobs.some(({ raw }) => raw !== 0);
  const isShown = !order.isQuiet || hasFailed;
  const integrity = look({ kind: 'temporary', path: files.integrity.path, fd: files.integrity.fd });
  const tools = readToolEntries(files.integrity.fd, Number(integrity.stat?.size ?? 0n));
  if (tools.strange > 0) {
    state.say(`integrity data: ${tools.strange} lines that are no entry were left out of the record`);
  }
  const stream = (target: Target | undefined, file: TemporaryFile | undefined): StreamEntry => ({
    entry: look(sourceOf(target, file)),
    most: order.most,
    isShown,
  });
  const logfile: FileSource =
    order.log === undefined ? { kind: 'descriptor', fd: 1 } : { kind: 'file', path: order.log };
  const invocation: Invocation = {
    started: state.started,
    seconds: (performance.now() - state.clock) / 1000,
    labels: LABELS.flatMap((key) => {
      const value = order.labels.get(key);
      return value === undefined ? [] : [[key, value] as const];
    }),
    address: facts.address,
    pid: process.pid,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    umask: process.umask(),
    jobs: JOB_NAMES.flatMap((name) => state.jobs.find((job) => job.name === name) ?? []),
    jobIds: jobIds(environment.get),
    directory: state.directory,
    usage: selfUsage(),
    machine: facts.machine,
    inputs: state.inputs,
    outputs: state.outputs,
    tools: tools.entries,
    streams: {
      stdin: stream(order.stdin, undefined),
      stdout: stream(order.stdout, files.stdout),
      stderr: stream(order.stderr, files.stderr),
      metadata: { ...stream(undefined, files.metadata), most: undefined, isShown: true },
    },
    full:
      hasFailed || order.isFull
        ? {
            kickstart: look({ kind: 'file', path: fromText(ownPath()) }),
            logfile: look(logfile),
            environment: withoutSecrets(environment.entries()),
            limits: state.limits,
          }
        : undefined,
  };
  return writeRecord(() => invocationRecord(invocation, recordNames()), order.log);
}

function sourceOf(target: Target | undefined, file: TemporaryFile | undefined): FileSource {
  if (target?.kind === 'file') return { kind: 'file', path: target.path };
  if (target) return target;
  return file ? { kind: 'temporary', path: file.path, fd: file.fd } : { kind: 'descriptor', fd: 1 };
}

/** The launcher of the build that this is; without one, the file that node runs. */
function ownPath(): string {
  const launcher = fileURLToPath(new URL('../bin/pegasus-kickstart', import.meta.url));
  return existsSync(launcher) ? launcher : fileURLToPath(import.meta.url);
}

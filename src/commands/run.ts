import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TransferError, toTransferError } from '../errors.ts';
import { fromText } from '../job/byte-text.ts';
import { endSurvivors } from '../job/launch.ts';
import { lookAtFile } from '../job/look.ts';
import { isBad, type Output } from '../job/record-file.ts';
import { signalStatus } from '../job/signals.ts';
import { exitStatusOf } from '../job/status-text.ts';
import { safeText } from '../report/format.ts';
import { badInput } from './failures.ts';
import type { Io } from './io.ts';
import { gatherFacts } from './pegasus-kickstart/facts.ts';
import { recordRun } from './pegasus-kickstart/record-run.ts';
import type { Run } from './pegasus-kickstart/status.ts';
import { factsJson } from './run/facts-json.ts';
import { runMainJob } from './run/job.ts';
import { type RunOrder, readOrder } from './run/order.ts';
import { freshState } from './run/record-state.ts';
import type { JobFile } from './run/spec.ts';
import { hasArrived, type Staged, type Stager, stageIn, stageOut } from './run/staging.ts';
import { RUN_STATUS } from './run/status.ts';
import { timeLeft } from './run/time-left.ts';
import { openSignalDesk, type SignalDesk } from './run/told.ts';
import { makeWorkDirectory, removeWorkDirectory } from './run/work-directory.ts';
import { openSession } from './session.ts';
import type { RunValues } from './settings.ts';

/** What became of a run so far. */
interface Course {
  readonly state: Run;
  readonly desk: SignalDesk;
  directory: string | undefined;
  problem: string | undefined;
  inputs: readonly Staged[];
  stagedOut: readonly Staged[];
}

/** `bridle run`: a whole job, from its inputs to its outputs. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const order = await badInput(async () => readOrder(args, io.env));
  const left = await badInput(async () => timeLeft(order.values, io.env, Date.now()));
  const say = (line: string) => io.err(`${line}\n`);
  const state = freshState(order, say);
  const course: Course = {
    state,
    desk: openSignalDesk(),
    directory: undefined,
    problem: undefined,
    inputs: [],
    stagedOut: [],
  };
  const home = process.cwd();
  const facts = order.values.record === undefined ? undefined : gatherFacts(true);
  try {
    await perform(order, course, io, left);
    if (facts) {
      const trouble = await recordRun(state, await facts());
      if (trouble !== undefined) fail(course, RUN_STATUS.failed, trouble);
    }
  } finally {
    course.desk.stop();
    for (const file of Object.values(state.files)) file?.remove();
    process.chdir(home);
    clearAway(course, order.values.keep);
  }
  if (order.values.json) io.out(factsJson(factsOf(course, order.values.keep)));
  return state.status;
}

async function perform(
  order: RunOrder,
  course: Course,
  io: Io,
  left: ReturnType<typeof timeLeft>,
): Promise<void> {
  const { values } = order;
  const { state, desk } = course;
  const began = performance.now();
  const warn = (_: string, message: string) => state.say(`warning: ${safeText(message)}`);
  const endpoints = openSession(values, { env: io.env, connections: values.perHost ?? values.threads, warn });
  const stager: Stager = {
    values: stagingValues(order),
    io,
    endpoints,
    signal: desk.staging,
  };
  try {
    try {
      course.directory = makeWorkDirectory(values.workDirectory, io.env);
      const catalogs = await readCatalogs(values.checksums, warn);
      try {
        course.inputs = await stageIn(order.inputs, course.directory, {
          ...stager,
          ...(catalogs ? { findListed: catalogs.find } : {}),
        });
      } finally {
        catalogs?.close();
      }
      makeExecutable(course.inputs, course.directory);
      process.chdir(course.directory);
    } catch (error) {
      refuse(course, toTransferError(error, 'preparing the job'));
      return;
    }
    state.directory = fromText(course.directory);
    state.inputs = order.inputs.map(({ lfn }) => lookAtFile(named(lfn)));
    const absent = course.inputs.filter((input) => !hasArrived(input) && !input.file.isCheckpoint);
    const signal = desk.received();
    if (signal !== undefined) {
      fail(course, signalStatus(signal), `${signal} before the job was started`);
      return;
    }
    if (absent.length > 0) {
      const names = absent.map(({ file }) => `\`${safeText(file.lfn)}\``).join(', ');
      fail(course, RUN_STATUS.notStarted, `the job was not started: no good input ${names}`);
      return;
    }
    const isTold = await runIt(
      order,
      course,
      left && {
        ...left,
        // What staging took is the job's loss, not that of what comes after it.
        termAfter: Math.max(0.001, left.termAfter - (performance.now() - began) / 1000),
      },
    );
    await stageOutputs(order, course, stager, isTold);
  } finally {
    await endpoints.close();
  }
}

/** Resolves with true when the job was told to end. */
async function runIt(
  { values }: RunOrder,
  course: Course,
  left: ReturnType<typeof timeLeft>,
): Promise<boolean> {
  const { state, desk } = course;
  const { report, isOver } = await runMainJob(state, {
    desk,
    left,
    heartbeat: values.heartbeat,
  });
  state.jobs.push(report);
  state.status = exitStatusOf(report.raw);
  await endSurvivors();
  const signal = desk.received();
  if (isOver) fail(course, RUN_STATUS.timeOut, 'the job was told to end: its time was over');
  else if (signal !== undefined) fail(course, signalStatus(signal), `the job was told to end by ${signal}`);
  return isOver || signal !== undefined;
}

/** Outputs only of a job that came to its own good end; checkpoints whatever became of it. */
async function stageOutputs(order: RunOrder, course: Course, stager: Stager, isTold: boolean): Promise<void> {
  const { state } = course;
  if (order.outputs.length === 0) return;
  const { lookAtOutputs } = await import('../job/outputs.ts');
  const looked = await lookAtOutputs(order.outputs.map(({ lfn }) => named(lfn)));
  // A checkpoint that is not there is nothing to tell of.
  const outputs = order.outputs.map((file, at) => ({ file, output: looked[at] as Output }));
  state.outputs = outputs
    .filter(({ file, output }) => !file.isCheckpoint || !isBad(output))
    .map(({ output }) => output);
  const isWell = state.status === RUN_STATUS.done && !isTold;
  const good: JobFile[] = [];
  for (const { file, output } of outputs) {
    const problem = problemOf(file, output);
    if (problem === undefined) {
      if (file.places.length > 0 && (file.isCheckpoint || isWell)) good.push(withDigest(file, output));
    } else if (!file.isCheckpoint && isWell && !(order.values.noStrict && isBad(output))) {
      fail(course, RUN_STATUS.badOutput, `output \`${safeText(file.lfn)}\`: ${problem}`);
    }
  }
  // Nothing of a job goes out that is known to be incomplete.
  const chosen = good.filter(({ isCheckpoint }) => isCheckpoint || state.status === RUN_STATUS.done);
  course.stagedOut = await stageOut(chosen, course.directory as string, stager);
  const lost = course.stagedOut.filter((one) => !hasArrived(one) && !one.file.isCheckpoint);
  if (lost.length > 0) {
    const names = lost.map(({ file }) => `\`${safeText(file.lfn)}\``).join(', ');
    const signal = course.desk.received();
    fail(course, signal ? signalStatus(signal) : RUN_STATUS.notStagedOut, `did not arrive: output ${names}`);
  }
}

function problemOf(file: JobFile, output: Output): string | undefined {
  if (isBad(output)) return 'not there, no regular file, or no digest could be made';
  const size = Number(output.entry.stat?.size);
  if (file.size !== undefined && file.size !== size) return `expected ${file.size} bytes, got ${size}`;
  const expected = file.expected.find(({ algorithm }) => algorithm === 'sha256');
  if (expected && expected.value !== output.sha256) {
    return `expected sha256 \`${expected.value}\`, got \`${output.sha256}\``;
  }
  return undefined;
}

/** What is sent must be what was digested; other digests are compared on the way. */
function withDigest(file: JobFile, { sha256 }: Output): JobFile {
  if (sha256 === undefined || file.expected.some(({ algorithm }) => algorithm === 'sha256')) return file;
  return { ...file, expected: [...file.expected, { algorithm: 'sha256', value: sha256 }] };
}

const named = (lfn: string) => ({ lfn: fromText(lfn), path: fromText(lfn) });

const EXECUTABLE = 0o111;

function makeExecutable(inputs: readonly Staged[], directory: string): void {
  for (const staged of inputs) {
    if (!staged.file.isExecutable || !hasArrived(staged)) continue;
    const path = join(directory, staged.file.lfn);
    chmodSync(path, (statSync(path).mode & 0o7777) | EXECUTABLE);
  }
}

async function readCatalogs(files: readonly string[], warn: (key: string, message: string) => void) {
  if (files.length === 0) return undefined;
  const { openCatalogs } = await import('../integrity/catalogs.ts');
  const catalogs = await openCatalogs(files, { directory: process.cwd() });
  for (const message of catalogs.warnings) warn(message, message);
  return catalogs;
}

/** What the engine is told: nothing that changes what a job gets. */
function stagingValues({ values }: RunOrder): RunValues {
  const off = {
    update: false,
    preserve: false,
    symlink: false,
    dryRun: false,
    checksum: [],
    trustUnchanged: [],
  };
  const files = { report: undefined, receipts: undefined, events: undefined, blocks: undefined };
  return { ...values, ...off, ...files, writeChecksums: undefined, checksumsFormat: undefined };
}

/** The first problem counts, and no status but 0 is taken away from a job. */
function fail(course: Course, status: number, problem: string): void {
  course.state.say(`bridle: ${problem}`);
  course.problem ??= problem;
  course.state.status ||= status;
}

function refuse(course: Course, error: TransferError): void {
  fail(course, RUN_STATUS.notStarted, safeText(error.message));
  if (error.hint !== undefined) course.state.say(`hint: ${safeText(error.hint)}`);
}

function clearAway({ directory, state }: Course, isKept: boolean): void {
  if (directory === undefined) return;
  if (isKept) {
    state.say(`bridle: the work directory is kept: \`${directory}\``);
    return;
  }
  try {
    removeWorkDirectory(directory);
  } catch (error) {
    state.say(`warning: ${toTransferError(error, `removing \`${directory}\``).message}`);
  }
}

function factsOf(course: Course, isKept: boolean) {
  const { state, problem, directory, inputs, stagedOut } = course;
  return {
    status: state.status,
    problem,
    started: state.started,
    seconds: (performance.now() - state.clock) / 1000,
    directory,
    isKept,
    job: state.jobs[0],
    inputs,
    outputs: state.outputs,
    stagedOut,
  };
}

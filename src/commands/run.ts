import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { toTransferError } from '../errors.ts';
import { fromText } from '../job/byte-text.ts';
import { endSurvivors } from '../job/launch.ts';
import { lookAtFile } from '../job/look.ts';
import { signalStatus } from '../job/signals.ts';
import { exitStatusOf } from '../job/status-text.ts';
import { safeText } from '../report/format.ts';
import { badInput } from './failures.ts';
import type { Io } from './io.ts';
import { openCacheOf } from './open-cache.ts';
import { gatherFacts } from './pegasus-kickstart/facts.ts';
import { recordRun } from './pegasus-kickstart/record-run.ts';
import { type ContainerChoice, chooseContainer, dryRunLines, openJobContainer } from './run/container.ts';
import { type Course, fail, refuse } from './run/course.ts';
import { factsJson } from './run/facts-json.ts';
import { runMainJob } from './run/job.ts';
import { type RunOrder, readOrder } from './run/order.ts';
import { named, stageOutputs } from './run/outputs.ts';
import type { PulledImage } from './run/pull-image.ts';
import { freshState } from './run/record-state.ts';
import { stageReport } from './run/stage-report.ts';
import { hasArrived, type Staged, type Stager, stageIn } from './run/staging.ts';
import { RUN_STATUS } from './run/status.ts';
import { timeLeft } from './run/time-left.ts';
import { openSignalDesk } from './run/told.ts';
import { makeWorkDirectory, removeWorkDirectory } from './run/work-directory.ts';
import { openSession } from './session.ts';
import type { RunValues } from './settings.ts';

/** `bridle run`: a whole job, from its inputs to its outputs. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const order = await badInput(async () => readOrder(args, io.env));
  const left = await badInput(async () => timeLeft(order.values, io.env, Date.now()));
  const choice = await badInput(async () => chooseContainer(order, io.env.PATH));
  const say = (line: string) => io.err(`${line}\n`);
  const state = freshState(order, io.env, say);
  const course: Course = {
    state,
    desk: openSignalDesk(),
    directory: undefined,
    problem: undefined,
    inputs: [],
    stagedOut: [],
  };
  if (order.values.dryRun) {
    const directory = '/WORK-DIRECTORY';
    for (const line of dryRunLines(choice, order, state, directory)) io.out(`${safeText(line)}\n`);
    for (const file of Object.values(state.files)) file?.remove();
    course.desk.stop();
    return RUN_STATUS.done;
  }
  const home = process.cwd();
  const facts = order.values.record === undefined ? undefined : gatherFacts(true);
  try {
    await perform(order, course, choice, io, left);
    if (facts) {
      const staging = stageReport(course);
      if (staging) state.jobs.push(staging);
      const trouble = await recordRun(state, await facts());
      if (trouble !== undefined) fail(course, RUN_STATUS.failed, trouble);
    }
  } finally {
    for (const file of Object.values(state.files)) file?.remove();
    process.chdir(home);
    clearAway(course, order.values.keep);
    // Last: a signal in its usual effect would leave some of this behind.
    course.desk.stop();
  }
  if (order.values.json) io.out(factsJson(factsOf(course, order.values.keep)));
  return state.status;
}

async function perform(
  order: RunOrder,
  course: Course,
  choice: ContainerChoice | undefined,
  io: Io,
  left: ReturnType<typeof timeLeft>,
): Promise<void> {
  const { values } = order;
  const { state, desk } = course;
  const began = performance.now();
  const warn = (_: string, message: string) => state.say(`warning: ${safeText(message)}`);
  const cache = await openCacheOf(values);
  const endpoints = openSession(values, { env: io.env, connections: connectionsFor(order), warn, cache });
  const stager: Stager = {
    values: stagingValues(order),
    io,
    endpoints,
    cache,
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
    const pulled = choice?.pull && (await pullFor(choice, order, course, io));
    if (choice?.pull && !pulled) return;
    const ready = choice && pulled ? { ...choice, image: pulled.path, ...pulled.found } : choice;
    if (choice && !(await isProvenImage(choice, order, course))) return;
    const isTold = await runIt(
      order,
      course,
      ready,
      left && {
        ...left,
        // What staging took is the job's loss, not that of what comes after it.
        termAfter: Math.max(0.001, left.termAfter - (performance.now() - began) / 1000),
      },
    ).finally(() => pulled?.close());
    await stageOutputs(order, course, stager, isTold);
  } finally {
    cache?.close();
    await endpoints.close();
  }
}

/** Resolves with true when the job was told to end. */
async function runIt(
  order: RunOrder,
  course: Course,
  choice: ContainerChoice | undefined,
  left: ReturnType<typeof timeLeft>,
): Promise<boolean> {
  const { state, desk } = course;
  const container = choice && (await enter(choice, order, course));
  if (choice && !container) return false;
  try {
    const { report, isOver } = await runMainJob(state, {
      desk,
      left,
      heartbeat: order.values.heartbeat,
      container,
    });
    state.jobs.push(report);
    const status = exitStatusOf(report.raw);
    const failure = await container?.engineFailure(status);
    if (failure !== undefined) fail(course, RUN_STATUS.notStarted, failure);
    state.status ||= status;
    await endSurvivors();
    const signal = desk.received();
    if (isOver) fail(course, RUN_STATUS.timeOut, 'the job was told to end: its time was over');
    else if (signal !== undefined) fail(course, signalStatus(signal), `the job was told to end by ${signal}`);
    return isOver || signal !== undefined;
  } finally {
    await container?.close();
  }
}

/** The image of a registry; without it the job is not started. */
async function pullFor(
  choice: ContainerChoice,
  { values }: RunOrder,
  course: Course,
  io: Io,
): Promise<PulledImage | undefined> {
  const { desk, state } = course;
  try {
    const { fetchImage, pullImage } = await import('./run/pull-image.ts');
    const call = { values, io, signal: desk.staging, say: state.say };
    if (choice.pull === 'file') return await fetchImage(choice, call);
    return await pullImage(choice.image, { ...call, format: choice.pull ?? 'hybrid' });
  } catch (error) {
    const signal = desk.received();
    if (signal !== undefined) fail(course, signalStatus(signal), `${signal} before the job was started`);
    else refuse(course, toTransferError(error, 'pulling the image'));
    return undefined;
  }
}

/** An image on this machine is what `--checksums` lists of it; without that the job is not started. */
async function isProvenImage(choice: ContainerChoice, { values }: RunOrder, course: Course) {
  const { desk, state } = course;
  if (choice.pull || values.checksums.length === 0) return true;
  try {
    const { proveImage } = await import('./run/prove-image.ts');
    await proveImage(choice, { files: values.checksums, signal: desk.staging, say: state.say });
    return true;
  } catch (error) {
    const signal = desk.received();
    if (signal !== undefined) fail(course, signalStatus(signal), `${signal} before the job was started`);
    else refuse(course, toTransferError(error, 'reading the image'));
    return false;
  }
}

async function enter(choice: ContainerChoice, order: RunOrder, course: Course) {
  const place = { directory: course.directory as string, signal: course.desk.staging };
  try {
    return await openJobContainer(choice, order, course.state, place);
  } catch (error) {
    refuse(course, toTransferError(error, 'preparing the container'));
    return undefined;
  }
}

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

/** Whoever waits for the others before its commit may keep a connection. */
function connectionsFor({ values, outputs }: RunOrder): number {
  const { perHost, threads, atomicOutputs } = values;
  return Math.max(perHost ?? threads, atomicOutputs === undefined ? 0 : outputs.length + 1);
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
    job: state.jobs.find(({ name }) => name === 'mainjob'),
    inputs,
    outputs: state.outputs,
    stagedOut,
  };
}

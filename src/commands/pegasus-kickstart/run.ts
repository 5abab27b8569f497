import fs from 'node:fs';
import { TransferError, toTransferError } from '../../errors.ts';
import { fromBytes, readable, toPath } from '../../job/byte-text.ts';
import { endSurvivors } from '../../job/launch.ts';
import { initialLimits } from '../../job/limits.ts';
import { lookAtFile } from '../../job/look.ts';
import { isBad, type Output } from '../../job/record-file.ts';
import { prepareOutput } from '../../job/stdio.ts';
import {
  noTemporaryDirectory,
  type TemporaryFile,
  temporaryDirectory,
  temporaryFile,
} from '../../job/temporary.ts';
import { startEnvironment } from './environment.ts';
import { gatherFacts } from './facts.ts';
import { runJobs } from './jobs.ts';
import { freshOrder, type KickstartOrder, readOptions } from './options.ts';
import { recordRun } from './record-run.ts';
import { type Run, STATUS } from './status.ts';
import { USAGE } from './usage.ts';

/** What the process was started with. */
export interface Start {
  /** Bytes. */
  readonly args: readonly string[];
  /** The variables that the launcher and this program's user set for the program itself. */
  readonly settings: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Runs the jobs and writes their record. Resolves with the exit status. */
export async function run(start: Start): Promise<number> {
  const { settings, err } = start;
  const say = (line: string) => err(`${line}\n`);
  const environment = startEnvironment(settings.BRIDLE_LAUNCHED_ENVIRONMENT);
  prependPath(environment);
  const order = freshOrder();
  let problem: string | undefined;
  try {
    readOptions(start.args, environment.get, order);
  } catch (error) {
    problem = toTransferError(error, 'ERROR').message;
  }
  if (problem === undefined && order.action === 'version') {
    start.out(`${start.version}\n`);
    return STATUS.done;
  }
  if (problem === undefined && order.action === 'usage') {
    err(USAGE);
    return STATUS.notRun;
  }

  const files = makeFiles(environment, order);
  if (files instanceof TransferError) {
    say(files.message);
    return STATUS.noStart;
  }
  environment.set('KICKSTART_INTEGRITY_DATA', files.integrity.path);
  environment.set('KICKSTART_METADATA', files.metadata.path);
  const state: Run = {
    started: new Date(),
    clock: performance.now(),
    order,
    environment,
    limits: initialLimits(settings.BRIDLE_LAUNCHED_OPEN_FILES),
    files,
    directory: '',
    inputs: [],
    outputs: [],
    jobs: [],
    status: problem === undefined ? STATUS.done : STATUS.notRun,
    say,
  };
  try {
    if (problem !== undefined) say(problem);
    for (const warning of order.warnings) say(warning);
    if (order.isTraced) say('tracing (-t, -z, -Z) is not done here: `procs` will be empty');
    await perform(state, settings);
    return state.status;
  } finally {
    for (const file of Object.values(files)) file?.remove();
  }
}

async function perform(state: Run, settings: Start['settings']): Promise<void> {
  const { order, say } = state;
  const isStrict = isSet(settings.BRIDLE_STRICT);
  if (state.status === STATUS.done) enter(state);
  state.directory = workingDirectory();
  let facts: ReturnType<typeof gatherFacts> | undefined;
  if (state.status === STATUS.done) {
    for (const target of [state.order.stdout, state.order.stderr]) if (target) prepareOutput(target);
    state.inputs = order.inputs.map(lookAtFile);
    await runJobs(state, {
      isHashedAsWritten: isSet(settings.BRIDLE_HASH_AS_WRITTEN),
      onStarted: () => {
        facts ??= gatherFacts(!order.isHeaderless);
      },
    });
    const outputs = lookAtAll(state);
    facts ??= gatherFacts(!order.isHeaderless);
    state.outputs = await outputs;
    await endSurvivors();
  }
  facts ??= gatherFacts(!order.isHeaderless);
  if (
    state.outputs.some(({ isUnread }) => isUnread) ||
    (isStrict && (state.outputs.some(isBad) || order.warnings.length > 0))
  ) {
    for (const { entry } of state.outputs.filter(isBad)) {
      const path = entry.source.kind === 'file' ? readable(entry.source.path) : '';
      say(`output \`${path}\`: not there, no regular file, or no digest could be made`);
    }
    state.status ||= STATUS.failed;
  }
  const trouble = await recordRun(state, await facts());
  if (trouble === undefined) return;
  say(trouble);
  state.status ||= STATUS.failed;
}

/** What digests files is not loaded by a run without outputs. */
async function lookAtAll({ order, followed }: Run): Promise<readonly Output[]> {
  if (order.outputs.length === 0) return [];
  const { lookAtOutputs } = await import('../../job/outputs.ts');
  try {
    return await lookAtOutputs(order.outputs, { asWritten: followed?.digestOf });
  } finally {
    followed?.end();
  }
}

/** Goes where the jobs shall work. */
function enter(state: Run): void {
  const { directory } = state.order;
  if (!directory) return;
  const path = toPath(directory.path);
  let doing = 'chdir';
  try {
    if (directory.isMade && !fs.existsSync(path)) {
      doing = 'mkdir';
      fs.mkdirSync(path, 0o777);
    }
    changeTo(path);
  } catch (error) {
    refuse(state, error, doing);
  }
}

/** node takes text alone: a name that is none is gone to through a descriptor. */
function changeTo(path: string | Buffer): void {
  if (typeof path === 'string') {
    process.chdir(path);
    return;
  }
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    process.chdir(`/proc/self/fd/${fd}`);
  } finally {
    fs.closeSync(fd);
  }
}

function refuse(state: Run, error: unknown, what: string): void {
  const path = readable(state.order.directory?.path ?? '');
  state.say(toTransferError(error, `Unable to ${what} ${path}`).message);
  state.status = STATUS.notRun;
}

function workingDirectory(): string {
  try {
    return fromBytes(fs.readlinkSync('/proc/self/cwd', { encoding: 'buffer' }));
  } catch {
    return fromBytes(Buffer.from(process.cwd()));
  }
}

const isSet = (value: string | undefined): boolean =>
  value !== undefined && !/^(?:|0|no|false)$/i.test(value);

function prependPath(environment: Run['environment']): void {
  const first = environment.get('KICKSTART_PREPEND_PATH');
  if (!first) return;
  const path = environment.get('PATH');
  environment.set('PATH', path ? `${first}:${path}` : first);
}

const CANDIDATES = ['KICKSTART_TMP', 'GRIDSTART_TMP', 'TMP', 'TEMP', 'TMPDIR'];

/** The files that live as long as the run; those of streams that go elsewhere are not made. */
function makeFiles({ get }: Run['environment'], order: KickstartOrder): Run['files'] | TransferError {
  const made: TemporaryFile[] = [];
  const found = temporaryDirectory([...CANDIDATES.map(get), '/tmp', '/var/tmp']);
  if (found === undefined) return noTemporaryDirectory();
  // Jobs may work elsewhere.
  const directory = found.startsWith('/') ? found : `${workingDirectory()}/${found}`;
  const make = (prefix: string) => {
    const file = temporaryFile(directory, prefix);
    made.push(file);
    return file;
  };
  try {
    return {
      stdout: order.stdout ? undefined : make('ks.out.'),
      stderr: order.stderr ? undefined : make('ks.err.'),
      metadata: make('ks.meta.'),
      integrity: make('ks.integrity.'),
    };
  } catch (error) {
    for (const file of made) file.remove();
    return toTransferError(error, 'making temporary files');
  }
}

import { execFile } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TransferError } from '../../errors.ts';
import { writerLives } from '../../local/writer.ts';
import { fromText } from '../byte-text.ts';
import type { CommandLine, Wrap } from '../container.ts';
import { complaint } from './complaint.ts';
import { LABEL } from './docker.ts';
import type { EngineName } from './engine.ts';
import { type ContainerOrder, type ContainerPlan, writerOf } from './order.ts';
import { planContainer } from './plan.ts';

/** A container that a job can be run in. */
export interface Container {
  /** Puts the job's command line into it. */
  readonly wrap: Wrap;
  /** After it has ended with `status`: what the engine itself failed with; undefined when the job was reached. */
  engineFailure(status: number): Promise<string | undefined>;
  /** Removes it, whatever became of it. Never rejects: what could not be removed is told by `say`. */
  close(): Promise<void>;
}

/** How podman and docker say that they themselves have failed (`podman-run(1)`, Exit Status). */
const ENGINE_FAILED = 125;
/** Of an image that is loaded, the last line says the name, `Loaded image: docker.io/library/busybox:1.36`, or docker `Loaded image ID: sha256:…` of one without. */
const LOADED = /^Loaded image(?: ID|\(s\))?: ?(\S+)$/;
const NEVER = '0001-01-01';
/** Bytes of an engine's output that are looked at. */
const MOST_OUTPUT = 1024 * 1024;

interface Setting {
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/**
 * Brings the image in, where the engine wants that, and removes what runs that were killed have left. Rejects with
 * `unexpected` and the engine's own words when the image cannot be loaded.
 */
export async function openContainer(
  engine: EngineName,
  order: ContainerOrder,
  setting: Setting,
): Promise<Container> {
  const plan = planContainer(engine, order);
  const { run } = planContainer(engine, inBytes(order));
  if (plan.remove) await removeOrphans(order.program, setting);
  const image = plan.load ? await load(plan.load, order, setting) : order.image;
  return {
    wrap: (command) => run(fromText(image), command),
    engineFailure: (status) => engineFailure(plan, order, status, setting),
    close: async () => {
      if (plan.marker !== undefined) rmSync(join(order.directory, plan.marker), { force: true });
      if (!plan.remove) return;
      const { status, error } = await call(plan.remove, { ...setting, signal: undefined });
      if (status !== 0 && !/no such container|no container with/i.test(error)) {
        setting.say(`warning: removing the container \`${order.name}\`: ${complaint(error)}`);
      }
    },
  };
}

/** The job's words are bytes, and so are those around them then. */
function inBytes(order: ContainerOrder): ContainerOrder {
  const { program, image, directory, mounts, variables, more } = order;
  const all = (words: readonly string[]) => words.map(fromText);
  return {
    ...order,
    program: fromText(program),
    image: fromText(image),
    directory: fromText(directory),
    mounts: all(mounts),
    variables: all(variables),
    more: all(more),
  };
}

async function load(command: CommandLine, order: ContainerOrder, setting: Setting): Promise<string> {
  const { status, output, error } = await call(command, setting);
  const name = output
    .trimEnd()
    .split('\n')
    .map((line) => LOADED.exec(line)?.[1])
    .findLast((one) => one !== undefined);
  if (status === 0 && name !== undefined) return name;
  throw new TransferError(
    'unexpected',
    `loading the image \`${order.image}\`: ${complaint(error) || 'the engine named no image'}`,
  );
}

async function engineFailure(
  plan: ContainerPlan,
  order: ContainerOrder,
  status: number,
  setting: Setting,
): Promise<string | undefined> {
  if (status === 0) return undefined;
  if (plan.marker !== undefined) {
    if (existsSync(join(order.directory, plan.marker))) return undefined;
    return `${plan.engine} ended with ${status} before the job was started`;
  }
  if (!plan.inspect || status !== ENGINE_FAILED) return undefined;
  const { status: inspected, output } = await call(plan.inspect, { ...setting, signal: undefined });
  if (inspected === 0 && !output.startsWith(NEVER)) return undefined;
  return `${plan.engine} ended with ${status} before the job was started`;
}

/** Those of ours whose process is dead: one that is killed cannot remove its own. Of other machines' nothing is known. */
async function removeOrphans(program: string, setting: Setting): Promise<void> {
  const asked = ['ps', '--all', '--filter', `label=${LABEL}`, '--format', '{{.Names}}'];
  const listed = await call([program, ...asked], setting);
  for (const name of listed.status === 0 ? listed.output.split('\n') : []) {
    const writer = writerOf(name);
    if (writer === undefined || writerLives(writer, Date.now(), Date.now())) continue;
    await call([program, 'rm', '--force', name], setting);
  }
}

interface Called {
  readonly status: number;
  readonly output: string;
  readonly error: string;
}

function call(
  [program, ...args]: CommandLine,
  {
    environment,
    signal,
  }: { readonly environment: NodeJS.ProcessEnv; readonly signal: AbortSignal | undefined },
): Promise<Called> {
  return new Promise((resolve, reject) => {
    const options = { env: environment, maxBuffer: MOST_OUTPUT, ...(signal ? { signal } : {}) };
    execFile(String(program), args.map(String), options, (failure, output, error) => {
      if (signal?.aborted) return reject(new TransferError('canceled', `running \`${program}\`: canceled`));
      const status = failure ? (typeof failure.code === 'number' ? failure.code : ENGINE_FAILED) : 0;
      resolve({ status, output, error: error || (failure?.message ?? '') });
    });
  });
}

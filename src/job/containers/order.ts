import { writerId } from '../../local/writer.ts';
import type { CommandLine } from '../container.ts';
import type { EngineName, ImageForm } from './engine.ts';

/** How a job is to be put into a container. */
export interface ContainerOrder {
  /** What the engine is called by. */
  readonly program: string;
  /** A small init, for engines that want it named: without one, the first process of a container ignores TERM. */
  readonly init?: string | undefined;
  /** A path, or a name that the engine knows. */
  readonly image: string;
  readonly form: ImageForm;
  /** Nothing may be made in the directory that the image is, not even what something is mounted on. */
  readonly isReadOnly?: boolean;
  /** The work directory on this machine: the one place that the job shares with it by itself. */
  readonly directory: string;
  /** `SOURCE:TARGET[:OPTIONS]`, as the engines have it. */
  readonly mounts: readonly string[];
  /** Names of variables of the job's environment that it gets inside. Values never stand on a command line. */
  readonly variables: readonly string[];
  readonly gpus: boolean;
  /** More for the engine, before the image. */
  readonly more: readonly string[];
  /** Of the container, on engines that name them: {@link containerName}. */
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** The user may use other ids in a namespace of its own, as {@link hasSubordinateIds} tells. */
  readonly hasMoreIds: boolean;
}

/** The command lines that an engine takes for an order. */
export interface ContainerPlan {
  readonly engine: EngineName;
  /** Where the work directory is inside. */
  readonly inside: string;
  /** Brings the image in; it says what it is called then. */
  readonly load?: CommandLine;
  /** Runs `command` in the image of this name. */
  run(image: string, command: CommandLine): CommandLine;
  /** Says, once it has ended, when the job began: `0001-01-01…` for one that never did. */
  readonly inspect?: CommandLine;
  /** Removes the container, running or not. */
  readonly remove?: CommandLine;
  /** Below the work directory: it is there when the job was reached, for engines that do not tell. */
  readonly marker?: string;
}

let sequence = 0;

/** A name for a container that says who started it, so that a later run knows whether that one still lives. */
export function containerName(): string {
  sequence += 1;
  return `bridle-${writerId()}-${sequence}`;
}

/** Who started the container of this name; undefined for one that is not ours. */
export function writerOf(name: string): string | undefined {
  return /^bridle-([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12})-\d+$/.exec(name)?.[1];
}

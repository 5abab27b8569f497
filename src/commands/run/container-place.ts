import { statSync } from 'node:fs';
import { readable } from '../../job/byte-text.ts';
import type { ContainerOrder } from '../../job/containers/order.ts';
import type { Run } from '../pegasus-kickstart/status.ts';
import { isCredential } from './job-environment.ts';
import type { RunOrder } from './order.ts';

/** What a container shares with this machine. */
export type ContainerPlace = Pick<ContainerOrder, 'directory' | 'mounts' | 'variables' | 'gpus'>;

/** They tell the job where to write facts about itself, and where its batch system's scratch space is. */
const OWN_VARIABLES = ['KICKSTART_METADATA', 'KICKSTART_INTEGRITY_DATA', '_CONDOR_SCRATCH_DIR'];

/**
 * The place of a job in a container: its work directory, what is asked for, and what variables that it gets name, which
 * must be at the same path inside. Credentials are among them when they are passed on.
 */
export function placeOf(
  { values }: Pick<RunOrder, 'values'>,
  state: Pick<Run, 'environment'>,
  directory: string,
): ContainerPlace {
  const entries = new Map(state.environment.entries().map(split));
  const credentials = values.passCredentials ? [...entries.keys()].filter(isCredential) : [];
  const own = mounted(OWN_VARIABLES, entries).map((path) => `${path}:${path}`);
  const secret = mounted(credentials, entries).map((path) => `${path}:${path}:ro`);
  const asked = new Set(values.mount.map(targetOf));
  return {
    directory,
    mounts: [...values.mount, ...[...own, ...secret].filter((mount) => !asked.has(targetOf(mount)))],
    variables: [...new Set([...values.env, ...OWN_VARIABLES, ...credentials])],
    gpus: values.gpus,
  };
}

function split(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return [readable(entry.slice(0, at)), readable(entry.slice(at + 1))];
}

/** Absolute paths among the values, each once. Colons and semicolons would end a path for an engine. */
function mounted(names: readonly string[], entries: ReadonlyMap<string, string>): string[] {
  const paths = names.map((name) => entries.get(name) ?? '');
  return [...new Set(paths)].filter((path) => /^\/[^:;]+$/.test(path) && isThere(path));
}

function isThere(path: string): boolean {
  try {
    return statSync(path) !== undefined;
  } catch {
    return false;
  }
}

const targetOf = (mount: string) => mount.split(':')[1];

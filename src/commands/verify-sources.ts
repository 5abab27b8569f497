import { join, resolve } from 'node:path';
import { TransferError } from '../errors.ts';
import { batchesOf } from '../integrity/digest-pool.ts';
import { isProblem, type ManifestEntry, type ManifestProblem } from '../integrity/manifests/manifest.ts';
import { mergeItems } from '../integrity/manifests/merge.ts';
import { isBelowRoot, quoted } from '../integrity/manifests/names.ts';
import type { OpenManifest } from '../integrity/manifests/open.ts';
import { createNameSet, type NameSet } from '../integrity/name-set.ts';
import { formatLocation } from '../location.ts';
import type { Digest } from '../protocol.ts';
import type { Place } from '../request.ts';
import type { VerifyTask } from '../verify.ts';
import { below, parseArgument } from './arguments.ts';
import type { Finding } from './verify-demands.ts';

/** Where tasks come from. */
export interface TaskSource {
  /** As they stand there, a place as often as it stands there. `tell` is given what is no task. */
  tasks(tell: (finding: Finding) => void): Iterable<VerifyTask>;
  /** Those of them that are `wanted`, what one source says of one name together. */
  merged(wanted: (task: VerifyTask) => boolean, tell: (finding: Finding) => void): Iterable<VerifyTask>;
}

const nobody = () => undefined;

/** Tasks that are there already. */
export function sourceOf(tasks: readonly VerifyTask[]): TaskSource {
  return { tasks: () => tasks, merged: (wanted) => tasks.filter(wanted) };
}

export interface ManifestUse {
  /** The argument that names it. */
  readonly text: string;
  readonly root: Place;
  /** Names may be any path. */
  readonly isFree: boolean;
  /** Takes the plain names of what it lists. */
  readonly names?: NameSet;
}

/** What a list of digests asks for. */
export function manifestSource(manifest: OpenManifest, use: ManifestUse): TaskSource {
  const taskOf = (entry: ManifestEntry, tell: (finding: Finding) => void): VerifyTask | undefined => {
    const { name, digests, size, where } = entry;
    const place = placeOf(name, use);
    if (typeof place !== 'string') return { name, place, digests, size, list: use.text, where };
    tell({ name, status: 'unverifiable', problem: place });
    return undefined;
  };
  const findingOf = ({ where, name, problem }: ManifestProblem): Finding => ({
    name: `${use.text}: ${where}`,
    status: 'unverifiable',
    problem: name === undefined || problem.includes(quoted(name)) ? problem : `${problem} (${quoted(name)})`,
  });
  function* tasks(tell: (finding: Finding) => void): Generator<VerifyTask> {
    for (const item of manifest.items()) {
      if (isProblem(item)) {
        tell(findingOf(item));
        continue;
      }
      const task = taskOf(item, tell);
      if (task) yield task;
    }
  }
  let kept: readonly VerifyTask[] | undefined;
  return {
    tasks(tell) {
      if (!manifest.isKept) return tasks(tell);
      kept ??= [...tasks(tell)];
      return kept;
    },
    *merged(wanted, tell) {
      function* some() {
        for (const item of manifest.items()) {
          const task = isProblem(item) ? undefined : taskOf(item, nobody);
          if (task && wanted(task)) yield item;
        }
      }
      const { entries, problems } = mergeItems(some());
      for (const problem of problems) tell(findingOf(problem));
      for (const entry of entries) {
        const task = taskOf(entry, nobody);
        if (task) yield task;
      }
    },
  };
}

const URL_NAME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//;

/** Why a name is that of no place here, as text. */
function placeOf(name: string, { root, isFree, names }: ManifestUse): Place | string {
  const isUrl = URL_NAME.test(name);
  if (isUrl || (isFree && !isBelowRoot(name))) {
    names?.add(plainName(name));
    try {
      return parseArgument(isUrl || name.startsWith('/') ? name : join(resolve(root.location.path), name));
    } catch (error) {
      if (error instanceof TransferError) return error.message;
      throw error;
    }
  }
  if (!isBelowRoot(name)) return `it lies outside of \`${formatLocation(root.location)}\``;
  const plain = plainName(name);
  names?.add(plain);
  return below(root, plain);
}

/** Without empty parts and dots, as listings have it. */
function plainName(name: string): string {
  if (!/(?:^|\/)(?:\.?\/|\.?$)/.test(name)) return name;
  return name
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

/**
 * Each place once, with all its digests; two sources that disagree about one are a finding, and then neither counts. What
 * stands in one place only is not kept: the sources are gone through once for what stands in several, and once for the
 * tasks.
 */
export function withoutQuarrels(
  sources: readonly TaskSource[],
  tell: (finding: Finding) => void,
): () => AsyncGenerator<readonly VerifyTask[]> {
  const seen = createNameSet();
  let repeated: NameSet | undefined;
  for (const source of sources) {
    for (const task of source.tasks(tell)) {
      const key = keyOf(task);
      if (seen.add(key)) continue;
      repeated ??= createNameSet();
      repeated.add(key);
    }
  }
  if (!repeated) return () => inTurn(sources, undefined);
  const several = new Map<string, VerifyTask>();
  const quarrels = new Map<string, Finding>();
  for (const source of sources) {
    for (const task of source.merged((one) => repeated.has(keyOf(one)), tell)) {
      const key = keyOf(task);
      const known = several.get(key);
      const other = known && contradiction(known, task);
      if (other !== undefined) quarrels.set(key, { name: task.name, status: 'unverifiable', problem: other });
      several.set(key, known ? joined(known, task) : task);
    }
  }
  for (const [key, quarrel] of quarrels) {
    several.delete(key);
    tell(quarrel);
  }
  return () => inTurn(sources, { repeated, several });
}

async function* inTurn(
  sources: readonly TaskSource[],
  met: { readonly repeated: NameSet; readonly several: Map<string, VerifyTask> } | undefined,
): AsyncGenerator<readonly VerifyTask[]> {
  function* tasks(): Generator<VerifyTask> {
    for (const source of sources) {
      for (const task of source.tasks(nobody)) {
        const one = met ? once(task, met) : task;
        if (one) yield one;
      }
    }
  }
  yield* batchesOf(tasks());
}

/** What stands in several places where the first of them is. */
function once(
  task: VerifyTask,
  { repeated, several }: { readonly repeated: NameSet; readonly several: Map<string, VerifyTask> },
): VerifyTask | undefined {
  const key = keyOf(task);
  if (!repeated.has(key)) return task;
  const all = several.get(key);
  several.delete(key);
  return all;
}

/** Of a URL that is not whole, nobody knows whether it is the same as another. */
function keyOf({ place, digests, isNamedInPart }: VerifyTask): string {
  const name = formatLocation(place.location);
  return isNamedInPart ? `${name} ${digests.map(({ value }) => value).join(' ')}` : name;
}

function joined(one: VerifyTask, other: VerifyTask): VerifyTask {
  return { ...one, digests: allDigests(one, other), size: one.size ?? other.size };
}

function allDigests(one: VerifyTask, other: VerifyTask): readonly Digest[] {
  const added = other.digests.filter(({ algorithm }) => one.digests.every((d) => d.algorithm !== algorithm));
  return [...one.digests, ...added];
}

function contradiction(one: VerifyTask, other: VerifyTask): string | undefined {
  for (const { algorithm, value } of other.digests) {
    const said = one.digests.find((digest) => digest.algorithm === algorithm)?.value;
    if (said !== undefined && said !== value) {
      return `the manifests disagree: ${algorithm} ${said}${saidBy(one)} and ${value}${saidBy(other)}`;
    }
  }
  if (one.size === undefined || other.size === undefined || one.size === other.size) return undefined;
  return `the manifests disagree: ${one.size}${saidBy(one)} and ${other.size}${saidBy(other)} bytes`;
}

function saidBy({ list, where }: VerifyTask): string {
  return list === undefined ? '' : ` (\`${list}\`, ${where})`;
}

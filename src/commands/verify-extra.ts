import { TransferError } from '../errors.ts';
import { formatLocation } from '../location.ts';
import type { Visit } from './places.ts';
import type { Demands, Finding, Root } from './verify-demands.ts';

/**
 * The files below the directories that manifests speak of and that none of them names. A bag's list is complete by what
 * it says of itself; of others that is asked for.
 */
export async function* listExtra(
  { roots }: Demands,
  isAsked: boolean,
  visit: Visit,
): AsyncGenerator<Finding> {
  const byPlace = new Map<string, Root[]>();
  for (const root of roots) {
    if (!isAsked && !root.isComplete) continue;
    const key = `${formatLocation(root.place.location)} ${root.within}`;
    byPlace.set(key, [...(byPlace.get(key) ?? []), root]);
  }
  for (const [first, ...others] of byPlace.values()) {
    if (!first) continue;
    const isNamed = (name: string) => [first, ...others].some(({ names }) => names.has(name));
    yield* extraBelow(first, isNamed, visit);
  }
}

async function* extraBelow(
  { place, within }: Root,
  isNamed: (name: string) => boolean,
  { endpoints, signal }: Visit,
): AsyncGenerator<Finding> {
  const endpoint = await endpoints.open(place);
  if (!endpoint.list) {
    throw new TransferError('unsupported', `\`${place.location.scheme}\`: this protocol cannot list`, {
      hint: 'without --extra, only what the manifest names is looked at',
    });
  }
  for await (const { name, stat, problem } of endpoint.list(place.location.path, {
    recursive: true,
    signal,
  })) {
    if (stat.type === 'directory' || !name.startsWith(within) || isNamed(name)) continue;
    yield { name, status: 'extra', problem: problem ?? 'no manifest names it' };
  }
}

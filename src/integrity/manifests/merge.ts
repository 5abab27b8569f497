import { createNameSet, type NameSet } from '../name-set.ts';
import {
  type FormatName,
  isProblem,
  type ManifestEntry,
  type ManifestItem,
  type ManifestProblem,
} from './manifest.ts';
import { quoted } from './names.ts';

/** A manifest as a whole. */
export interface Manifest {
  readonly format: FormatName;
  /** Each name once, in the order of its first place. */
  readonly entries: readonly ManifestEntry[];
  readonly problems: readonly ManifestProblem[];
}

/**
 * Each name once: its digests and places from wherever they stand. Two values of one algorithm for one name are a
 * problem that names both places, and then nothing said of that name counts.
 */
export function mergeItems(items: Iterable<ManifestItem>): Omit<Manifest, 'format'> {
  const entries = new Map<string, ManifestEntry>();
  const problems: ManifestProblem[] = [];
  const repeated = new Map<string, ManifestEntry[]>();
  const contradicted = new Set<string>();
  for (const item of items) {
    if (isProblem(item)) {
      problems.push(item);
      continue;
    }
    const known = entries.get(item.name);
    if (!known) {
      entries.set(item.name, item);
      continue;
    }
    const earlier = repeated.get(item.name) ?? [known];
    const problem = contradiction(item, earlier);
    if (problem !== undefined) {
      problems.push({ where: item.where, name: item.name, problem });
      contradicted.add(item.name);
    } else if (addsTo(known, item)) {
      entries.set(item.name, joined(known, item));
      repeated.set(item.name, [...earlier, item]);
    }
  }
  for (const name of contradicted) entries.delete(name);
  return { entries: [...entries.values()], problems };
}

/**
 * The same of a list that is too long to be kept, in the order of the list but for what stands in it more than once: that
 * comes first. Goes through the items three times, twice where each name stands once.
 */
export function* eachOnce(items: () => Iterable<ManifestItem>): Generator<ManifestItem> {
  const seen = createNameSet();
  let repeated: NameSet | undefined;
  for (const item of items()) {
    if (isProblem(item)) yield item;
    else if (!seen.add(item.name)) {
      repeated ??= createNameSet();
      repeated.add(item.name);
    }
  }
  const isRepeated = (item: ManifestItem) => !isProblem(item) && repeated?.has(item.name) === true;
  if (repeated) {
    const { entries, problems } = mergeItems(filtered(items(), isRepeated));
    yield* problems;
    yield* entries;
  }
  yield* filtered(items(), (item) => !isProblem(item) && !isRepeated(item));
}

function* filtered<T>(items: Iterable<T>, isWanted: (item: T) => boolean): Generator<T> {
  for (const item of items) if (isWanted(item)) yield item;
}

function contradiction(item: ManifestEntry, earlier: readonly ManifestEntry[]): string | undefined {
  for (const other of earlier) {
    for (const { algorithm, value } of item.digests) {
      const said = other.digests.find((digest) => digest.algorithm === algorithm)?.value;
      if (said === undefined || said === value) continue;
      return `contradicts ${other.where}: ${algorithm} ${quoted(value)} here, ${quoted(said)} there`;
    }
    if (item.size !== undefined && other.size !== undefined && item.size !== other.size) {
      return `contradicts ${other.where}: ${item.size} bytes here, ${other.size} there`;
    }
  }
  return undefined;
}

/** False for the same once more: a list that repeats itself a million times stays small. */
function addsTo(known: ManifestEntry, item: ManifestEntry): boolean {
  if (known.size === undefined && item.size !== undefined) return true;
  if (item.places?.some((place) => !known.places?.includes(place))) return true;
  return item.digests.some(({ algorithm }) =>
    known.digests.every((digest) => digest.algorithm !== algorithm),
  );
}

function joined(known: ManifestEntry, item: ManifestEntry): ManifestEntry {
  const added = item.digests.filter(({ algorithm }) =>
    known.digests.every((digest) => digest.algorithm !== algorithm),
  );
  const size = known.size ?? item.size;
  const places = [...new Set([...(known.places ?? []), ...(item.places ?? [])])];
  return {
    ...known,
    digests: [...known.digests, ...added],
    ...(size === undefined ? {} : { size }),
    ...(places.length > 0 ? { places } : {}),
  };
}

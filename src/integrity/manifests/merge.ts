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
  const repeated = new Map<string, Together>();
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
    let all = repeated.get(item.name);
    if (!all) {
      all = together(known);
      repeated.set(item.name, all);
    }
    const problem = add(all, item);
    if (problem === undefined) continue;
    problems.push({ where: item.where, name: item.name, problem });
    contradicted.add(item.name);
  }
  for (const [name, all] of repeated) entries.set(name, joined(all));
  for (const name of contradicted) entries.delete(name);
  return { entries: [...entries.values()], problems };
}

/**
 * The same items, but neighbours of one name put together where they go together: lists with several digests a file have
 * them one after the other. Those that contradict each other come as they are.
 */
export function* joinNeighbours(items: Iterable<ManifestItem>): Generator<ManifestItem> {
  let all: Together | undefined;
  for (const item of items) {
    if (all && !isProblem(item) && item.name === all.parts[0].name) {
      if (add(all, item) === undefined) continue;
      yield* all.parts;
    } else if (all) yield joined(all);
    all = isProblem(item) ? undefined : together(item);
    if (isProblem(item)) yield item;
  }
  if (all) yield joined(all);
}

/** What was said of one name so far. */
interface Together {
  /** Those that said something new of the content; never many, as there are few algorithms. */
  readonly parts: [ManifestEntry, ...ManifestEntry[]];
  readonly places: Set<string>;
}

function together(first: ManifestEntry): Together {
  return { parts: [first], places: new Set(first.places) };
}

/** What it contradicts, as text; else it is part of all. The same once more adds nothing. */
function add({ parts, places }: Together, item: ManifestEntry): string | undefined {
  const problem = contradiction(item, parts);
  if (problem !== undefined) return problem;
  for (const place of item.places ?? []) places.add(place);
  const isNew = item.digests.some(({ algorithm }) =>
    parts.every(({ digests }) => digests.every((digest) => digest.algorithm !== algorithm)),
  );
  if (isNew || (item.size !== undefined && parts.every(({ size }) => size === undefined))) parts.push(item);
  return undefined;
}

function joined({ parts, places }: Together): ManifestEntry {
  const [first] = parts;
  const size = parts.find((part) => part.size !== undefined)?.size;
  const digests = new Map(
    parts.flatMap((part) => part.digests.map((digest) => [digest.algorithm, digest] as const)),
  );
  return {
    ...first,
    digests: parts.length === 1 ? first.digests : [...digests.values()],
    ...(size === undefined ? {} : { size }),
    ...(places.size > 0 ? { places: [...places] } : {}),
  };
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

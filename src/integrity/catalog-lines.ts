import { readFile } from 'node:fs/promises';
import { basename, posix } from 'node:path';
import { formatLocation, parseUrl } from '../location.ts';
import type { Algorithm, Digest } from '../protocol.ts';
import { safeText } from '../safe-text.ts';
import { look } from './digest-file.ts';
import { ALGORITHMS } from './digests.ts';
import { DIGEST_DIGITS } from './expected.ts';
import { indexLines, UNMARKED } from './line-index.ts';
import { readManifest } from './manifests/formats.ts';
import type { ListLines } from './manifests/list-lines.ts';
import {
  isProblem,
  type ManifestEntry,
  type ManifestItem,
  type ManifestProblem,
} from './manifests/manifest.ts';
import { eachOnce, type Manifest, mergeItems } from './manifests/merge.ts';
import { openManifest } from './manifests/open.ts';

/** What one catalog says. */
export interface Sayings {
  /** What counts of a name that {@link normalName} made, or why nothing does; undefined where it is not listed. */
  of(name: string): ManifestItem | undefined;
  /** A sentence for each line that cannot be used. */
  readonly warnings: readonly string[];
  close(): void;
}

export type ReadCatalog = (bytes: Uint8Array, fileName: string) => Promise<Manifest>;

/** Parts of one catalog that are told one by one. */
const MOST_TOLD = 100;

/** Reads a catalog in any format; one of lines that is long stays where it is. Rejects as `readManifest` does. */
export async function readCatalog(file: string, read: ReadCatalog | undefined): Promise<Sayings> {
  const fileName = basename(file);
  const seen = look(file);
  if (read || !seen?.isFile()) {
    const make = read ?? ((bytes, name) => readManifest(bytes, { fileName: name }));
    const { problems, entries } = await make(await readFile(file), fileName);
    return keepAll(file, [...entries, ...problems]);
  }
  const manifest = await openManifest({ path: file, seen }, { fileName });
  return manifest.lines ? indexed(file, manifest.lines) : keepAll(file, [...manifest.items()]);
}

function keepAll(file: string, items: readonly ManifestItem[]): Sayings {
  const entries = new Map<string, string>();
  const unusable = new Map<string, ManifestProblem>();
  const problems = createProblems(file);
  for (const item of eachOnce(() => items.map(normalized))) {
    if (!isProblem(item)) {
      entries.set(flat(item.name), pack(item));
      continue;
    }
    if (item.name !== undefined) unusable.set(item.name, item);
    problems.add(item, 0);
  }
  return {
    of(name) {
      const packed = entries.get(name);
      return packed === undefined ? unusable.get(name) : unpack(packed, name);
    },
    warnings: problems.warnings(),
    close: () => undefined,
  };
}

function indexed(file: string, lines: ListLines): Sayings {
  const problems = createProblems(file);
  const tell = (item: ManifestItem) => {
    if (isProblem(item)) problems.add(item, Number(item.where.slice('line '.length)));
  };
  const index = indexLines(lines, {
    keyOf: ({ name }) => (name === undefined ? undefined : normalName(name)),
    markOf,
    onItem: tell,
  });
  try {
    for (const items of index.quarrels()) {
      const entries = items.filter((item) => !isProblem(item));
      mergeItems(entries.map(normalized)).problems.forEach(tell);
    }
  } catch (error) {
    index.close();
    throw error;
  }
  return {
    of(name) {
      const said = index.find(name).map(normalized);
      const { entries, problems } = mergeItems(said.filter((item) => !isProblem(item)));
      // That what is said contradicts itself weighs more than that some of it cannot be read.
      return entries[0] ?? problems.at(-1) ?? said.at(-1);
    },
    warnings: problems.warnings(),
    close: index.close,
  };
}

/** What two lines of one name may differ in: the first digits of the value, below a number of the algorithm. */
function markOf(item: ManifestItem): number {
  if (isProblem(item)) return UNMARKED;
  const [digest, ...more] = item.digests;
  if (!digest || more.length > 0 || item.size !== undefined) return 0;
  const kind = ALGORITHMS.indexOf(digest.algorithm) + 1;
  return ((kind << 28) | Number.parseInt(digest.value.slice(0, 7), 16)) >>> 0;
}

/** The first of many, in the order of the list where that is told. */
function createProblems(file: string) {
  let told: { readonly order: number; readonly text: string }[] = [];
  let count = 0;
  const keepFirst = () => {
    told = told.sort((one, other) => one.order - other.order).slice(0, MOST_TOLD);
  };
  return {
    add({ where, problem }: ManifestProblem, order: number): void {
      count += 1;
      told.push({ order, text: safeText(`\`${file}\`, ${where}: ${problem}`) });
      if (told.length > 2 * MOST_TOLD) keepFirst();
    },
    warnings(): readonly string[] {
      keepFirst();
      const more = count - told.length;
      const rest = more > 0 ? [`\`${file}\`: ${more} more lines that cannot be used`] : [];
      return [...told.map(({ text }) => text), ...rest];
    },
  };
}

function normalized<T extends ManifestItem>(item: T): T {
  if (item.name === undefined) return item;
  const name = normalName(item.name);
  return name === item.name ? item : { ...item, name };
}

/** Local files are paths here, and paths and URLs have one spelling. */
export function normalName(name: string): string {
  const path = name.startsWith('file://') ? name.slice('file://'.length) : name;
  if (path.includes('://')) return normalUrl(path);
  return path === '' ? path : posix.normalize(path);
}

/** As places are told: without a login, which says nothing of the content. */
function normalUrl(name: string): string {
  try {
    return formatLocation(parseUrl(name).location);
  } catch {
    return name;
  }
}

/** A copy of its own: a piece of a text keeps the whole text. */
function flat(text: string): string {
  return Buffer.from(text).toString();
}

/** Digests as a character a byte, which is half of what their digits take. */
function pack({ digests, size, where }: ManifestEntry): string {
  const sums = digests.map(({ algorithm, value }) => {
    const code = String.fromCharCode(ALGORITHMS.indexOf(algorithm));
    return code + Buffer.from(value, 'hex').toString('latin1');
  });
  return Buffer.from([size ?? '', where, sums.join('')].join('\n'), 'latin1').toString('latin1');
}

function unpack(packed: string, name: string): ManifestEntry {
  const sizeEnd = packed.indexOf('\n');
  const whereEnd = packed.indexOf('\n', sizeEnd + 1);
  const size = packed.slice(0, sizeEnd);
  const digests: Digest[] = [];
  for (let at = whereEnd + 1; at < packed.length; ) {
    const algorithm = ALGORITHMS[packed.charCodeAt(at)] as Algorithm;
    const end = at + 1 + DIGEST_DIGITS[algorithm] / 2;
    const value = Buffer.from(packed.slice(at + 1, end), 'latin1').toString('hex');
    digests.push({ algorithm, value });
    at = end;
  }
  const where = packed.slice(sizeEnd + 1, whereEnd);
  return { name, digests, where, ...(size === '' ? {} : { size: Number(size) }) };
}

import { readFile } from 'node:fs/promises';
import { basename, dirname, posix, relative, resolve } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import { formatLocation, LOCAL_SCHEMES, type Location, parseUrl } from '../location.ts';
import type { Algorithm, Digest } from '../protocol.ts';
import { safeText } from '../safe-text.ts';
import { look } from './digest-file.ts';
import { ALGORITHMS } from './digests.ts';
import { DIGEST_DIGITS } from './expected.ts';
import { type FindListed, type Listed, together } from './listed.ts';
import { readManifest } from './manifests/formats.ts';
import { isProblem, type ManifestEntry, type ManifestItem } from './manifests/manifest.ts';
import { eachOnce, type Manifest } from './manifests/merge.ts';
import { isBelowRoot, quoted } from './manifests/names.ts';
import { openManifest } from './manifests/open.ts';

export interface Catalogs {
  readonly find: FindListed;
  /** A sentence for each line that cannot be used. */
  readonly warnings: readonly string[];
}

/** Parts of one catalog that are told one by one. */
const MOST_TOLD = 100;

/** Where everything that is copied goes. */
export interface Goal {
  /** A directory, or the only file. */
  readonly place: Location;
  /** Names of the trees that go there. */
  readonly trees: ReadonlySet<string>;
}

export interface CatalogTools {
  /** What a relative name may be relative to, beside its catalog's own directory. */
  readonly directory: string;
  /** Names may be relative to where everything goes as well. */
  readonly to?: Goal;
  /** Instead of {@link readManifest}. */
  readonly read?: (bytes: Uint8Array, fileName: string) => Promise<Manifest>;
}

/**
 * Reads catalogs of digests in any format. Names are logical names, URLs, or paths: absolute, relative to the current
 * directory, relative to the catalog's own, or to where everything goes. Takes 130 bytes a file with a name of 30 characters and one sha256. Rejects
 * with `invalid-request`, and as reading a file does.
 */
export async function openCatalogs(files: readonly string[], tools: CatalogTools): Promise<Catalogs> {
  const catalogs: Catalog[] = [];
  for (const file of files) catalogs.push(await openCatalog(file, tools));
  return {
    find: (lfn, destination) => findListed(catalogs, lfn, destination, tools),
    warnings: catalogs.flatMap(({ warnings }) => warnings),
  };
}

interface Catalog {
  readonly file: string;
  readonly directory: string;
  /** By name; each packed, because a million of them are kept. */
  readonly entries: ReadonlyMap<string, string>;
  /** Why what is said of a name cannot be used. */
  readonly unusable: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

async function openCatalog(file: string, tools: CatalogTools): Promise<Catalog> {
  const doing = `reading the checksums in \`${file}\``;
  try {
    const entries = new Map<string, string>();
    const unusable = new Map<string, string>();
    const warnings: string[] = [];
    let problems = 0;
    for (const item of await itemsOf(file, tools)) {
      if (!isProblem(item)) {
        entries.set(flat(normalName(item.name)), pack(item));
        continue;
      }
      const { where, name, problem } = item;
      const text = `${where}: ${problem}`;
      if (name !== undefined) unusable.set(normalName(name), text);
      problems += 1;
      if (problems <= MOST_TOLD) warnings.push(safeText(`\`${file}\`, ${text}`));
    }
    const more = problems - MOST_TOLD;
    if (more > 0) warnings.push(`\`${file}\`: ${more} more lines that cannot be used`);
    return { file, directory: dirname(resolve(tools.directory, file)), entries, unusable, warnings };
  } catch (error) {
    const known = toTransferError(error, doing);
    if (known !== error) throw known;
    throw new TransferError(known.code, `${doing}: ${known.message}`, {
      cause: known,
      ...(known.hint === undefined ? {} : { hint: known.hint }),
    });
  }
}

/** What a catalog says, each name once. */
async function itemsOf(file: string, { read }: CatalogTools): Promise<Iterable<ManifestItem>> {
  const fileName = basename(file);
  const seen = look(file);
  if (read || !seen?.isFile()) {
    const make = read ?? ((bytes, name) => readManifest(bytes, { fileName: name }));
    const { problems, entries } = await make(await readFile(file), fileName);
    return [...entries, ...problems];
  }
  const manifest = await openManifest({ path: file, seen }, { fileName });
  return eachOnce(() => manifest.items());
}

/** Local files are paths here, and paths and URLs have one spelling. */
function normalName(name: string): string {
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

function unpack(packed: string, file: string): Listed {
  const sizeEnd = packed.indexOf('\n');
  const whereEnd = packed.indexOf('\n', sizeEnd + 1);
  const size = packed.slice(0, sizeEnd);
  const expected: Digest[] = [];
  for (let at = whereEnd + 1; at < packed.length; ) {
    const algorithm = ALGORITHMS[packed.charCodeAt(at)] as Algorithm;
    const end = at + 1 + DIGEST_DIGITS[algorithm] / 2;
    const value = Buffer.from(packed.slice(at + 1, end), 'latin1').toString('hex');
    expected.push({ algorithm, value });
    at = end;
  }
  const where = `\`${file}\`, ${packed.slice(sizeEnd + 1, whereEnd)}`;
  return { expected, size: size === '' ? undefined : Number(size), where };
}

function findListed(
  catalogs: readonly Catalog[],
  lfn: string,
  destination: Location,
  { directory, to }: CatalogTools,
): Listed | undefined {
  let found: Listed | undefined;
  const isLocal = LOCAL_SCHEMES.has(destination.scheme);
  const place = isLocal ? resolve(directory, destination.path) : formatLocation(destination);
  for (const catalog of catalogs) {
    // A relative name is first of all one beside its catalog.
    const places = isLocal
      ? [place, relative(catalog.directory, place), relative(directory, place)]
      : [normalName(place)];
    // Only where nothing says more of it: lists are often made where the files came from.
    if (to) places.push(...namesBelow(to, destination, directory));
    const names = [places.find((name) => has(catalog, name)), lfn === '' ? undefined : normalName(lfn)];
    for (const name of new Set(names)) {
      const listed = name === undefined ? undefined : listedIn(catalog, name);
      if (listed) found = found ? together(found, listed, place) : listed;
    }
  }
  return found;
}

/** The names of a file as seen from where everything goes, from its directory, and from the top of the tree it is of. */
function namesBelow({ place: root, trees }: Goal, file: Location, directory: string): readonly string[] {
  const isLocal = LOCAL_SCHEMES.has(root.scheme);
  if (isLocal !== LOCAL_SCHEMES.has(file.scheme)) return [];
  if (!isLocal && (root.scheme !== file.scheme || root.authority !== file.authority)) return [];
  const [top = '', path = ''] = isLocal
    ? [resolve(directory, root.path), resolve(directory, file.path)]
    : [root.path, file.path];
  const name = relative(top, path);
  const tree = name.slice(0, name.indexOf('/'));
  const inTree = trees.has(isLocal ? tree : decoded(tree)) ? [name.slice(tree.length + 1)] : [];
  const names = [name, relative(dirname(top), path), ...inTree].filter(isBelowRoot);
  return isLocal ? names : names.flatMap((name) => [name, decoded(name)]);
}

/** Lists know files by their names, URLs by an encoding of them. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function has({ entries, unusable }: Catalog, name: string): boolean {
  return entries.has(name) || unusable.has(name);
}

/** A file that is listed and cannot be verified must not pass for one that is not listed. */
function listedIn({ entries, unusable, file }: Catalog, name: string): Listed | undefined {
  const packed = entries.get(name);
  if (packed !== undefined) return unpack(packed, file);
  const problem = unusable.get(name);
  if (problem === undefined) return undefined;
  throw new TransferError(
    'invalid-request',
    safeText(`checksum of ${quoted(name)}: \`${file}\`, ${problem}`),
  );
}

import { dirname, relative, resolve } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import { formatLocation, LOCAL_SCHEMES, type Location } from '../location.ts';
import { safeText } from '../safe-text.ts';
import { normalName, type ReadCatalog, readCatalog, type Sayings } from './catalog-lines.ts';
import { type FindListed, type Listed, together } from './listed.ts';
import { isProblem } from './manifests/manifest.ts';
import { isBelowRoot, quoted } from './manifests/names.ts';

export interface Catalogs {
  readonly find: FindListed;
  /** A sentence for each line that cannot be used. */
  readonly warnings: readonly string[];
  /** Lists that are too long to be kept are open until then. */
  close(): void;
}

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
  /** Instead of `readManifest`. */
  readonly read?: ReadCatalog;
}

/**
 * Reads catalogs of digests in any format. Names are logical names, URLs, or paths: absolute, relative to the current
 * directory, relative to the catalog's own, or to where everything goes. A long list of lines takes 24 bytes a line, any
 * other list 130 a file with a name of 30 characters and one sha256. Rejects with `invalid-request`, and as reading a file
 * does; finding throws `changed` where a long list no longer is what it was.
 */
export async function openCatalogs(files: readonly string[], tools: CatalogTools): Promise<Catalogs> {
  const catalogs: Catalog[] = [];
  const close = () => {
    for (const { said } of catalogs) said.close();
  };
  try {
    for (const file of files) catalogs.push(await openCatalog(file, tools));
  } catch (error) {
    close();
    throw error;
  }
  return {
    find: (lfn, destination) => findListed(catalogs, lfn, destination, tools),
    warnings: catalogs.flatMap(({ said }) => said.warnings),
    close,
  };
}

interface Catalog {
  readonly file: string;
  readonly directory: string;
  readonly said: Sayings;
}

async function openCatalog(file: string, { directory, read }: CatalogTools): Promise<Catalog> {
  const doing = `reading the checksums in \`${file}\``;
  try {
    return { file, directory: dirname(resolve(directory, file)), said: await readCatalog(file, read) };
  } catch (error) {
    const known = toTransferError(error, doing);
    if (known !== error) throw known;
    throw new TransferError(known.code, `${doing}: ${known.message}`, {
      cause: known,
      ...(known.hint === undefined ? {} : { hint: known.hint }),
    });
  }
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
    let named: string | undefined;
    for (const name of new Set(places)) {
      const listed = listedIn(catalog, name);
      if (!listed) continue;
      found = found ? together(found, listed, place) : listed;
      named = name;
      break;
    }
    const logical = lfn === '' ? undefined : normalName(lfn);
    if (logical === undefined || logical === named) continue;
    const listed = listedIn(catalog, logical);
    if (listed) found = found ? together(found, listed, place) : listed;
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

/** A file that is listed and cannot be verified must not pass for one that is not listed. */
function listedIn({ said, file }: Catalog, name: string): Listed | undefined {
  const item = said.of(name);
  if (!item) return undefined;
  const where = `\`${file}\`, ${item.where}`;
  if (!isProblem(item)) return { expected: item.digests, size: item.size, where };
  throw new TransferError(
    'invalid-request',
    safeText(`checksum of ${quoted(name)}: ${where}: ${item.problem}`),
  );
}

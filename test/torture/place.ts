import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** Directories of one lane: everything that the product may write to. */
export interface Place {
  readonly directory: string;
  readonly destination: string;
  readonly report: string;
  readonly list: string;
  /** Home, state and temporary files lie in the place as well. */
  readonly env: Readonly<Record<string, string>>;
}

/** What a list says of its one file. */
export interface Wanted {
  readonly url: string;
  readonly sha256: string;
}

/** Makes the empty directories of a lane. */
export async function makePlace(root: string, name: string): Promise<Place> {
  const directory = join(root, name);
  const [out, report, home, temporary] = ['out', 'report', 'home', 'tmp'].map((one) => join(directory, one));
  for (const folder of [out, report, home, temporary]) await mkdir(folder ?? '', { recursive: true });
  return {
    directory,
    destination: join(directory, 'out/result.bin'),
    report: join(directory, 'report/report.json'),
    list: join(directory, 'list.json'),
    env: { HOME: home ?? '', TMPDIR: temporary ?? '', XDG_STATE_HOME: join(home ?? '', 'state') },
  };
}

/** Writes the list with one transfer to the place's destination; a digest is expected and one is taken. */
export async function writeList(place: Place, wanted: Wanted): Promise<void> {
  const entry = {
    type: 'transfer',
    lfn: 'result.bin',
    linkage: 'input',
    generate_checksum: true,
    src_urls: [{ site_label: 'here', url: wanted.url }],
    dest_urls: [{ site_label: 'local', url: `file://${place.destination}` }],
    checksum: { sha256: wanted.sha256 },
  };
  await writeFile(place.list, JSON.stringify([entry]));
}

/** What a report says of the one transfer, as far as it matters here; undefined without a report. */
export interface Told {
  readonly status: string;
  readonly resumedFrom: number;
  readonly notes: readonly string[];
  readonly attempts: readonly unknown[];
  readonly verification: { readonly source: { readonly grade: string } };
}

export async function readReport(place: Place): Promise<Told | undefined> {
  try {
    const { outcomes } = JSON.parse(await readFile(place.report, 'utf8')) as { outcomes: Told[] };
    return outcomes[0];
  } catch {
    return undefined;
  }
}

/** Everything in the place that neither the result nor the report is, relative to it. */
export async function leftBehind(place: Place): Promise<string[]> {
  const kept = new Set([place.destination, place.report, place.list]);
  const found = await filesBelow(place.directory);
  return found.filter((path) => !kept.has(path)).map((path) => relative(place.directory, path));
}

/** Partials beside the destination with their sizes; a journal is no partial. */
export async function findPartials(place: Place): Promise<{ path: string; size: number }[]> {
  const found = await filesBelow(join(place.directory, 'out'));
  const partials = found.filter((path) => path.endsWith('.part'));
  return Promise.all(partials.map(async (path) => ({ path, size: (await lstat(path)).size })));
}

/** Files, and directories that hold none. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const below = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) return [path];
    const inside = await filesBelow(path);
    const own = ['in', 'out', 'report', 'home', 'tmp'].includes(entry.name);
    return inside.length > 0 || own ? inside : [`${path}/`];
  });
  return (await Promise.all(below)).flat();
}

export interface Content {
  readonly size: number;
  readonly sha256: string;
}

/** What stands under the final name: undefined when nothing does. */
export async function readContent(path: string): Promise<Content | undefined> {
  try {
    const { size } = await lstat(path);
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk);
    return { size, sha256: hash.digest('hex') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

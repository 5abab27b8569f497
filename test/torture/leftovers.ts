import { readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isPartialName } from '../../src/partial-name.ts';
import type { Unfinished } from '../places/place.ts';
import { leftBehind } from './place.ts';
import { startProduct } from './product.ts';
import { CA, type RemoteLane } from './remote-lane.ts';

/** Notes of what lies on services: a journal and a handle, no content. */
const NOTE = /^home\/state\/bridle\/partials\/([0-9a-f]{32})-[0-9a-f-]+\.(?:journal|handle|handle\.new)$/;
/** A partial beside a local destination and its journal, in a folder of their own. */
const LOCAL = /^out\/\.bridle-\d+(?:\/[0-9a-f]{32}-[0-9a-f-]+\.part(?:\.journal)?)?$/;
/** A report that was not whole yet; the next run to the same place clears it away. */
const REPORT = /^report\/\.report\.json\.[0-9a-f-]+\.partial$/;
/** What is to stay: files of the test's own, and the folder of the notes. */
const KEPT = new Set(['report/events', 'in/source.bin', 'home/state/bridle/partials']);

/** Something of ours that is no result: where it lies, and why `clean` would find it. */
export interface Leftover {
  readonly kind: 'note' | 'report' | 'local partial' | 'partial' | 'upload' | 'session';
  readonly what: string;
  /** Undefined: nobody would. */
  readonly foundBy: 'its name' | 'a list of uploads' | 'a note' | 'its end after a week' | undefined;
  remove(): Promise<void>;
}

/** Everything that killed runs of this lane left, on the service and on the disk. */
export async function findLeftovers(lane: RemoteLane): Promise<Leftover[]> {
  const { place } = lane;
  const local = await leftBehind(place);
  const more = local.filter((path) => !KEPT.has(path));
  const here = more.map((path): Leftover => {
    return {
      kind: NOTE.test(path) ? 'note' : REPORT.test(path) ? 'report' : 'local partial',
      what: path,
      foundBy: [NOTE, REPORT, LOCAL].some((shape) => shape.test(path)) ? 'its name' : undefined,
      remove: () => rm(join(place.directory, path), { recursive: true, force: true }),
    };
  });
  return [...here, ...(await findNamed(lane)), ...(await findUploads(lane, more))];
}

async function findNamed({ service, destination, source }: RemoteLane): Promise<Leftover[]> {
  const folder = `${dirname(destination)}/`;
  const names = (await service.names()).filter((name) => name.startsWith(folder));
  return names
    .filter((name) => name !== destination && name !== source)
    .map((name) => ({
      kind: 'partial',
      what: name,
      foundBy: `${dirname(name)}/` === folder && isPartialName(basename(name)) ? 'its name' : undefined,
      remove: () => service.remove(name),
    }));
}

async function findUploads(
  { service, destination, place }: RemoteLane,
  local: string[],
): Promise<Leftover[]> {
  const notes = local.filter((path) => NOTE.test(path) && !path.endsWith('.journal'));
  const texts = await Promise.all(notes.map((path) => readFile(join(place.directory, path), 'utf8')));
  const uploads = (await service.uploads()).filter(({ name }) => name === destination);
  return uploads.map((upload) => ({
    kind: upload.isListed ? 'upload' : 'session',
    what: `${upload.id} of ${upload.bytes} bytes`,
    foundBy: finderOf(upload, texts),
    remove: () => service.drop(upload),
  }));
}

function finderOf(upload: Unfinished, notes: readonly string[]): Leftover['foundBy'] {
  if (notes.some((note) => note.includes(upload.id))) return 'a note';
  if (upload.isListed) return 'a list of uploads';
  // Between the answer that began it and the note of it; it holds nothing, and no client can ever ask for it.
  return upload.bytes === 0 ? 'its end after a week' : undefined;
}

/** Violations, one for each leftover that nobody would find. */
export function judgeLeftovers(leftovers: readonly Leftover[], violate: (what: string) => void): void {
  for (const { kind, what, foundBy } of leftovers) {
    if (foundBy === undefined) violate(`left what nobody finds: ${kind} ${what}`);
  }
}

/**
 * `bridle clean` removes what is left of this lane; afterwards there is nothing but what it cannot know: reports that
 * were not whole, which the next report replaces, and what ends by itself. Gives what there was.
 */
export async function sweep(lane: RemoteLane, violate: (what: string) => void): Promise<readonly Leftover[]> {
  const leftovers = await findLeftovers(lane);
  judgeLeftovers(leftovers, violate);
  if (leftovers.some(({ kind }) => kind !== 'report')) await clean(lane, violate);
  const still = await findLeftovers(lane);
  for (const { kind, what, foundBy, remove } of still) {
    if (kind !== 'report' && foundBy !== 'its end after a week') violate(`clean left ${kind} ${what}`);
    await remove();
  }
  return leftovers;
}

async function clean(lane: RemoteLane, violate: (what: string) => void): Promise<void> {
  const { direction, service, destination, place } = lane;
  const at = direction === 'up' ? service.url(`${dirname(destination)}/`) : join(place.directory, 'out');
  // An upload that was begun in the moment before the kill, and not written down, is nobody's to the service.
  const args = ['clean', '--older-than', '0s', '--any-owner', '--ca', CA, at];
  const { code, stderr } = await startProduct(args, place.env).ended;
  if (code !== 0) violate(`clean ended with ${code}: ${stderr}`);
}

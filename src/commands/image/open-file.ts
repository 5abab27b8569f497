import { resolve } from 'node:path';
import { compressionOf, inflateArchive } from '../../image/archive/inflate.ts';
import { type OpenedImage, openImage } from '../../image/archive/open.ts';
import { beginsAsSif } from '../../image/sif/layout.ts';
import { firstBytes } from '../../local/first-bytes.ts';
import { formatLocation, localLocation } from '../../location.ts';
import { formatSize, safeText } from '../../report/format.ts';
import type { Place } from '../../request.ts';
import { ofContent } from '../failures.ts';
import { moveFile } from './moved.ts';
import type { Named } from './order.ts';
import { showBytes } from './progress.ts';
import type { Work } from './tools.ts';

type NamedFile = Pick<Named & { readonly kind: 'file' }, 'path' | 'place'>;
type NamedImage = Pick<Named & { readonly kind: 'file' }, 'as' | 'which'>;

/** More than what tells the kinds of files apart. */
const HEAD_BYTES = 64;

/** A file that holds an image, on this machine and not compressed as a whole. */
export interface ReadyFile {
  readonly path: string;
  /** Undefined for what is no file, or not there: whoever opens it says so. */
  readonly isSif: boolean | undefined;
}

/** Fetches the file where it is elsewhere, and unpacks an archive that is compressed as a whole: below `TMPDIR`, for as long as the command runs. */
export function readyFile(file: NamedFile, work: Work): Promise<ReadyFile> {
  return ofContent(() => ready(file, work));
}

/** The image in a file that {@link readyFile} gave. Rejects as `openImage` does. */
export function openReady(path: string, source: NamedImage, work: Work): Promise<OpenedImage> {
  const { platform, signal } = work;
  return ofContent(() => openImage(path, { ...source, platform, signal }));
}

async function ready({ path: given, place }: NamedFile, work: Work): Promise<ReadyFile> {
  const path = place ? await fetched(place, work) : resolve(given);
  const head = firstBytes(path, HEAD_BYTES);
  if (!head) return { path, isSif: undefined };
  if (beginsAsSif(head)) return { path, isSif: true };
  const compression = compressionOf(head);
  if (!compression) return { path, isSif: false };
  const { scratch, io, signal, values } = work;
  const to = await scratch.path('unpacked.tar');
  const bytes = await inflateArchive(path, to, { compression, programs: io.env.PATH ?? '', signal });
  if (!values.quiet) {
    const name = place ? formatLocation(place.location) : given;
    io.err(`${safeText(name)}: unpacked from ${compression} below TMPDIR, ${formatSize(bytes)}\n`);
  }
  return { path: to, isSif: false };
}

async function fetched(place: Place, work: Work): Promise<string> {
  const { values, io, signal, scratch } = work;
  // Its name is told where something is wrong with it.
  const path = await scratch.path(place.location.path.slice(place.location.path.lastIndexOf('/') + 1));
  const shown = showBytes('fetched', undefined, values.quiet, io);
  const say = (line: string) => io.err(`${line}\n`);
  const call = { values, env: io.env, signal, say, onBytes: shown.onBytes };
  await moveFile(place, { location: localLocation(path) }, call).finally(shown.end);
  return path;
}

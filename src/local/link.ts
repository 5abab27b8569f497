import fs from 'node:fs';
import { dirname } from 'node:path';
import { toTransferError } from '../errors.ts';
import { syncDirectory } from './directory-sync.ts';
import { dropPartial, inPartialFolder, newPartial, type PartialFolder, releasePartial } from './partials.ts';
import { inspectDestination } from './sink.ts';

/** Puts a link at `path` in one step, over whatever file or link was there; a directory there is refused. */
export async function linkAtomically(
  target: string,
  path: string,
  options: { readonly kind: 'hard' | 'symbolic'; readonly key: string },
): Promise<void> {
  try {
    const place = await inPartialFolder(dirname(path), async (place) => {
      await linkIn(place, target, path, options);
      return place;
    });
    await syncDirectory(dirname(path), place.kind);
  } catch (error) {
    throw toTransferError(error, `link \`${path}\` to \`${target}\``);
  }
}

async function linkIn(
  place: PartialFolder,
  target: string,
  path: string,
  options: { readonly kind: 'hard' | 'symbolic'; readonly key: string },
): Promise<void> {
  await inspectDestination(place, path);
  const partial = newPartial(place, options.key, 'link');
  try {
    if (options.kind === 'symbolic') await place.calls.symlink(target, partial);
    else await place.calls.link(target, partial);
    await place.calls.rename(partial, path);
    // Renaming one hard link over another of the same file does nothing and leaves both names (POSIX rename).
    if (options.kind === 'hard') await fs.promises.unlink(partial).catch(() => undefined);
    releasePartial(partial);
  } catch (error) {
    await dropPartial(place, partial);
    throw error;
  }
}

import type { Image } from './image.ts';
import { extract } from './layers/extract.ts';
import { flatten } from './layers/flatten.ts';
import { additions } from './sif/additions.ts';

/**
 * The root file system of an image lies in the directory `path`, with what apptainer wants to find there; podman runs it
 * by `--rootfs`. Bits that lend power are left out, and so are devices. Resolves with the bytes of all files and what
 * was left out. Rejects as `flatten` and `extract` do: `path` must be absent or empty.
 */
export async function writeSandbox(
  image: Image,
  path: string,
  signal: AbortSignal,
): Promise<{ readonly bytes: number; readonly notes: readonly string[] }> {
  const tar = flatten(image.layers, signal, { additions: additions(image) });
  return extract(tar, path, { signal });
}

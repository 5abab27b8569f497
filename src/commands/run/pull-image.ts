import { rename } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { toTransferError } from '../../errors.ts';
import { type KeepFormat, keepImage } from '../../image/keep.ts';
import { formatReference } from '../../image/reference.ts';
import { findPatiently } from '../../image/registry/find-patiently.ts';
import { registrySettings } from '../../image/registry/settings.ts';
import { makeScratchDirectory, type ScratchDirectory } from '../../local/scratch-directory.ts';
import { formatLocation, localLocation } from '../../location.ts';
import type { Place } from '../../request.ts';
import { safeText } from '../../safe-text.ts';
import { stateDirectory } from '../../state-directory.ts';
import { filePlace } from '../image/file-argument.ts';
import { moveFile } from '../image/moved.ts';
import { registryImage } from '../image/order.ts';
import { openRegistries } from '../image/registry-tools.ts';
import { openScratch } from '../image/scratch.ts';
import { fetchSif, serviceSif } from '../image/service-sif.ts';
import type { Io } from '../io.ts';
import { openCacheOf } from '../open-cache.ts';
import { type ContainerChoice, chooseForFetched } from './container.ts';
import type { RunOrder } from './order.ts';

/** An image that was fetched for a job. */
export interface PulledImage {
  readonly path: string;
  /** What only its content tells. */
  readonly found?: Pick<ContainerChoice, 'form' | 'engine'>;
  /** Removes it. */
  close(): Promise<void>;
}

interface PullCall {
  readonly format: KeepFormat;
  readonly values: RunOrder['values'];
  readonly io: Pick<Io, 'env'>;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/**
 * Fetches the image `name` of a registry into a directory of its own below `TMPDIR`, as `bridle image pull` does, each
 * layer compared with its digest. Rejects as `findImage` and `keepImage` do; nothing is left then but layers to go on
 * with.
 */
export async function pullImage(name: string, call: PullCall): Promise<PulledImage> {
  const file = serviceSif(name);
  if (file) return pullFile(file, call);
  const { values, io, signal, say } = call;
  const { env } = io;
  const { reference, secret } = registryImage(name);
  const settings = registrySettings(env);
  const { http, warn, tools } = openRegistries(values, settings, { env, say });
  const { path: directory, close } = await makeDirectory(env, `pulling \`${formatReference(reference)}\``);
  const cache = await openCacheOf(values);
  try {
    const { image, digest, notes } = await findPatiently(reference, tools(secret, cache), {
      platform: settings.platform,
      signal,
    });
    for (const note of notes) warn(note, note);
    const path = join(directory, call.format === 'sif' ? 'image.sif' : 'image.tar');
    const spool = join(values.state ?? stateDirectory(env, homedir()), 'images');
    await keepImage(image, { path, format: call.format, spool, programs: env.PATH ?? '', signal, cache });
    if (!values.quiet) say(`pulled ${safeText(formatReference({ ...reference, digest }))}`);
    return { path, close };
  } catch (error) {
    await close();
    throw error;
  } finally {
    cache?.close();
    await http.close();
  }
}

/** One that the next run removes when this one is killed. */
function makeDirectory(env: Io['env'], doing: string): Promise<ScratchDirectory> {
  return makeScratchDirectory(join(env.TMPDIR || '/tmp', 'bridle-image')).catch((error: unknown) => {
    throw toTransferError(error, doing);
  });
}

/** A SIF file at a service is the image as it is. */
async function pullFile(place: Place, { values, io, signal, say }: PullCall): Promise<PulledImage> {
  const { env } = io;
  const { path: directory, close } = await makeDirectory(
    env,
    `pulling \`${formatLocation(place.location)}\``,
  );
  const path = join(directory, 'image.sif');
  const fetching = fetchSif(place, path, { values, env, signal, say });
  const { sif } = await fetching.catch((error: unknown) => close().then(() => Promise.reject(error)));
  if (!values.quiet) say(`pulled ${safeText(sif.facts.name ?? sif.name)}`);
  return { path, close };
}

/** The image in a file elsewhere, fetched as `bridle cp` does. Rejects as `chooseForFetched` does. */
export async function fetchImage(
  choice: ContainerChoice,
  { values, io: { env }, signal, say }: Omit<PullCall, 'format'>,
): Promise<PulledImage> {
  const place = filePlace(choice.image)?.place;
  const { location } = place ?? { location: localLocation(choice.image) };
  const name = formatLocation(location);
  const scratch = openScratch(env);
  const { remove } = scratch;
  try {
    const fetched = await scratch.path('image');
    await moveFile(place ?? { location }, { location: localLocation(fetched) }, { values, env, signal, say });
    const found = chooseForFetched(choice, fetched);
    const path = `${fetched}.${found.form === 'sif' ? 'sif' : 'tar'}`;
    await rename(fetched, path);
    if (!values.quiet) say(`fetched ${safeText(name)}`);
    return { path, found, close: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

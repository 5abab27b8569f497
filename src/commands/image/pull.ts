import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Cache } from '../../cache/cache.ts';
import { TransferError } from '../../errors.ts';
import { keepImage } from '../../image/keep.ts';
import { formatReference } from '../../image/reference.ts';
import { findPatiently } from '../../image/registry/find-patiently.ts';
import { describeLimit } from '../../image/registry/limits.ts';
import { formatSize, safeText } from '../../report/format.ts';
import type { Place } from '../../request.ts';
import { stateDirectory } from '../../state-directory.ts';
import { ofContent } from '../failures.ts';
import { openCacheOf } from '../open-cache.ts';
import { pullGoal } from './goal.ts';
import { keptFacts, keptLine } from './kept.ts';
import { registryImage } from './order.ts';
import { showBytes } from './progress.ts';
import { serviceSif } from './service-sif.ts';
import { pullSif } from './sif-actions.ts';
import type { Work } from './tools.ts';
import { makeAt } from './upload.ts';

/** `bridle image pull REF [FILE]`. */
export async function pull(args: readonly string[], work: Work): Promise<void> {
  const sif = serviceSif(args[0] ?? '');
  if (sif) return pullFile(sif, args, work);
  const cache = await openCacheOf(work.values);
  try {
    await pullTo(args, work, cache);
  } finally {
    cache?.close();
  }
}

/** A SIF file at a service is fetched as the one file that it is. */
function pullFile(place: Place, [, file, more]: readonly string[], work: Work): Promise<void> {
  if (more !== undefined) throw wrongUsage();
  const { scheme, authority, path } = place.location;
  const image = { scheme, name: authority + path };
  const goal = pullGoal(image, file, { asked: work.values.format, initial: 'sif' });
  return pullSif(place, goal, work);
}

function wrongUsage(): TransferError {
  return new TransferError(
    'invalid-request',
    'expected the name of an image, and perhaps a file to keep it in',
  );
}

async function pullTo(
  [name, file, more]: readonly string[],
  work: Work,
  cache: Cache | undefined,
): Promise<void> {
  const { values, io, signal } = work;
  if (name === undefined || more !== undefined) throw wrongUsage();
  const { reference, secret } = registryImage(name);
  const goal = pullGoal({ scheme: 'docker', name: formatReference(reference) }, file, {
    asked: values.format,
    initial: 'hybrid',
  });
  const { path, format = 'hybrid' } = goal;
  const found = await findPatiently(reference, work.tools(secret, cache), {
    platform: work.platform,
    signal,
  });
  const { image, digest, notes, limit } = found;
  for (const note of notes) io.err(`warning: ${safeText(note)}\n`);
  const total = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  const shown = showBytes('pulled', total, values.quiet, io);
  const spool = join(values.state ?? stateDirectory(io.env, homedir()), 'images');
  const resumed: string[] = [];
  const keep = (to: string) =>
    keepImage(image, {
      path: to,
      format,
      spool,
      programs: io.env.PATH ?? '',
      signal,
      cache,
      onBytes: shown.onBytes,
      onNote: (note) => io.err(`warning: ${safeText(note)}\n`),
      onResume: (layer, start) =>
        resumed.push(`${layer} goes on behind ${formatSize(start)} of an earlier pull`),
    }).finally(shown.end);
  const bytes = await makeAt(goal, work, (to) => ofContent(() => keep(to)));
  if (!values.quiet) {
    for (const line of resumed) io.err(`${line}\n`);
    if (limit) io.err(`${safeText(reference.registry)}: ${describeLimit(limit)}\n`);
  }
  const kept = { path, format, bytes };
  if (values.json) {
    const { name: own, ...facts } = keptFacts(image, formatReference(reference), kept);
    return io.out(`${JSON.stringify({ name: own, digest, ...facts })}\n`);
  }
  io.out(`${formatReference({ ...reference, digest })}\n  ${keptLine(image, goal.shown, kept)}\n`);
}

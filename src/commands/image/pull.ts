import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Cache } from '../../cache/cache.ts';
import { TransferError } from '../../errors.ts';
import { type KeepFormat, keepImage } from '../../image/keep.ts';
import { formatReference } from '../../image/reference.ts';
import { findPatiently } from '../../image/registry/find-patiently.ts';
import { describeLimit } from '../../image/registry/limits.ts';
import { formatSize, safeText } from '../../report/format.ts';
import { stateDirectory } from '../../state-directory.ts';
import { openCacheOf } from '../open-cache.ts';
import { keptFacts, keptLine } from './kept.ts';
import { registryImage } from './order.ts';
import { showBytes } from './progress.ts';
import type { Work } from './tools.ts';

/** `bridle image pull REF FILE`. */
export async function pull(args: readonly string[], work: Work): Promise<void> {
  const cache = await openCacheOf(work.values);
  try {
    await pullTo(args, work, cache);
  } finally {
    cache?.close();
  }
}

async function pullTo(
  [name, file, more]: readonly string[],
  work: Work,
  cache: Cache | undefined,
): Promise<void> {
  const { values, io, signal } = work;
  if (name === undefined || file === undefined || more !== undefined) {
    throw new TransferError('invalid-request', 'expected the name of an image and a file to keep it in');
  }
  const { reference, secret } = registryImage(name);
  const { path, format } = target(file, values.format);
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
  const bytes = await keepImage(image, {
    path,
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
  if (!values.quiet) {
    for (const line of resumed) io.err(`${line}\n`);
    if (limit) io.err(`${safeText(reference.registry)}: ${describeLimit(limit)}\n`);
  }
  const kept = { path, format, bytes };
  if (values.json) {
    const { name: own, ...facts } = keptFacts(image, formatReference(reference), kept);
    return io.out(`${JSON.stringify({ name: own, digest, ...facts })}\n`);
  }
  io.out(`${formatReference({ ...reference, digest })}\n  ${keptLine(image, file, kept)}\n`);
}

/** What the file is to be: as asked, or as its name says by a word before it. */
export function target(file: string, asked: KeepFormat | undefined): { path: string; format: KeepFormat } {
  const [, word, rest] = /^(docker-archive|oci-archive|oci|sif|sandbox):(.+)$/s.exec(file) ?? [];
  if (word === undefined || rest === undefined) return { path: resolve(file), format: asked ?? 'hybrid' };
  if (asked !== undefined && asked !== word) {
    throw new TransferError('invalid-request', `--format: \`${asked}\`, and \`${word}:\` before the file`);
  }
  return { path: resolve(rest), format: word as KeepFormat };
}

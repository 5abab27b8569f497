import { TransferError } from '../../errors.ts';
import type { Image } from '../../image/image.ts';
import { convertImage } from '../../image/keep.ts';
import { safeText } from '../../report/format.ts';
import { ofContent } from '../failures.ts';
import { convertSif } from './convert-sif.ts';
import { type Goal, goalOf } from './goal.ts';
import { keptFacts, keptLine } from './kept.ts';
import { openReady, readyFile } from './open-file.ts';
import { parseFile } from './order.ts';
import { serviceSif } from './service-sif.ts';
import type { Work } from './tools.ts';
import { makeAt } from './upload.ts';

/** `bridle image convert FROM TO`: an image in a file, kept in another format. */
export async function convert([from, to, more]: readonly string[], work: Work): Promise<void> {
  if (from === undefined || to === undefined || more !== undefined) {
    throw new TransferError('invalid-request', 'expected a file that holds an image, and one to keep it in');
  }
  if (serviceSif(from)) {
    throw new TransferError('invalid-request', `\`${from}\`: a SIF file has no layers to convert`, {
      hint: '`bridle image pull` keeps it as it is',
    });
  }
  const source = parseFile(from);
  const goal = goalOf(to, work.values.format);
  const { path, isSif } = await readyFile(source, work);
  if (isSif) return convertSif({ path, name: source.path }, goal, work);
  const { image } = await openReady(path, source, work);
  return keepOpened(image, goal, work);
}

/** An image on this machine kept as `goal` says, and told. */
export async function keepOpened(image: Image, goal: Goal, work: Work): Promise<void> {
  const { values, io, signal } = work;
  const { format = 'hybrid', shown } = goal;
  const { bytes, notes } = await makeAt(goal, work, (path) =>
    ofContent(() => convertImage(image, { path, format, signal, programs: io.env.PATH ?? '' })),
  );
  for (const note of notes) io.err(`warning: ${safeText(note)}\n`);
  const kept = { path: goal.path, format, bytes };
  if (values.json) return io.out(`${JSON.stringify(keptFacts(image, image.name, kept))}\n`);
  if (values.quiet) return;
  io.out(`${safeText(image.name)}\n  ${keptLine(image, shown, kept)}\n`);
}

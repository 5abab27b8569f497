import { TransferError } from '../../errors.ts';
import { unpackSif } from '../../image/sif/unpack.ts';
import { formatSize, safeText } from '../../report/format.ts';
import { ofContent } from '../failures.ts';
import { noDirectory } from './file-argument.ts';
import type { Goal } from './goal.ts';
import type { Work } from './tools.ts';

/** `bridle image convert` of a SIF file: to a sandbox, as its layers are gone. */
export async function convertSif(
  { path, name }: { readonly path: string; readonly name: string },
  goal: Goal,
  { values, io, signal }: Work,
): Promise<void> {
  const { format = 'hybrid' } = goal;
  if (format !== 'sandbox') {
    throw new TransferError(
      'unsupported',
      `\`${name}\` is a SIF file: it has one file system and no layers, and becomes a sandbox alone, no \`${format}\``,
      { hint: 'pull the image that it was made of, or `sandbox:DIRECTORY` for its files' },
    );
  }
  if (goal.place) throw noDirectory(goal.shown);
  const { bytes, notes } = await ofContent(() =>
    unpackSif(path, goal.path, { signal, programs: io.env.PATH ?? '' }),
  );
  for (const note of notes) io.err(`warning: ${safeText(note)}\n`);
  if (values.json) return io.out(`${JSON.stringify({ name, file: goal.path, format, bytes })}\n`);
  if (values.quiet) return;
  io.out(`${safeText(name)}\n  ${formatSize(bytes)} → ${safeText(goal.shown)} (sandbox)\n`);
}

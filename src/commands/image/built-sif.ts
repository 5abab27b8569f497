import { readSif } from '../../image/sif/read.ts';
import { unpackSif } from '../../image/sif/unpack.ts';
import { localLocation } from '../../location.ts';
import { formatSize, safeText } from '../../report/format.ts';
import { ofContent } from '../failures.ts';
import type { Goal } from './goal.ts';
import { moveFile } from './moved.ts';
import type { Work } from './tools.ts';

/** A SIF file that an engine has just made, kept as `goal` says once all of its parts are seen to be there, and told. */
export async function keepBuiltSif(path: string, name: string, goal: Goal, work: Work): Promise<void> {
  const { values, io, signal } = work;
  await ofContent(() => readSif(path));
  const { format = 'sif', shown, place = { location: localLocation(goal.path) } } = goal;
  const say = (line: string) => io.err(`${line}\n`);
  const bytes =
    format === 'sandbox'
      ? await unpackSif(path, goal.path, { signal, programs: io.env.PATH ?? '' }).then((unpacked) => {
          for (const note of unpacked.notes) say(`warning: ${safeText(note)}`);
          return unpacked.bytes;
        })
      : // A cache is for what comes in.
        await moveFile({ location: localLocation(path) }, place, {
          values: { ...values, cache: undefined, checksums: [] },
          env: io.env,
          signal,
          say,
        }).then((outcome) => outcome.bytes);
  if (values.json) return io.out(`${JSON.stringify({ name, file: goal.path, format, bytes })}\n`);
  if (values.quiet) return;
  io.out(`${safeText(name)}\n  ${formatSize(bytes)} → ${safeText(shown)} (${format})\n`);
}

import { fromText } from '../../job/byte-text.ts';
import { isBad, type Output } from '../../job/record-file.ts';
import { signalStatus } from '../../job/signals.ts';
import { safeText } from '../../report/format.ts';
import { type Course, fail } from './course.ts';
import type { RunOrder } from './order.ts';
import type { JobFile } from './spec.ts';
import { hasArrived, type Staged, type Stager, stageOut } from './staging.ts';
import { RUN_STATUS } from './status.ts';

/** Outputs only of a job that came to its own good end; checkpoints whatever became of it. */
export async function stageOutputs(
  order: RunOrder,
  course: Course,
  stager: Stager,
  isTold: boolean,
): Promise<void> {
  const { state } = course;
  if (order.outputs.length === 0 && !order.manifest) return;
  const { lookAtOutputs } = await import('../../job/outputs.ts');
  const { received, staging } = course.desk;
  const looked = await lookAtOutputs(
    order.outputs.map(({ lfn }) => named(lfn)),
    { signal: staging },
  );
  // A checkpoint that is not there is nothing to tell of.
  const outputs = order.outputs.map((file, at) => ({ file, output: looked[at] as Output }));
  state.outputs = outputs
    .filter(({ file, output }) => !file.isCheckpoint || !isBad(output))
    .map(({ output }) => output);
  const signal = received();
  if (staging.aborted && signal !== undefined) {
    fail(course, signalStatus(signal), `${signal} before outputs were stored`);
    return;
  }
  const isWell = state.status === RUN_STATUS.done && !isTold;
  const good: JobFile[] = [];
  for (const { file, output } of outputs) {
    const problem = problemOf(file, output);
    if (problem === undefined) {
      if (file.places.length > 0 && (file.isCheckpoint || isWell)) good.push(withDigest(file, output));
    } else if (!file.isCheckpoint && isWell && !(order.values.noStrict && isBad(output))) {
      fail(course, RUN_STATUS.badOutput, `output \`${safeText(file.lfn)}\`: ${problem}`);
    }
  }
  // Nothing of a job goes out that is known to be incomplete.
  const chosen = good.filter(({ isCheckpoint }) => isCheckpoint || state.status === RUN_STATUS.done);
  course.stagedOut = await send(order, chosen, course, stager);
  const lost = course.stagedOut.filter((one) => !hasArrived(one) && !one.file.isCheckpoint);
  if (lost.length > 0) {
    const names = lost.map(({ file }) => `\`${safeText(file.lfn)}\``).join(', ');
    const signal = course.desk.received();
    fail(course, signal ? signalStatus(signal) : RUN_STATUS.notStagedOut, `did not arrive: output ${names}`);
  }
}

async function send(
  { manifest }: RunOrder,
  chosen: readonly JobFile[],
  course: Course,
  stager: Stager,
): Promise<readonly Staged[]> {
  const directory = course.directory as string;
  if (!manifest || course.state.status !== RUN_STATUS.done) return stageOut(chosen, directory, stager);
  const checkpoints = await stageOut(
    chosen.filter(({ isCheckpoint }) => isCheckpoint),
    directory,
    stager,
  );
  const group = chosen.filter(({ isCheckpoint }) => !isCheckpoint);
  const { stageOutTogether } = await import('./together.ts');
  const { staged, problem } = await stageOutTogether(group, directory, manifest, stager);
  if (problem !== undefined) {
    const signal = course.desk.received();
    fail(course, signal ? signalStatus(signal) : RUN_STATUS.notStagedOut, safeText(problem));
  }
  return [...checkpoints, ...staged];
}

function problemOf(file: JobFile, output: Output): string | undefined {
  if (isBad(output)) return 'not there, no regular file, or no digest could be made';
  const size = Number(output.entry.stat?.size);
  if (file.size !== undefined && file.size !== size) return `expected ${file.size} bytes, got ${size}`;
  const expected = file.expected.find(({ algorithm }) => algorithm === 'sha256');
  if (expected && expected.value !== output.sha256) {
    return `expected sha256 \`${expected.value}\`, got \`${output.sha256}\``;
  }
  return undefined;
}

/** What is sent must be what was digested; other digests are compared on the way. */
function withDigest(file: JobFile, { sha256 }: Output): JobFile {
  if (sha256 === undefined || file.expected.some(({ algorithm }) => algorithm === 'sha256')) return file;
  return { ...file, expected: [...file.expected, { algorithm: 'sha256', value: sha256 }] };
}

/** A file of the work directory, for the record. */
export const named = (lfn: string) => ({ lfn: fromText(lfn), path: fromText(lfn) });

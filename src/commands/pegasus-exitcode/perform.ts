import { toTransferError } from '../../errors.ts';
import { safeText } from '../../report/format.ts';
import { EXIT } from '../failures.ts';
import type { Io } from '../io.ts';
import { judge, type Verdict } from './judge.ts';
import { appendLine, logLine } from './log.ts';
import { appendToCatalog, writeMetadata } from './metadata.ts';
import type { ExitcodeOrder } from './order.ts';
import { outputFiles, stemOf } from './rotate.ts';

/** Judges the job, keeps what is known of its outputs, and says so. Resolves with the exit status. */
export async function perform(order: ExitcodeOrder, io: Io): Promise<number> {
  const verdict = await judgeAndKeep(order);
  const said = verdict.problem === undefined ? [] : [safeText(verdict.problem)];
  if (said.length > 0 && order.updateSubmitFile) {
    said.push('submit file was not updated: its expressions are not evaluated here');
  }
  const line = logLine(order, verdict, said, new Date());
  if (order.log !== undefined) appendLine(order.log, line);
  else io.out([...said, line].map((one) => `${one}\n`).join(''));
  return said.length === 0 ? EXIT.done : EXIT.failed;
}

async function judgeAndKeep(order: ExitcodeOrder): Promise<Verdict> {
  let verdict: Verdict = { files: outputFiles(order.outFile), outputs: [] };
  try {
    verdict = await judge(order);
    if (verdict.problem === undefined && order.metadata) {
      writeMetadata(`${stemOf(order.outFile)}.meta`, verdict.outputs);
      if (order.metadataLog !== undefined) appendToCatalog(order.metadataLog, verdict.outputs);
    }
    return verdict;
  } catch (error) {
    return { ...verdict, problem: toTransferError(error, 'unexpected error').message };
  }
}

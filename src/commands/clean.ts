import { homedir } from 'node:os';
import { toTransferError } from '../errors.ts';
import { safeText } from '../report/format.ts';
import { stateDirectory } from '../state-directory.ts';
import { type CleanRules, type Finding, findAt } from './clean-find.ts';
import { createTally, type Done, describeDone, describeJson } from './clean-lines.ts';
import { EXIT } from './failures.ts';
import type { Io } from './io.ts';
import { CLEAN_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { forEachPlace, parsePlaces } from './places.ts';

/**
 * `bridle clean PLACE...`: tells of what broken off transfers left behind, a line each, and removes what is old enough,
 * ours, and in nobody's use. Exit status 1 when something could not be removed or looked into.
 */
export async function clean(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, CLEAN_OPTIONS, { env: io.env });
  const rules: CleanRules = {
    olderThan: values.olderThan * 1000,
    anyOwner: values.anyOwner,
    state: values.state ?? stateDirectory(io.env, homedir()),
  };
  const tally = createTally();
  const status = await forEachPlace('clean', parsePlaces(positionals), values, io, async (place, visit) => {
    let isWhole = true;
    const onProblem = (problem: Error) => {
      io.err(`warning: ${safeText(problem.message)}\n`);
      isWhole = false;
    };
    for await (const finding of findAt(place, visit, rules, onProblem)) {
      const done = await deal(finding, values.dryRun);
      tally.add(done);
      if (done.action === 'failed') isWhole = false;
      io.out(values.json ? describeJson(done) : describeDone(done));
    }
    return isWhole;
  });
  if (status === EXIT.done || tally.count() > 0) io.err(tally.summary());
  return status;
}

async function deal(finding: Finding, isDryRun: boolean): Promise<Done> {
  if (finding.kept) return { finding, action: 'kept', why: finding.kept };
  if (isDryRun) return { finding, action: 'would remove' };
  try {
    const why = await finding.remove();
    return why ? { finding, action: 'kept', why } : { finding, action: 'removed' };
  } catch (error) {
    return { finding, action: 'failed', error: toTransferError(error, 'remove') };
  }
}

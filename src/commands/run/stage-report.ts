import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fromText } from '../../job/byte-text.ts';
import { look } from '../../job/look.ts';
import type { JobReport } from '../../job/record-job.ts';
import { NO_USAGE } from '../../job/usage.ts';
import { quoted } from '../../job/yaml-scalar.ts';
import type { Course } from './course.ts';

const EXIT_SHIFT = 8;
const SECOND = 1000;

/**
 * What a record says of a run that failed although its job did not: as of a prejob that failed where the job was not
 * started, else of a postjob, with the status of the run for its exit status. So whoever reads the record alone sees a
 * failure, and the main job is told of as it was. Undefined where the job's own status says it.
 */
export function stageReport({ state, problem }: Course): JobReport | undefined {
  const main = state.jobs.find(({ name }) => name === 'mainjob');
  if (state.status === 0 || (main !== undefined && main.raw !== 0)) return undefined;
  const started = main ? new Date(main.started.getTime() + main.seconds * SECOND) : state.started;
  return {
    name: main ? 'postjob' : 'prejob',
    started,
    seconds: Math.max(0, (Date.now() - started.getTime()) / SECOND),
    usage: NO_USAGE,
    raw: state.status << EXIT_SHIFT,
    executable: look({ kind: 'file', path: fromText(ownPath()) }),
    args: ['run'],
    notes: problem === undefined ? [] : [`problem: ${quoted(fromText(problem))}`],
  };
}

function ownPath(): string {
  const launcher = fileURLToPath(new URL('../bin/bridle', import.meta.url));
  return existsSync(launcher) ? launcher : fileURLToPath(import.meta.url);
}

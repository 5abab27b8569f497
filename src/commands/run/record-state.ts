import { tmpdir } from 'node:os';
import { fromText } from '../../job/byte-text.ts';
import { initialLimits } from '../../job/limits.ts';
import { inputTarget } from '../../job/stdio.ts';
import { type TemporaryFile, temporaryFile } from '../../job/temporary.ts';
import type { Environment } from '../../request.ts';
import { freshOrder } from '../pegasus-kickstart/options.ts';
import type { Run } from '../pegasus-kickstart/status.ts';
import { jobEnvironment } from './job-environment.ts';
import type { RunOrder } from './order.ts';

/** The state of a run as records are made of, before anything was done. Its temporary files are to be removed. */
export function freshState(
  { values, command }: RunOrder,
  env: Environment,
  say: (line: string) => void,
): Run {
  const made: TemporaryFile[] = [];
  const make = (prefix: string) => {
    const file = temporaryFile(fromText(tmpdir()), prefix);
    made.push(file);
    return file;
  };
  const environment = jobEnvironment(env.BRIDLE_LAUNCHED_ENVIRONMENT, values.passCredentials);
  try {
    const files = {
      stdout: values.capture ? make('bridle.out.') : undefined,
      stderr: values.capture ? make('bridle.err.') : undefined,
      metadata: make('bridle.meta.'),
      integrity: make('bridle.integrity.'),
    };
    environment.set('KICKSTART_INTEGRITY_DATA', files.integrity.path);
    environment.set('KICKSTART_METADATA', files.metadata.path);
    return {
      started: new Date(),
      clock: performance.now(),
      order: {
        ...freshOrder(),
        stdin: inputTarget(values.stdin === undefined ? '/dev/null' : fromText(values.stdin)),
        // With --json, standard output is taken.
        stdout: values.capture ? undefined : { kind: 'descriptor', fd: values.json ? 2 : 1 },
        stderr: values.capture ? undefined : { kind: 'descriptor', fd: 2 },
        log: values.record === undefined ? undefined : fromText(values.record),
        command: [...command],
      },
      environment,
      limits: initialLimits(env.BRIDLE_LAUNCHED_OPEN_FILES),
      files,
      directory: fromText(process.cwd()),
      inputs: [],
      outputs: [],
      jobs: [],
      status: 0,
      say,
    };
  } catch (error) {
    for (const file of made) file.remove();
    throw error;
  }
}

import type { Environment } from '../request.ts';
import type { Values } from './option.ts';
import { CP_OPTIONS, type MKDIR_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import type { RunValues } from './settings.ts';

/** What a run is told by a command that has few options of its own. Says nothing unless something fails. */
export function quietRun(values: Values<typeof MKDIR_OPTIONS>, env: Environment): RunValues {
  const initial = parseOptions([], CP_OPTIONS, { env }).values;
  return {
    ...initial,
    ...values,
    quiet: true,
    receipts: undefined,
    blocks: undefined,
    writeChecksums: undefined,
  };
}

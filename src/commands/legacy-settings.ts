import { TransferError } from '../errors.ts';
import type { Environment } from '../request.ts';
import type { Values } from './option.ts';
import { type LEGACY_OPTIONS, TRANSFER_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import type { RunValues } from './settings.ts';

/** More threads than this help nobody; the original started any number. */
const MOST_THREADS = 1024;
const DEFAULT_THREADS = 8;
/** The text that a spoilt destination ends in, as it always did. */
const FAULT = 'Here be dragons! Eh, I mean pegai!';

/** What a run of the drop-in is told: its own few options, and bridle's from the environment. */
export function legacyValues(given: Values<typeof LEGACY_OPTIONS>, env: Environment): RunValues {
  const { file: _, ...values } = parseOptions([], TRANSFER_OPTIONS, { env }).values;
  const threads = given.threads || wholeOf('PEGASUS_TRANSFER_THREADS', env) || DEFAULT_THREADS;
  return {
    ...values,
    threads: Math.min(threads, MOST_THREADS),
    attempts: Math.max(1, given.maxAttempts),
    receipts: undefined,
    writeChecksums: undefined,
    checksumsFormat: undefined,
    symlink: given.symlink,
    debug: given.debug,
    // Worker nodes know no hosts, and this program never asked; a key that changes is refused all the same.
    sshHostKey: values.sshHostKey ?? 'accept-new',
  };
}

/** Draws what to spoil a destination with, in so many of a hundred cases. */
export function faultOf(env: Environment, random: () => number): (() => string | undefined) | undefined {
  const rate = wholeOf('PEGASUS_TRANSFER_ERROR_RATE', env) ?? 0;
  return rate === 0 ? undefined : () => (random() * 100 < rate ? FAULT : undefined);
}

function wholeOf(name: string, env: Environment): number | undefined {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  if (!/^\s*\d{1,9}\s*$/.test(text)) {
    throw new TransferError('invalid-request', `${name}: expected a whole number, got \`${text}\``);
  }
  return Number(text);
}

import { TransferError } from '../../errors.ts';
import type { Environment } from '../../request.ts';
import { optionLine } from '../help.ts';
import { flag, type Option, text, texts } from '../option.ts';
import { parseOptions } from '../parse-options.ts';

/** Any whole number, as the original takes them. */
function number<V extends number | undefined>(
  common: { readonly name: string; readonly letter: string; readonly help: string },
  initial: V,
): Option<number | V> {
  return {
    ...common,
    group: 'common',
    value: 'N',
    expects: 'a whole number',
    initial,
    parse: (given) => (/^[+-]?\d{1,9}$/.test(given) ? Number(given) : undefined),
  };
}

const OPTIONS = {
  return: number({ name: 'return', letter: 'r', help: 'exit code that DAGMan reports' }, undefined),
  retry: number({ name: 'retry', letter: 'R', help: 'number of the retry that DAGMan reports' }, 0),
  updateSubmitFile: flag({
    name: 'update-submit-file',
    letter: 'U',
    help: 'accepted; says that it is not done',
  }),
  noRename: flag({ name: 'no-rename', letter: 'n', help: 'leave job.out and job.err as they are' }),
  noMetadata: flag({ name: 'no-metadata', letter: 'N', help: 'write no job.meta' }),
  noInvocations: flag({ name: 'no-invocations', letter: 'I', help: 'do not ask for invocation records' }),
  failureMessages: texts({
    name: 'failure-message',
    letter: 'f',
    value: 'TEXT',
    help: 'fails when the output has TEXT (`+` is a space)',
  }),
  successMessages: texts({
    name: 'success-message',
    letter: 's',
    value: 'TEXT',
    help: 'fails when the output lacks TEXT',
  }),
  log: text({ name: 'log', letter: 'l', value: 'FILE', help: 'append what is found to FILE, as JSON' }),
  metadataLog: text({
    name: 'metadata-log',
    letter: 'M',
    value: 'FILE',
    help: 'append the outputs to FILE, a replica catalog',
  }),
};

export interface ExitcodeOrder {
  /** `job.out`. */
  readonly outFile: string;
  readonly dagmanStatus: number | undefined;
  readonly jobRetry: number;
  readonly updateSubmitFile: boolean;
  readonly rename: boolean;
  readonly metadata: boolean;
  readonly invocations: boolean;
  /** Decoded. */
  readonly failureMessages: readonly string[];
  readonly successMessages: readonly string[];
  readonly log: string | undefined;
  readonly metadataLog: string | undefined;
}

/** Undefined when help was asked for. Throws `invalid-request` for options that there are not. */
export function readOrder(args: readonly string[], env: Environment): ExitcodeOrder | undefined {
  const { values, positionals, help } = parseOptions(args, OPTIONS, { env, prefixes: true });
  if (help) return undefined;
  const [outFile] = positionals;
  if (outFile === undefined || positionals.length > 1) {
    throw new TransferError('invalid-request', `expected one job.out, got ${positionals.length} names`);
  }
  return {
    outFile,
    dagmanStatus: values.return,
    jobRetry: values.retry,
    updateSubmitFile: values.updateSubmitFile,
    rename: !values.noRename,
    metadata: !values.noMetadata,
    invocations: !values.noInvocations,
    failureMessages: values.failureMessages.map(decodeMessage),
    successMessages: values.successMessages.map(decodeMessage),
    log: values.log,
    metadataLog: values.metadataLog,
  };
}

/** In a DAG file a message has no blanks: `+` stands for one, `\+` for a plus sign; other pairs with a backslash stay. */
export function decodeMessage(message: string): string {
  return message.replace(/\\.|\+/gs, (found) => (found === '+' ? ' ' : found === '\\+' ? '+' : found));
}

export const USAGE = 'Usage: pegasus-exitcode [options] job.out\n';

export function helpText(): string {
  const lines = Object.values(OPTIONS).map(optionLine).join('');
  return `${USAGE}\nTells from the output of a job whether it failed. Exit status 0: it did not.\n\nOptions:\n${lines}  -h, --help\n`;
}

import type { Environment } from '../../request.ts';
import { optionLine } from '../help.ts';
import { flag, type Option } from '../option.ts';
import { parseOptions } from '../parse-options.ts';

/** What a call asks for. Exactly one of the first five, else `mistaken`. */
export type IntegrityAction =
  | 'generate'
  | 'generate-yaml'
  | 'generate-fullstat-yaml'
  | 'nothing'
  | 'verify'
  | 'mistaken'
  | 'help';

export interface IntegrityOrder {
  readonly action: IntegrityAction;
  /** As given: names between `;;;`, or `stdin`. */
  readonly files: string;
  readonly printTimings: boolean;
  readonly debug: boolean;
}

function files(name: string, help: string): Option<string | undefined> {
  return {
    name,
    help,
    value: 'FILES',
    group: 'common',
    expects: 'file names with `;;;` between them',
    initial: undefined,
    parse: (text) => text,
  };
}

/** `pegasus-integrity`: no more than it always had, so that every prefix stays as unambiguous as it was. */
const OPTIONS = {
  generate: files('generate', 'print the sha256 of each file'),
  generateYaml: files('generate-yaml', 'the same as lines of a record'),
  generateFullstatYaml: files('generate-fullstat-yaml', 'whole entries of a record'),
  generateXmls: files('generate-xmls', 'accepted, does nothing'),
  generateFullstatXmls: files('generate-fullstat-xmls', 'accepted, does nothing'),
  verify: files('verify', 'compare with *.meta (stdin: read the names)'),
  printTimings: flag({ name: 'print-timings', help: 'record each check for monitoring' }),
  debug: flag({ name: 'debug', help: 'tell more' }),
};

const ACTIONS = {
  generate: 'generate',
  generateYaml: 'generate-yaml',
  generateFullstatYaml: 'generate-fullstat-yaml',
  generateXmls: 'nothing',
  generateFullstatXmls: 'nothing',
  verify: 'verify',
} as const satisfies Partial<Record<keyof typeof OPTIONS, IntegrityAction>>;

/** Throws `invalid-request` for options that there are not. */
export function readOrder(args: readonly string[], env: Environment): IntegrityOrder {
  const { values, help } = parseOptions(args, OPTIONS, { env, prefixes: true });
  const { printTimings, debug } = values;
  const given = (Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]).filter((key) => values[key] !== undefined);
  const [only] = given;
  if (help || only === undefined || given.length > 1) {
    return { action: help ? 'help' : 'mistaken', files: '', printTimings, debug };
  }
  return { action: ACTIONS[only], files: values[only] ?? '', printTimings, debug };
}

export function helpText(): string {
  const lines = Object.values(OPTIONS).map(optionLine).join('');
  return `Usage: pegasus-integrity [options]\n\nOptions:\n${lines}  -h, --help\n`;
}

/** One file of a list. */
export interface Named {
  /** Undefined where the list gives the path alone. */
  readonly lfn: string | undefined;
  readonly pfn: string;
}

/** The items of a list: `[lfn=]pfn`, split at the first `=`. */
export function readNames(list: string): readonly Named[] {
  return list.split(';;;').map((item) => {
    const at = item.indexOf('=');
    return at < 0 ? { lfn: undefined, pfn: item } : { lfn: item.slice(0, at), pfn: item.slice(at + 1) };
  });
}

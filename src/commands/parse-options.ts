import { TransferError } from '../errors.ts';
import type { Environment } from '../request.ts';
import type { Option, OptionTable, Values } from './option.ts';

export interface Parsed<T extends OptionTable> {
  readonly values: Values<T>;
  readonly positionals: readonly string[];
  /** Every option given on the command line, in order. */
  readonly given: readonly { readonly key: keyof T & string; readonly text: string }[];
  /** `--help` or `-h` was given; nothing after it was looked at. */
  readonly help: boolean;
}

export interface ParseSettings {
  readonly env: Environment;
  /** Long names may be cut short as long as only one option begins so. */
  readonly prefixes?: boolean;
}

/**
 * The values of a table's options: from the arguments, else from the environment, else the initial ones. Options and
 * other arguments may be mixed; `--` ends the options. Throws `invalid-request` that names the option.
 */
export function parseOptions<T extends OptionTable>(
  args: readonly string[],
  table: T,
  settings: ParseSettings,
): Parsed<T> {
  const values = initialValues(table, settings.env);
  const given: { key: keyof T & string; text: string }[] = [];
  const positionals: string[] = [];
  let at = 0;
  let help = false;

  function set(key: string, shown: string, text: string): void {
    values[key] = parseValue(
      table[key] as Option<unknown>,
      shown,
      text,
      given.some((one) => one.key === key) ? values[key] : (table[key] as Option<unknown>).initial,
    );
    given.push({ key, text });
  }

  function next(shown: string, option: Option<unknown>): string {
    const text = args[at];
    if (text === undefined) throw invalid(`${shown}: expected ${option.expects}, got nothing`);
    at += 1;
    return text;
  }

  function long(arg: string): void {
    const equals = arg.indexOf('=');
    const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
    const found = findLong(name, table, settings.prefixes === true);
    if (found === 'help') {
      help = true;
      return;
    }
    const option = table[found] as Option<unknown>;
    const shown = `--${option.name}`;
    if (option.value === undefined) {
      if (equals >= 0) throw invalid(`${shown}: expected no value, got \`${arg.slice(equals + 1)}\``);
      set(found, shown, 'on');
    } else set(found, shown, equals < 0 ? next(shown, option) : arg.slice(equals + 1));
  }

  function letters(arg: string): void {
    for (let index = 1; index < arg.length && !help; index += 1) {
      const letter = arg[index] as string;
      if (letter === 'h') {
        help = true;
        return;
      }
      const key = Object.keys(table).find((name) => table[name]?.letter === letter);
      if (key === undefined)
        throw invalid(settings.prefixes ? `no such option: -${letter}` : `unknown option \`-${letter}\``);
      const option = table[key] as Option<unknown>;
      if (option.value === undefined) set(key, `-${letter}`, 'on');
      else {
        const rest = arg.slice(index + 1);
        set(key, `-${letter}`, rest === '' ? next(`-${letter}`, option) : rest);
        return;
      }
    }
  }

  while (at < args.length && !help) {
    const arg = args[at] as string;
    at += 1;
    if (arg === '--') {
      positionals.push(...args.slice(at));
      break;
    }
    if (arg.startsWith('--')) long(arg);
    else if (arg.startsWith('-') && arg !== '-') letters(arg);
    else positionals.push(arg);
  }
  return { values: values as Values<T>, positionals, given, help };
}

function initialValues(table: OptionTable, env: Environment): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(table)) {
    const text = option.env === undefined ? undefined : env[option.env];
    // A variable that is set to nothing is how scripts unset one.
    values[key] = text ? parseValue(option, option.env as string, text, option.initial) : option.initial;
  }
  return values;
}

function parseValue(option: Option<unknown>, shown: string, text: string, previous: unknown): unknown {
  const value = option.parse(text, previous);
  if (value === undefined) throw invalid(`${shown}: expected ${option.expects}, got \`${text}\``);
  return value;
}

function findLong(name: string, table: OptionTable, prefixes: boolean): string {
  const names = new Map<string, string>([['help', 'help']]);
  for (const [key, option] of Object.entries(table)) {
    for (const one of [option.name, ...(option.aliases ?? [])]) names.set(one, key);
  }
  const exact = names.get(name);
  if (exact !== undefined) return exact;
  const close = [...names.keys()].filter((one) => one.startsWith(name)).sort();
  if (prefixes && name !== '' && close.length === 1) return names.get(close[0] as string) as string;
  if (prefixes && name !== '' && close.length > 1) {
    throw invalid(`ambiguous option: --${name} (${close.map((one) => `--${one}`).join(', ')}?)`);
  }
  if (prefixes) throw invalid(`no such option: --${name}`);
  const meant = name.length > 1 && close[0] !== undefined ? `, did you mean \`--${close[0]}\`?` : '';
  throw invalid(`unknown option \`--${name}\`${meant}`);
}

function invalid(message: string): TransferError {
  return new TransferError('invalid-request', message);
}

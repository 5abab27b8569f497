import { TransferError } from '../../errors.ts';
import { optionLine } from '../help.ts';
import { flag, type OptionTable, text } from '../option.ts';
import { type Parsed, parseOptions } from '../parse-options.ts';

const FORCE = flag({ name: 'force', letter: 'f', help: 'replace what is there, miss nothing that is not' });

const GLOBAL = {
  verbose: flag({ name: 'verbose', letter: 'v', help: 'tell more' }),
  debug: flag({ name: 'debug', letter: 'd', help: 'tell more, with stack traces' }),
  conf: text({ name: 'conf', letter: 'C', value: 'FILE', help: 'the file with sites and keys' }),
} satisfies OptionTable;

/** What each command takes, and how many URLs and files. */
export const S3_COMMANDS = {
  ls: {
    arguments: 'URL',
    help: 'list buckets, or the keys of a bucket',
    least: 1,
    most: 1,
    options: {
      long: flag({ name: 'long', letter: 'l', help: 'owner, size, time, class and name' }),
      human: flag({ name: 'human-sized', letter: 'H', help: 'sizes in K, M, G' }),
    },
  },
  mkdir: { arguments: 'URL', help: 'make a bucket', least: 1, most: 1, options: {} },
  rm: {
    arguments: '[URL]',
    help: 'remove keys; one that ends in `*`: all that begin so',
    least: 0,
    most: 1,
    options: {
      force: FORCE,
      file: text({ name: 'file', letter: 'F', value: 'FILE', help: 'a file with one URL a line' }),
    },
  },
  put: {
    arguments: 'FILE URL',
    help: 'store a file',
    least: 2,
    most: 2,
    options: {
      create: flag({ name: 'create-bucket', letter: 'b', help: 'make the bucket if there is none' }),
      force: FORCE,
    },
  },
  get: { arguments: 'URL [FILE]', help: 'fetch a file', least: 1, most: 2, options: {} },
  cp: {
    arguments: 'SRC... DST',
    help: 'copy within the service',
    least: 2,
    most: Number.POSITIVE_INFINITY,
    options: {
      create: flag({ name: 'create-dest', letter: 'c', help: 'make the bucket if there is none' }),
      force: FORCE,
    },
  },
} as const satisfies Readonly<Record<string, CommandSyntax>>;

interface CommandSyntax {
  readonly arguments: string;
  readonly help: string;
  readonly least: number;
  readonly most: number;
  readonly options: OptionTable;
}

export type S3CommandName = keyof typeof S3_COMMANDS;

/** One call of `pegasus-s3`. */
export interface S3Invocation {
  readonly command: S3CommandName;
  readonly conf: string | undefined;
  readonly debug: boolean;
  /** Flags of the command that were given, by their keys. */
  readonly flags: ReadonlySet<string>;
  /** `rm -F`. */
  readonly file: string | undefined;
  readonly positionals: readonly string[];
}

/** What was called, or the help that was asked for. Throws `invalid-request` for what is no call. */
export function parseS3Command(args: readonly string[]): S3Invocation | string {
  const at = commandAt(args);
  const before = parseOptions(args.slice(0, at), GLOBAL, { env: {}, prefixes: true });
  if (before.help) return help();
  const name = args[at];
  if (name === undefined) return usage();
  if (!Object.hasOwn(S3_COMMANDS, name)) throw invalid(`no such command: \`${name}\``);
  const command = name as S3CommandName;
  const syntax: CommandSyntax = S3_COMMANDS[command];
  const table: OptionTable = { ...GLOBAL, ...syntax.options };
  const after: Parsed<OptionTable> = parseOptions(args.slice(at + 1), table, { env: {}, prefixes: true });
  if (after.help) return helpOf(command);
  const { positionals, given } = after;
  const file = after.values.file as string | undefined;
  if (positionals.length < syntax.least || positionals.length > syntax.most) {
    throw invalid(`${command}: expected ${syntax.arguments}, got ${positionals.length} arguments`);
  }
  if (command === 'rm' && (file === undefined) === (positionals.length === 0)) {
    throw invalid('rm: expected a URL or --file FILE');
  }
  return {
    command,
    conf: (after.values.conf as string | undefined) ?? before.values.conf,
    debug: [before.values, after.values].some((values) => values.debug === true || values.verbose === true),
    flags: new Set(given.filter(({ key }) => after.values[key] === true).map(({ key }) => key)),
    file,
    positionals,
  };
}

/** Options of the program itself come before the command. */
function commandAt(args: readonly string[]): number {
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? '';
    if (!arg.startsWith('-')) return at;
    if (arg === '-C' || (arg.startsWith('--c') && !arg.includes('='))) at += 1;
  }
  return args.length;
}

export function usage(): string {
  return `usage: pegasus-s3 [-h] [-v] [-d] [-C FILE] {${Object.keys(S3_COMMANDS).join(',')}} ...\n`;
}

function help(): string {
  const commands = Object.entries(S3_COMMANDS).map(
    ([name, { help: line }]) => `  ${name.padEnd(8)}${line}\n`,
  );
  return `${usage()}\n${commands.join('')}\noptions:\n${Object.values(GLOBAL).map(optionLine).join('')}`;
}

function helpOf(command: S3CommandName): string {
  const { arguments: names, help: line, options }: CommandSyntax = S3_COMMANDS[command];
  const lines = Object.values(options).map(optionLine).join('');
  return `usage: pegasus-s3 ${command} [OPTION]... ${names}\n\n${line}\n${lines === '' ? '' : `\noptions:\n${lines}`}`;
}

function invalid(message: string): TransferError {
  return new TransferError('invalid-request', message);
}

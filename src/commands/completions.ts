import { TransferError } from '../errors.ts';
import { COMMANDS, optionsOf } from './commands.ts';
import type { Io } from './io.ts';
import type { Option } from './option.ts';

interface Completed {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly Option<unknown>[];
}

/** `bridle completions bash|zsh|fish`: a script for the shell to read. */
export async function completions([shell]: readonly string[], io: Io): Promise<number> {
  const print = { bash, zsh, fish }[shell ?? ''];
  if (!print) {
    throw new TransferError(
      'invalid-request',
      `expected bash, zsh or fish, got ${shell === undefined ? 'nothing' : `\`${shell}\``}`,
    );
  }
  const commands = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, entry]) => ({
      name,
      summary: entry.summary,
      options: Object.values(await optionsOf(entry)),
    })),
  );
  io.out(print(commands));
  return 0;
}

function words({ options }: Completed): string {
  const names = options.flatMap(({ name, letter }) =>
    letter === undefined ? [`--${name}`] : [`-${letter}`, `--${name}`],
  );
  return [...names, '--help'].join(' ');
}

function bash(commands: readonly Completed[]): string {
  return `_bridle() {
  local current=\${COMP_WORDS[COMP_CWORD]} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='${commands.map(({ name }) => name).join(' ')} --version --help'
  else
    case \${COMP_WORDS[1]} in
${commands.map((command) => `    ${command.name}) words='${command.name === 'completions' ? 'bash zsh fish' : words(command)}' ;;`).join('\n')}
    esac
    case $current in
    -*) ;;
    *) [ "\${COMP_WORDS[1]}" = completions ] || words= ;;
    esac
  fi
  [ -n "$words" ] && COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _bridle bridle
`;
}

function zsh(commands: readonly Completed[]): string {
  const quote = (text: string) =>
    text.replaceAll("'", "'\\''").replaceAll(':', '\\:').replaceAll('[', '\\[').replaceAll(']', '\\]');
  const spec = (option: Option<unknown>) => {
    const value =
      option.value === undefined
        ? ''
        : `:${option.value.toLowerCase()}:${option.value === 'FILE' ? '_files' : ' '}`;
    const long = `--${option.name}`;
    const lines = [`'*${long}${value === '' ? '' : '='}[${quote(option.help)}]${value}'`];
    if (option.letter !== undefined) lines.push(`'*-${option.letter}[${quote(option.help)}]${value}'`);
    return lines.join(' ');
  };
  return `#compdef bridle
_bridle() {
  if (( CURRENT == 2 )); then
    local -a commands=(${commands.map(({ name, summary }) => `'${name}:${quote(summary)}'`).join(' ')})
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map(({ name, options }) => `  ${name}) _arguments -s ${[...options.map(spec), "'*:file:_files'"].join(' ')} ;;`).join('\n')}
  esac
}
compdef _bridle bridle
`;
}

function fish(commands: readonly Completed[]): string {
  const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap(({ name, summary, options }) => [
    `complete -c bridle -n __fish_use_subcommand -f -a ${name} -d ${quote(summary)}`,
    ...options.map(
      (option) =>
        `complete -c bridle -n '__fish_seen_subcommand_from ${name}' -l ${option.name}${option.letter === undefined ? '' : ` -s ${option.letter}`}${option.value === undefined ? '' : ' -r'} -d ${quote(option.help)}`,
    ),
  ]);
  return `${lines.join('\n')}\n`;
}

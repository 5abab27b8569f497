import { TransferError } from '../errors.ts';
import { COMMANDS, type CommandEntry, findCommand, optionsOf } from './commands.ts';
import type { Io } from './io.ts';
import type { Option, OptionTable } from './option.ts';

/** Columns before the text of an option. */
const INDENT = 33;

/** `bridle help [COMMAND]`. */
export async function help([name]: readonly string[], io: Io): Promise<number> {
  if (name === undefined || name.startsWith('-')) {
    io.out(overview());
    return 0;
  }
  const entry = findCommand(name);
  if (!entry) throw new TransferError('invalid-request', `no such command: \`${name}\``);
  io.out(commandHelp(entry, await optionsOf(entry)));
  return 0;
}

/** What bridle is and which commands it has. */
export function overview(): string {
  const rows = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(14)}${summary}\n`);
  return `bridle moves data for scientific workflows and proves that it arrived

usage: bridle COMMAND [OPTION]... [ARGUMENT]...

${rows.join('')}
  --version     print the version
  bridle help COMMAND tells the options of a command

exit status: 0 all done, 1 something failed, 2 wrong usage or bad input
`;
}

/** Usage, then the common options, then the rare ones. */
export function commandHelp({ usage, summary, more }: CommandEntry, table: OptionTable): string {
  const groups = (['common', 'rare'] as const).map((group) => {
    const options = Object.values(table).filter((option) => option.group === group);
    if (options.length === 0) return '';
    return `\n${group === 'common' ? 'options' : 'rarely needed'}:\n${options.map(optionLine).join('')}`;
  });
  const values = Object.values(table).some((option) => option.env !== undefined);
  const note = values ? '\nMost values may be set in the environment: --threads as BRIDLE_THREADS.\n' : '';
  return `usage: ${usage}\n\n${summary}\n${more === undefined ? '' : `\n${more}\n`}${groups.join('')}${note}`;
}

/** `  -n, --threads N            transfers at a time [8]`. */
export function optionLine(option: Option<unknown>): string {
  const letter = option.letter === undefined ? '    ' : `-${option.letter}, `;
  const value = option.value === undefined ? '' : ` ${option.value}`;
  const left = `  ${letter}--${option.name}${value}`;
  const shown = option.shown === undefined ? '' : ` [${option.shown}]`;
  return `${left.padEnd(INDENT)}${left.length >= INDENT ? ' ' : ''}${option.help}${shown}\n`;
}

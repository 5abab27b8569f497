import type { CommandLine } from '../job/container.ts';
import { shellWord } from '../shell-word.ts';

const PLAIN_WORD = /^[\w@%+=:,./-]+$/;

/** A command line as it is given to a shell. */
export function shellLine(words: CommandLine): string {
  return words.map((word) => (PLAIN_WORD.test(word) ? word : shellWord(word))).join(' ');
}

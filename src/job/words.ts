import { TransferError } from '../errors.ts';
import { type ByteText, readable } from './byte-text.ts';

/** The value of a variable; undefined when it is not set. */
export type Lookup = (name: ByteText) => ByteText | undefined;

/** Bytes of one argument: what Linux allows one (MAX_ARG_STRLEN, 32 pages of 4 KiB). */
export const MOST_ARGUMENT_BYTES = 131_072;

const NAME = /[A-Za-z0-9_]+/y;
const BRACED = /\{([^}{$"']*)\}/y;
const BLANK = /[ \t\n\v\f\r]/;
const CONTROLS: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/**
 * An argument of the main job with its variables put in. `$NAME` and `${NAME}` count outside quotes and inside double
 * ones; quotes and blanks stay; a backslash outside quotes takes away the meaning of what follows and goes, one inside
 * quotes stays. Throws `invalid-request` for a variable that is not set, `$` without a name, an open quote, a backslash
 * at the end, and more than 128 KiB.
 */
export function expandArgument(argument: ByteText, lookup: Lookup): ByteText {
  if (!/["'$\\]/.test(argument)) return checked(argument);
  let made = '';
  let quote: '"' | "'" | undefined;
  for (let at = 0; at < argument.length; ) {
    const character = argument[at] as string;
    if (character === '\\') {
      const next = escaped(argument, at, quote);
      made += quote === undefined ? next : character + next;
      at += 2;
    } else if (character === '$' && quote !== "'") {
      const variable = variableAt(argument, at + 1, lookup);
      made += variable.value;
      at = variable.end;
    } else {
      if (character === quote) quote = undefined;
      else if (quote === undefined && (character === '"' || character === "'")) quote = character;
      made += character;
      at += 1;
    }
  }
  if (quote !== undefined) throw unclosed(quote);
  return checked(made);
}

/**
 * The words of a side job's command line. Quotes join and go; a backslash takes away the meaning of what follows and
 * goes, everywhere, but that `\a \b \n \r \t \v` inside double quotes are control characters. The value of a variable
 * is not split. Throws as {@link expandArgument} does.
 */
export function splitCommand(line: ByteText, lookup: Lookup): ByteText[] {
  const words: ByteText[] = [];
  let word: ByteText | undefined;
  let quote: '"' | "'" | undefined;
  for (let at = 0; at < line.length; ) {
    const character = line[at] as string;
    if (character === '\\') {
      const next = escaped(line, at, quote);
      word = (word ?? '') + (quote === '"' ? (CONTROLS[next] ?? next) : next);
      at += 2;
    } else if (character === '$' && quote !== "'") {
      const variable = variableAt(line, at + 1, lookup);
      word = (word ?? '') + variable.value;
      at = variable.end;
    } else {
      at += 1;
      if (character === quote) quote = undefined;
      else if (quote === undefined && (character === '"' || character === "'")) {
        quote = character;
        word ??= '';
      } else if (quote === undefined && BLANK.test(character)) {
        if (word !== undefined) words.push(checked(word));
        word = undefined;
      } else word = (word ?? '') + character;
    }
  }
  if (quote !== undefined) throw unclosed(quote);
  if (word !== undefined) words.push(checked(word));
  return words;
}

function escaped(text: ByteText, at: number, quote: string | undefined): string {
  const next = text[at + 1];
  if (next !== undefined) return next;
  if (quote !== undefined) throw unclosed(quote);
  throw wrong('a backslash at the end');
}

function variableAt(text: ByteText, at: number, lookup: Lookup): { value: ByteText; end: number } {
  NAME.lastIndex = at;
  BRACED.lastIndex = at;
  const [whole = '', inner = whole] = (text[at] === '{' ? BRACED : NAME).exec(text) ?? [];
  if (inner === '')
    throw wrong(text[at] === '{' ? 'missing closing brace, or illegal name in it' : 'illegal variable name');
  const value = lookup(inner);
  if (value === undefined)
    throw new TransferError('invalid-request', `Variable $${readable(inner)} does not exist`);
  return { value, end: at + whole.length };
}

function checked(argument: ByteText): ByteText {
  if (argument.length <= MOST_ARGUMENT_BYTES) return argument;
  throw new TransferError(
    'invalid-request',
    `Argument too long: ${argument.length} bytes, expected at most ${MOST_ARGUMENT_BYTES}`,
  );
}

const unclosed = (quote: string) => wrong(`missing closing ${quote === '"' ? 'quote' : 'apostrophe'}`);

function wrong(what: string): TransferError {
  return new TransferError('invalid-request', `Error parsing arguments: ${what}`, {
    hint: 'a `$`, a quote or a backslash that is meant as such is written with a backslash before it',
  });
}

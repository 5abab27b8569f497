import { TransferError } from '../errors.ts';

/** Goes through a netrc file word by word. */
export interface NetrcReader {
  /** The next word; undefined at the end. */
  word(): string | undefined;
  /** The word that must follow `keyword`. */
  value(keyword: string): string;
  /** Goes to the next line. */
  skipLine(): void;
  /** Goes behind the next empty line. */
  skipMacro(): void;
  /** Start of a message about the last word: file and line. */
  where(): string;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/** One pass over `text`. Reading throws `invalid-request` for a missing word or closing quote. */
export function createNetrcReader(text: string, doing: string): NetrcReader {
  let at = 0;
  let line = 1;

  function where(): string {
    return `${doing}: line ${line}`;
  }

  function invalid(what: string): TransferError {
    return new TransferError('invalid-request', `${where()}: ${what}`);
  }

  function word(): string | undefined {
    while (at < text.length && isSpace(text[at])) {
      if (text[at] === '\n') line++;
      at++;
    }
    if (at >= text.length) return undefined;
    if (text[at] === '"') return quoted();
    const start = at;
    while (at < text.length && !isSpace(text[at])) at++;
    return text.slice(start, at);
  }

  function quoted(): string {
    const parts: string[] = [];
    let start = ++at;
    for (; at < text.length && text[at] !== '\n'; at++) {
      if (text[at] === '"') {
        parts.push(text.slice(start, at++));
        return parts.join('');
      }
      const next = text[at + 1];
      if (text[at] !== '\\' || next === undefined || next === '\n') continue;
      parts.push(text.slice(start, at), ESCAPES[next] ?? next);
      start = ++at + 1;
    }
    throw invalid('expected a closing double quote on the same line');
  }

  function value(keyword: string): string {
    const found = word();
    if (found === undefined) throw invalid(`expected a word after \`${keyword}\`, got the end of the file`);
    return found;
  }

  function skipLine(): void {
    const end = text.indexOf('\n', at);
    at = end < 0 ? text.length : end;
  }

  function skipMacro(): void {
    skipLine();
    while (at < text.length) {
      const start = ++at;
      line++;
      skipLine();
      if (at === start || (at === start + 1 && text[start] === '\r')) return;
    }
  }

  return { word, value, skipLine, skipMacro, where };
}

function isSpace(character: string | undefined): boolean {
  return (
    character === ' ' ||
    character === '\t' ||
    character === '\n' ||
    character === '\r' ||
    character === '\v' ||
    character === '\f'
  );
}

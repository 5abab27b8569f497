const SPACE = /[ \t\n\r]*/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
/** What may yet become an escape when more text comes. */
const CUT_ESCAPE = /\\(?:u[0-9a-fA-F]{0,3})?$/y;
/** What may yet become a scalar. */
const CUT_SCALAR =
  /(?:-?(?:(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d*)?)?|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?)$/y;

type Expected = 'value' | 'first' | 'key' | 'first-key' | 'colon' | 'next' | 'end';

/**
 * Where in `text` JSON stops, as an index: the first character that cannot stand there. The length of `text` when it
 * only ends too early. The messages of `JSON.parse` have the place only sometimes, and repeat the text around it, which
 * may be a password.
 */
export function findSyntaxError(text: string): number {
  const open: string[] = [];
  let expected: Expected = 'value';
  for (let index = 0; ; ) {
    index = match(SPACE, text, index) ?? index;
    const mark = text[index];
    if (mark === undefined) return text.length;
    const isKey: boolean = expected === 'key' || expected === 'first-key';
    const isValue: boolean = expected === 'value' || expected === 'first';
    if (mark === '"' && (isKey || isValue)) {
      const end = endOfString(text, index);
      if (text[end] !== '"') return end;
      index = end + 1;
      expected = isKey ? 'colon' : afterValue(open);
    } else if (isValue && (mark === '[' || mark === '{')) {
      open.push(mark);
      expected = mark === '[' ? 'first' : 'first-key';
      index++;
    } else if (closes(mark, open.at(-1)) && (expected === 'next' || expected.startsWith('first'))) {
      open.pop();
      expected = afterValue(open);
      index++;
    } else if ((expected === 'colon' && mark === ':') || (expected === 'next' && mark === ',')) {
      expected = mark === ':' || open.at(-1) === '[' ? 'value' : 'key';
      index++;
    } else {
      const end = isValue ? match(SCALAR, text, index) : undefined;
      if (end === undefined)
        return isValue && match(CUT_SCALAR, text, index) !== undefined ? text.length : index;
      index = end;
      expected = afterValue(open);
    }
  }
}

/** The index of the closing quote, of what no string may hold, or the length of `text`. No single pattern: a long one overflows the stack. */
function endOfString(text: string, start: number): number {
  for (let index = start + 1; ; ) {
    const unit = text.charCodeAt(index);
    if (unit === 0x5c) {
      const end = match(ESCAPE, text, index);
      if (end === undefined) return match(CUT_ESCAPE, text, index) === undefined ? index : text.length;
      index = end;
    } else if (unit === 0x22 || unit < 0x20 || Number.isNaN(unit)) {
      return index;
    } else {
      index++;
    }
  }
}

function match(pattern: RegExp, text: string, index: number): number | undefined {
  pattern.lastIndex = index;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

function closes(mark: string, opened: string | undefined): boolean {
  return (mark === ']' && opened === '[') || (mark === '}' && opened === '{');
}

function afterValue(open: readonly string[]): Expected {
  return open.length > 0 ? 'next' : 'end';
}

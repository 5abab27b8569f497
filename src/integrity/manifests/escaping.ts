const TO_ESCAPE = /[\\\n\r]/;
const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r' };
const UNESCAPED: Readonly<Record<string, string>> = { '\\\\': '\\', '\\n': '\n', '\\r': '\r' };

/**
 * A name as GNU coreutils writes it: with a backslash before the line when it holds a backslash, a newline or a
 * carriage return, and a backslash before each of these (coreutils manual, "cksum output modes").
 */
export function escapeName(name: string): { readonly lead: string; readonly text: string } {
  if (!TO_ESCAPE.test(name)) return { lead: '', text: name };
  return { lead: '\\', text: name.replace(/[\\\n\r]/g, (character) => ESCAPED[character] ?? character) };
}

/** The reverse, of a line that began with a backslash; undefined for an escape that is none. */
export function unescapeName(text: string): string | undefined {
  let isWhole = true;
  const name = text.replace(/\\.?/gs, (pair) => {
    const character = UNESCAPED[pair];
    if (character === undefined) isWhole = false;
    return character ?? '';
  });
  return isWhole ? name : undefined;
}

const PLAIN = /^[\x20-\x7e]*$/;

// Controls drive the terminal, format characters (bidirectional overrides, tags) make a name look like another, and
// line separators forge lines. Joiners inside words and emoji are harmless.
const UNSAFE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu;

/** `text` without anything that a terminal or a reader of lines would act on: `\x1b`, `\x0a`, `\u{202e}` stand for it. */
export function safeText(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNSAFE, escapeCharacter);
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

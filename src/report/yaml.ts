// Beyond what JSON escapes: characters that YAML 1.1 does not count as printable (5.1), or reads as a line break.
const NOT_PRINTABLE = /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g;

/**
 * `text` as a double-quoted YAML scalar on one line. Every escape that JSON knows is one of YAML too, so that the
 * scalar also parses as JSON.
 */
export function yamlString(text: string): string {
  return JSON.stringify(text).replace(
    NOT_PRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

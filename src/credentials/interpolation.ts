import { TransferError } from '../errors.ts';
import type { Ini } from './ini.ts';

/** As Python's `configparser`; also ends circles. */
const MAX_DEPTH = 10;

/** References that refer to references multiply; no header or password comes near these. */
const MAX_REFERENCES = 1000;
const MAX_LENGTH = 64 * 1024;

/**
 * The value of a key in a section, else in `[DEFAULT]`, with `%(name)s` replaced and `%%` as `%`; undefined when
 * neither has the key. Throws `invalid-request` with file, line, section and key, never the value.
 */
export function readOption(ini: Ini, section: string, key: string, doing: string): string | undefined {
  const options = ini.sections.get(section);
  const option = options?.get(key) ?? ini.defaults.get(key);
  if (!option?.value.includes('%')) return option?.value;
  const place = `${doing}: line ${option.line}, section \`[${section}]\`, key \`${key}\``;
  return expand(option.value, (name) => (options?.get(name) ?? ini.defaults.get(name))?.value, place);
}

function expand(value: string, lookUp: (name: string) => string | undefined, place: string): string {
  let expanded = '';
  let references = 0;

  function append(text: string, depth: number): void {
    let from = 0;
    for (;;) {
      const at = text.indexOf('%', from);
      expanded += at < 0 ? text.slice(from) : text.slice(from, at);
      if (expanded.length > MAX_LENGTH) throw invalid(`expected at most 64 KiB, got more`);
      if (at < 0) return;
      if (depth > MAX_DEPTH) throw invalid(`expected references no deeper than ${MAX_DEPTH}`);
      from = text[at + 1] === '%' ? appendPercent(at) : appendReference(text, at, depth);
    }
  }

  function appendPercent(at: number): number {
    expanded += '%';
    return at + 2;
  }

  function appendReference(text: string, at: number, depth: number): number {
    const end = text[at + 1] === '(' ? text.indexOf(')', at) : -1;
    if (end <= at + 2 || text[end + 1] !== 's') throw invalid('expected `%%` or `%(name)s`, got another `%`');
    const referred = lookUp(text.slice(at + 2, end).toLowerCase());
    if (referred === undefined) throw invalid('expected `%(name)s` with the name of a key, got another name');
    if (++references > MAX_REFERENCES)
      throw invalid(`expected at most ${MAX_REFERENCES} references, got more`);
    append(referred, depth + 1);
    return end + 2;
  }

  function invalid(what: string): TransferError {
    return new TransferError('invalid-request', `${place}: ${what}`, {
      hint: 'write a percent sign as `%%`',
    });
  }

  append(value, 1);
  return expanded;
}

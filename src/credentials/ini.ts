import { TransferError } from '../errors.ts';

export interface Option {
  /** As written: `%` not yet expanded, lines of a continued value joined by `\n`. */
  readonly value: string;
  /** Where it begins, from 1. */
  readonly line: number;
}

/** Lower-case keys. */
export type Section = ReadonlyMap<string, Option>;

export interface Ini {
  /** Names as written. */
  readonly sections: ReadonlyMap<string, Section>;
  /** Of `[DEFAULT]`: what every section holds unless it says otherwise. */
  readonly defaults: Section;
}

interface Draft {
  readonly line: number;
  readonly lines: string[];
}

interface OpenSection {
  readonly line: number;
  readonly options: Map<string, Draft>;
}

/**
 * The sections of a file in the format of Python's `configparser` with its default settings: `=` or `:` after a key,
 * whole-line comments with `#` and `;`, indented lines continue a value, nothing may be given twice.
 *
 * Stricter in one point: a line that starts with `[` is a section or an error. Python takes `[https://host` (no `]`)
 * for a key and an indented `[host]` for more of the value above; the lines below would then go to another host.
 *
 * Throws `invalid-request` with the line's number and never its content, which may be a secret.
 */
export function parseIni(text: string, doing: string): Ini {
  const sections = new Map<string, OpenSection>();
  const defaults: OpenSection = { line: 0, options: new Map() };
  let section: OpenSection | undefined;
  let option: Draft | undefined;
  let indent = 0;
  let number = 0;
  for (const line of text.split(/\r\n|\n|\r/)) {
    number++;
    const content = line.trim();
    if (content === '') {
      option?.lines.push('');
      continue;
    }
    if (content.startsWith('#') || content.startsWith(';')) continue;
    const lineIndent = line.length - line.trimStart().length;
    if (option && lineIndent > indent) {
      if (content.startsWith('[')) throw malformed(doing, number, INDENTED_SECTION);
      option.lines.push(content);
      continue;
    }
    indent = lineIndent;
    if (content.startsWith('[')) {
      section = openSection(content, number, sections, defaults, doing);
      option = undefined;
    } else {
      if (!section) throw malformed(doing, number, 'expected a `[section]` before the first key');
      option = openOption(content, number, section.options, doing);
    }
  }
  return {
    sections: new Map([...sections].map(([name, open]) => [name, close(open)])),
    defaults: close(defaults),
  };
}

const INDENTED_SECTION = 'expected a `[section]` to be indented no more than the key above it';

function openSection(
  content: string,
  line: number,
  sections: Map<string, OpenSection>,
  defaults: OpenSection,
  doing: string,
): OpenSection {
  const end = content.lastIndexOf(']');
  if (end < 2) throw malformed(doing, line, 'expected `[section]`, got a `[` without name or `]`');
  const name = content.slice(1, end);
  if (name === 'DEFAULT') return defaults;
  const earlier = sections.get(name);
  if (earlier)
    throw malformed(doing, line, `expected each section once, got one again from line ${earlier.line}`);
  const section: OpenSection = { line, options: new Map() };
  sections.set(name, section);
  return section;
}

function openOption(content: string, line: number, options: Map<string, Draft>, doing: string): Draft {
  const end = content.search(/[=:]/);
  if (end <= 0) throw malformed(doing, line, 'expected `key = value`');
  const key = content.slice(0, end).trimEnd().toLowerCase();
  const earlier = options.get(key);
  if (earlier) {
    throw malformed(
      doing,
      line,
      `expected each key of a section once, got one again from line ${earlier.line}`,
    );
  }
  const option: Draft = { line, lines: [content.slice(end + 1).trim()] };
  options.set(key, option);
  return option;
}

function close(section: OpenSection): Section {
  return new Map(
    [...section.options].map(([key, { line, lines }]) => [key, { line, value: lines.join('\n').trimEnd() }]),
  );
}

function malformed(doing: string, line: number, what: string): TransferError {
  return new TransferError('invalid-request', `${doing}: line ${line}: ${what}`);
}

import { readDigest, sha256ToWrite, unwritable } from './digest-text.ts';
import { lineFormat } from './lines.ts';
import { type ManifestFormat, type Said, wrong } from './manifest.ts';
import { sizeOf } from './meta.ts';
import { quoted } from './names.ts';

const LINE_END = /[\n\r]/;
/** White space for `quote` of the original's writer is Java's; all of Unicode's is no less readable when quoted. */
const TO_QUOTE = /[\s"\\=#]/;
const SITE = 'local';

/**
 * Pegasus's replica catalog in its file form, `LFN PFN key="value" …`, by the rules of the original's own reader: words
 * of blanks' making or in double quotes, in which a backslash takes the next character as it is; outside of them no
 * quote, no backslash, and an equals sign only behind a key (SimpleFile.java, its table of states).
 */
export const catalogText: ManifestFormat = {
  name: 'catalog-text',
  text: "Pegasus's replica catalog, file form (sha256 only when written)",
  ...lineFormat(() => readRecord, { endsInName: false }),
  write: () => ({
    begin: () => '',
    entry: (entry) => {
      const { name, size, places = [name] } = entry;
      const sum = `checksum.type="sha256" checksum.value="${sha256ToWrite(entry)}"`;
      const bytes = size === undefined ? '' : ` size="${size}"`;
      const lines = places.map(
        (place) => `${word(name, name)} ${word(place, name)} site="${SITE}" ${sum}${bytes}\n`,
      );
      return lines.join('');
    },
    end: () => '',
  }),
};

/** A word of a line, quoted where it must be. Throws for what no line can hold; `name` is whose line it is. */
export function word(text: string, name: string): string {
  return text === '' || TO_QUOTE.test(text) ? quotedWord(text, name) : text;
}

/** The same, always in quotes, as the values of attributes are. */
export function quotedWord(text: string, name: string): string {
  if (LINE_END.test(text)) throw unwritable(name, '`catalog-text` has no way to write the end of a line');
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** A replica without a checksum says nothing here, and a pattern is no file. */
function readRecord(line: string): Said | undefined {
  const words = splitRecord(line);
  if (typeof words === 'string') return wrong(`${words}: ${quoted(line)}`);
  const [name, place, ...attributes] = words;
  if (name === undefined || place === undefined)
    return wrong(`expected \`LFN PFN key="value" …\`, got ${quoted(line)}`);
  const known = new Map<string, string>();
  for (const { key, text } of attributes) {
    if (key === undefined) return wrong(`expected \`key="value"\`, got ${quoted(text)}`, name.text);
    if (known.has(key) && known.get(key) !== text)
      return wrong(`contradicts itself: ${quoted(key)} twice`, name.text);
    known.set(key, text);
  }
  const value = known.get('checksum.value');
  if (value === undefined) return undefined;
  if (known.get('regex')?.toLowerCase() === 'true')
    return wrong('a pattern is the name of no file', name.text);
  const digest = readDigest(known.get('checksum.type') ?? 'sha256', value);
  if (typeof digest === 'string') return wrong(digest, name.text);
  return { name: name.text, digests: [digest], places: [place.text], ...sizeOf(known.get('size')) };
}

interface Word {
  /** Of an attribute: what stands before its equals sign. */
  readonly key?: string;
  readonly text: string;
}

function splitRecord(line: string): Word[] | string {
  const words: Word[] = [];
  let at = skipBlanks(line, 0);
  while (at < line.length) {
    let key: string | undefined;
    if (words.length > 1) {
      const equals = endOfPlain(line, at);
      if (line[equals] !== '=' || equals === at) return 'expected a key, an equals sign and a value';
      key = line.slice(at, equals);
      at = equals + 1;
    }
    const isQuoted = line[at] === '"';
    const end = isQuoted ? endOfQuoted(line, at) : endOfPlain(line, at);
    if (end === undefined) return 'a quote is not closed';
    if (end === at) return `expected a word, got ${quoted(line.slice(at, at + 1))}`;
    const text = isQuoted ? line.slice(at + 1, end - 1).replace(/\\(.)/gs, '$1') : line.slice(at, end);
    if (!isQuoted && end < line.length && !isBlank(line[end]))
      return 'expected quotes around an equals sign or a quote';
    words.push(key === undefined ? { text } : { key, text });
    at = skipBlanks(line, end);
  }
  return words;
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}

function skipBlanks(line: string, at: number): number {
  while (isBlank(line[at])) at++;
  return at;
}

/** Behind the last character of a word without quotes. */
function endOfPlain(line: string, at: number): number {
  while (at < line.length && !/[ \t="\\]/.test(line.charAt(at))) at++;
  return at;
}

/** Behind the closing quote; undefined when there is none. */
function endOfQuoted(line: string, start: number): number | undefined {
  for (let at = start + 1; at < line.length; at++) {
    if (line[at] === '\\') at++;
    else if (line[at] === '"') return at + 1;
  }
  return undefined;
}

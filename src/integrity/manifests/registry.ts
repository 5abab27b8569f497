import { digestsToWrite, readDigest, unwritable } from './digest-text.ts';
import { lineFormat } from './lines.ts';
import { type ManifestFormat, type Said, wrong } from './manifest.ts';
import { quoted } from './names.ts';

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;
const LINE_END = /[\n\r]/;

/**
 * A registry of Pooch: `name alg:hex`, the algorithm left out for sha256, perhaps a URL behind. Words are quoted as in a
 * POSIX shell (Pooch splits by Python's `shlex.split`).
 */
export const registry: ManifestFormat = {
  name: 'registry',
  text: 'NAME ALGORITHM:DIGEST, as Pooch reads',
  ...lineFormat(() => readRegistryLine, { endsInName: false }),
  write: (hint) => ({
    begin: () => '',
    entry: (entry) => {
      if (LINE_END.test(entry.name))
        throw unwritable(entry.name, '`registry` has no way to write the end of a line');
      // A second line for a name would replace the first.
      const [digest] = digestsToWrite(entry, hint);
      return digest ? `${quoteWord(entry.name)} ${digest.algorithm}:${digest.value}\n` : '';
    },
    end: () => '',
  }),
};

export function readRegistryLine(line: string): Said | undefined {
  const words = splitWords(line);
  if (typeof words === 'string') return wrong(words);
  const [name, spelled, url, ...more] = words;
  if (name?.startsWith('#') && line.trimStart().startsWith('#')) return undefined;
  if (name === undefined || spelled === undefined || more.length > 0) {
    return wrong(`expected \`NAME ALGORITHM:DIGEST\` and perhaps a URL, got ${quoted(line)}`);
  }
  const colon = spelled.indexOf(':');
  const digest = readDigest(colon < 0 ? 'sha256' : spelled.slice(0, colon), spelled.slice(colon + 1));
  if (typeof digest === 'string') return wrong(digest, name);
  return { name, digests: [digest], ...(url === undefined ? {} : { places: [url] }) };
}

/** Words by the rules of a POSIX shell's quotes (Python's `shlex`, POSIX mode); text for what is left open. */
function splitWords(line: string): string[] | string {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at);
    if (character === ' ' || character === '\t' || character === '\r') {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === '"' || character === "'") {
      const quote = readQuoted(line, at);
      if (!quote) return `a quote is not closed: ${quoted(line)}`;
      word = `${word ?? ''}${quote.text}`;
      at = quote.end;
    } else if (character === '\\') {
      at++;
      if (at >= line.length) return `nothing follows the last backslash: ${quoted(line)}`;
      word = `${word ?? ''}${line.charAt(at)}`;
    } else word = `${word ?? ''}${character}`;
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** What the quote that begins at `start` holds. Only in double quotes does a backslash count, before itself and one. */
function readQuoted(
  line: string,
  start: number,
): { readonly text: string; readonly end: number } | undefined {
  const quote = line.charAt(start);
  let text = '';
  for (let at = start + 1; at < line.length; at++) {
    const character = line.charAt(at);
    if (character === quote) return { text, end: at };
    const next = line.charAt(at + 1);
    if (quote === '"' && character === '\\' && (next === '"' || next === '\\')) {
      text += next;
      at++;
    } else text += character;
  }
  return undefined;
}

function quoteWord(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

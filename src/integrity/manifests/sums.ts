import type { Algorithm } from '../../protocol.ts';
import { DIGEST_DIGITS } from '../expected.ts';
import { readTaggedLine } from './bsd.ts';
import { digestsToWrite, readDigest, unwritable } from './digest-text.ts';
import { escapeName, unescapeName } from './escaping.ts';
import { lineFormat } from './lines.ts';
import { type ManifestFormat, type ManifestHint, type Said, wrong } from './manifest.ts';
import { quoted } from './names.ts';

/** The algorithms that a number of digits means without a word, as it does to coreutils; 64 are sha256, not blake3. */
const BY_DIGITS: Readonly<Record<number, Algorithm>> = { 32: 'md5', 40: 'sha1', 64: 'sha256', 128: 'sha512' };
/** Algorithms of other tools, to say so. */
const FOREIGN: Readonly<Record<number, string>> = { 56: 'sha224', 96: 'sha384' };

const LINE = /^[ \t]*(\\?)([^ \t\\]+)[ \t](.*)$/s;
const BARE = /^[ \t]*([0-9A-Fa-f]{8,})[ \t]*$/;
const TAGGED = /^[ \t]*\\?[A-Za-z0-9/_-]{2,24} ?\(/;

/** The lines of sha256sum and its family: `hex  name`. */
export const sums: ManifestFormat = {
  name: 'sums',
  text: 'DIGEST  NAME, as sha256sum, md5sum and b3sum write and check',
  ...lineFormat(createLineReader, { endsInName: true }),
  write: (hint) => ({
    begin: () => '',
    entry: (entry) => {
      // A dash is the standard input to the readers.
      const { lead, text } = escapeName(entry.name === '-' && !entry.isStandardInput ? './-' : entry.name);
      const lines = digestsToWrite(entry, hint).map(({ algorithm, value }) => {
        if (algorithm !== (hint.algorithm ?? BY_DIGITS[value.length])) {
          throw unwritable(entry.name, `\`sums\` does not say that a digest is ${algorithm}; \`bsd\` does`);
        }
        return `${lead}${value}  ${text}\n`;
      });
      return lines.join('');
    },
    end: () => '',
  }),
};

/**
 * Reads as coreutils does: a space and a space (text) or an asterisk (binary) before the name; or one space alone, as
 * BSD's tools write with `-r`, and then in every line, for a name may begin with a space itself. Tagged lines may stand
 * between them.
 */
function createLineReader(hint: ManifestHint): (line: string) => Said {
  let hasMarks: boolean | undefined;
  return (line) => {
    if (TAGGED.test(line)) return readTaggedLine(line);
    const bare = BARE.exec(line)?.[1];
    if (bare !== undefined && hint.subject !== undefined) return said(hint, bare, hint.subject);
    const found = LINE.exec(line);
    if (!found) return wrong(`expected \`DIGEST  NAME\`, got ${quoted(line)}`);
    const [, lead, value = '', rest = ''] = found;
    const isMarked = /^[ *]/.test(rest);
    hasMarks ??= isMarked;
    if (hasMarks !== isMarked) {
      return wrong(
        `expected ${hasMarks ? 'two spaces' : 'one space'} before the name, as above: ${quoted(line)}`,
      );
    }
    const written = isMarked ? rest.slice(1) : rest;
    const name = lead === '' ? written : unescapeName(written);
    if (name === undefined) return wrong(`expected \\\\, \\n and \\r as escapes, got ${quoted(written)}`);
    return said(hint, value, name);
  };
}

function said(hint: ManifestHint, value: string, name: string): Said {
  const algorithm = hint.algorithm ?? BY_DIGITS[value.length];
  if (algorithm === undefined) return wrong(unknownDigits(value), name);
  const digest = readDigest(algorithm, value);
  return typeof digest === 'string' ? wrong(digest, name) : { name, digests: [digest] };
}

function unknownDigits(value: string): string {
  const isBase64 = Object.entries(BY_DIGITS).find(([, algorithm]) => {
    const problem = readDigest(algorithm, value);
    return typeof problem === 'string' && problem.includes('base64');
  });
  if (isBase64) return `expected hexadecimal digits, got base64: ${quoted(value)}`;
  const foreign = FOREIGN[value.length];
  if (foreign !== undefined)
    return `expected an algorithm of ours, got what looks like ${foreign}: ${quoted(value)}`;
  const fits = Object.entries(DIGEST_DIGITS).filter(([, digits]) => digits === value.length);
  if (fits.length > 0) {
    const names = fits.map(([algorithm]) => algorithm).join(', ');
    return `${value.length} digits may be ${names}: the algorithm has to be said`;
  }
  return `expected 32, 40, 64 or 128 hexadecimal digits, got ${value.length}: ${quoted(value)}`;
}

import type { Algorithm } from '../../protocol.ts';
import { digestsToWrite, readDigest } from './digest-text.ts';
import { escapeName, unescapeName } from './escaping.ts';
import { lineFormat } from './lines.ts';
import { type ManifestFormat, type Said, wrong } from './manifest.ts';
import { quoted } from './names.ts';

const TAG = /^[A-Za-z0-9/_-]{2,24}$/;
const VALUE = /^[ \t]*=[ \t]*([^ \t]+)[ \t]*$/;

/** Lines that name their algorithm: `SHA256 (name) = hex`, as BSD's tools, `cksum -a` and `--tag` write them. */
export const bsd: ManifestFormat = {
  name: 'bsd',
  text: 'ALGORITHM (NAME) = DIGEST, as BSD, cksum and openssl write',
  ...lineFormat(() => readTaggedLine, { endsInName: false }),
  write: (hint) => ({
    begin: () => '',
    entry: (entry) => {
      const { lead, text } = escapeName(entry.name);
      const lines = digestsToWrite(entry, hint).map(
        ({ algorithm, value }) => `${lead}${tagOf(algorithm)} (${text}) = ${value}\n`,
      );
      return lines.join('');
    },
    end: () => '',
  }),
};

/**
 * One such line. BSD's own tools escape nothing, so the name ends at the last parenthesis, and only a line that begins
 * with a backslash is unescaped. OpenSSL leaves out two of the spaces and calls some algorithms `SHA2-256`.
 */
export function readTaggedLine(line: string): Said {
  const text = line.replace(/^[ \t]+/, '');
  const isEscaped = text.startsWith('\\');
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  const tag = text.slice(isEscaped ? 1 : 0, Math.max(0, open)).replace(/ $/, '');
  const value = VALUE.exec(text.slice(close + 1))?.[1];
  if (close < open || !TAG.test(tag) || value === undefined) {
    return wrong(`expected \`ALGORITHM (NAME) = DIGEST\`, got ${quoted(line)}`);
  }
  const written = text.slice(open + 1, close);
  const name = isEscaped ? unescapeName(written) : written;
  if (name === undefined) return wrong(`expected \\\\, \\n and \\r as escapes, got ${quoted(written)}`);
  const digest = readDigest(tag, value);
  return typeof digest === 'string' ? wrong(digest, name) : { name, digests: [digest] };
}

function tagOf(algorithm: Algorithm): string {
  return algorithm.toUpperCase();
}

import { readDigest } from './digest-text.ts';
import { type Said, wrong } from './manifest.ts';
import { sizeOf } from './meta.ts';

/** In quotes without escapes, and without what is no printable character or a line break to YAML (1.2.2 §5.1, §5.4). */
const QUOTED = '"([^"\\\\\\x00-\\x1f\\x7f-\\xa0\\u2028\\u2029\\ufeff\\ufffe\\uffff]*)"';
/** No indicator, no comment, no key in it, whatever the version of YAML. */
const BARE = '([A-Za-z0-9/_](?:[A-Za-z0-9/_.+@%=~-]|:(?=[A-Za-z0-9/]))*)';
const SCALAR = `(?:${QUOTED}|${BARE})`;
const WORD = '(?:"[A-Za-z0-9_.-]+"|[A-Za-z0-9_][A-Za-z0-9_.-]*)';
const UNNAMED = SCALAR.replaceAll(/\((?!\?)/g, '(?:');
const PLACE = /^ *(?:- )?pfn: (?:"(.*)"|(.*))$/gm;

/**
 * Reads replicas that are written as Pegasus and we write them, line by line: YAML of a single form, for which a parser of
 * all of YAML takes a hundred times as long and as much memory. `indent` is what stands before the dashes. The reader gives
 * what a replica says, `nothing` for one without a checksum, and undefined for text that is written in any other way.
 */
export function plainReplicaReader(indent: string): (item: string) => Said | 'nothing' | undefined {
  const within = `${indent}  `;
  const places = [`${within}  `, within].map((at) => {
    const pair = `(?:- site: ${WORD}\n${at}  pfn: ${UNNAMED}|- pfn: ${UNNAMED}\n${at}  site: ${WORD})`;
    return `(?:${at}${pair}\n)+`;
  });
  const item = new RegExp(
    `^${indent}- lfn: ${SCALAR}\n${within}pfns:\n(${places.join('|')})` +
      `(?:${within}checksum:\n${within}  sha256: ${SCALAR}\n)?(?:${within}metadata:\n${within}  size: ${SCALAR}\n)?$`,
  );
  return (text) => {
    const found = item.exec(text);
    if (!found) return undefined;
    const [, quotedName, bareName = '', written = '', quotedSum, bareSum, quotedSize, bareSize] = found;
    const name = quotedName ?? bareName;
    const sum = quotedSum ?? bareSum;
    if (sum === undefined) return 'nothing';
    const digest = readDigest('sha256', sum);
    if (typeof digest === 'string') return wrong(digest, name);
    const pfns = Array.from(written.matchAll(PLACE), ([, quoted, bare = '']) => quoted ?? bare);
    return { name, digests: [digest], places: pfns, ...sizeOf(quotedSize ?? bareSize) };
  };
}

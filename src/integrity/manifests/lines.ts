import type { LineCursor, ManifestFormat, ManifestHint, ManifestItem, Said } from './manifest.ts';
import { nameProblem } from './names.ts';
import { linesOf } from './text.ts';

export interface LineRules {
  /** The name ends the line, so that a line cut short would be a line about another file. */
  readonly endsInName: boolean;
}

const BLANK = /^[ \t]*$/;

/**
 * What each line says by `read`, blank lines and comments left out. A last line without an end, where others have one
 * and the name comes last, is a problem: nothing tells a whole one from one that was cut.
 */
function* parseLines(
  blocks: Iterable<Uint8Array>,
  read: (text: string) => Said | undefined,
  rules: LineRules & { readonly cursor?: LineCursor | undefined },
): Generator<ManifestItem> {
  const { cursor } = rules;
  for (const line of linesOf(blocks)) {
    if (cursor) {
      cursor.at = line.at;
      cursor.number = line.number;
    }
    const where = `line ${line.number}`;
    if ('problem' in line) {
      yield { where, problem: line.problem };
      continue;
    }
    if (line.text.startsWith('#') || BLANK.test(line.text)) continue;
    const said = checked(read(line.text));
    if (!said) continue;
    if (rules.endsInName && !line.hasEnd && line.number > 1 && !('problem' in said)) {
      yield {
        where,
        name: said.name,
        problem: 'the line has no end, unlike the others: the manifest may be cut',
      };
    } else yield { ...said, where };
  }
}

/** The two ways to read a format of lines, each by a reader of its own. */
export function lineFormat(
  reader: (hint: ManifestHint) => (text: string) => Said | undefined,
  rules: LineRules,
): Pick<ManifestFormat, 'parse' | 'parseBlocks'> {
  const parseBlocks = (blocks: Iterable<Uint8Array>, hint: ManifestHint, cursor?: LineCursor) =>
    parseLines(blocks, reader(hint), { ...rules, cursor });
  return { parse: (bytes, hint) => parseBlocks([bytes], hint), parseBlocks };
}

/** Nothing comes through whose name is none. */
export function checked(said: Said | undefined): Said | undefined {
  if (!said || 'problem' in said) return said;
  const problem = nameProblem(said.name);
  return problem === undefined ? said : { problem };
}

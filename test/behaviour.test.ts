import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGE = join(ROOT, 'docs/behaviour.md');
const NONE = 'no test yet';

/** How many rows each letter has. */
const ROWS: Readonly<Record<string, number>> = { P: 11, F: 29, L: 14, B: 7, S: 13 };
const ID = '[PFLBS][0-9]{1,2}';

/** Ids that test names in this text begin with. */
function idsIn(text: string): Set<string> {
  const names = text.matchAll(new RegExp(`['"\`](${ID}(?:,? ${ID})*) `, 'g'));
  return new Set([...names].flatMap((name) => name[1]?.match(new RegExp(ID, 'g')) ?? []));
}

function testFiles(): string[] {
  const entries = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' });
  return entries
    .filter((name) => /(\.test|conformance|torture)\.ts$/.test(name) && name !== 'behaviour.test.ts')
    .sort();
}

/** The page with its last column as the tests stand now. */
function updated(page: string): string {
  const files = testFiles().map((name) => {
    return { name, ids: idsIn(readFileSync(join(ROOT, 'test', name), 'utf8')) };
  });
  return page.replace(new RegExp(`^(\\| (${ID}) \\|.*\\|)[^|]*\\|$`, 'gm'), (_, row: string, id: string) => {
    const names = files
      .filter(({ ids }) => ids.has(id))
      .map(({ name }) => `\`${name.replace('.test.ts', '')}\``);
    return `${row} ${names.join(', ') || NONE} |`;
  });
}

test('the page has every row, once and in order', () => {
  const ids = readFileSync(PAGE, 'utf8').match(new RegExp(`(?<=^\\| )${ID}(?= \\|)`, 'gm'));
  const all = Object.entries(ROWS).flatMap(([letter, count]) =>
    Array.from({ length: count }, (_, index) => `${letter}${index + 1}`),
  );
  expect(ids).toEqual(all);
});

test('the page names the tests of every row as they stand', () => {
  const page = readFileSync(PAGE, 'utf8');
  const now = updated(page);
  if (process.env.BEHAVIOUR === 'update') writeFileSync(PAGE, now);
  else
    expect(page, `stale: BEHAVIOUR=update npx vitest run ${relative(ROOT, import.meta.filename)}`).toBe(now);
});

test('only rows of what is not built yet have no test', () => {
  const bare = [...readFileSync(PAGE, 'utf8').matchAll(new RegExp(`^\\| (${ID}) .*${NONE} \\|$`, 'gm'))];
  expect(bare.map(([, id]) => id)).toEqual([]);
});

test('an id is taken from the start of a name only', () => {
  expect(idsIn(`test('F3 x', 0); test("P4 F1, S6 y"); test('not F9 here')`)).toEqual(
    new Set(['F3', 'P4', 'F1', 'S6']),
  );
});

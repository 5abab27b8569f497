import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { COMMANDS, optionsOf } from '../../src/commands/commands.ts';
import { EXIT } from '../../src/commands/failures.ts';
import type { Option } from '../../src/commands/option.ts';

const PATH = fileURLToPath(new URL('../../README.md', import.meta.url));
const REGION = /(<!-- options -->\n)[\s\S]*(<!-- end of options -->)/;

function row(option: Option<unknown>): string {
  const { name, letter, aliases = [], value, env, help, shown } = option;
  const names = [
    ...(letter === undefined ? [] : [`-${letter}`]),
    `--${name}`,
    ...aliases.map((alias) => `--${alias}`),
  ];
  const spelled = names.map((one) => `\`${one}\``).join(', ') + (value === undefined ? '' : ` ${value}`);
  return `| ${spelled} | ${help} | ${shown ?? ''} | ${env === undefined ? '' : `\`${env}\``} |\n`;
}

/** Commands whose equal options stand in one table before those of each. */
const FAMILIES = [
  { title: 'Every command', has: () => true },
  { title: '`bridle cp` and `bridle transfer`', has: (name: string) => name === 'cp' || name === 'transfer' },
];

async function tables(): Promise<string> {
  const rows = new Map<string, readonly string[]>();
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const options = Object.values(await optionsOf(entry));
    if (options.length === 0) continue;
    const sorted = [...options].sort((a, b) => Number(a.group === 'rare') - Number(b.group === 'rare'));
    rows.set(name, sorted.map(row));
  }
  let text = '';
  for (const { title, has } of FAMILIES) {
    const names = [...rows.keys()].filter(has);
    const [first = [], ...others] = names.map((name) => rows.get(name) ?? []);
    const shared = first.filter((one) => others.every((other) => other.includes(one)));
    text += table(title, shared);
    for (const name of names)
      rows.set(
        name,
        (rows.get(name) ?? []).filter((one) => !shared.includes(one)),
      );
  }
  for (const [name, own] of rows) if (own.length > 0) text += table(`\`bridle ${name}\``, own);
  return `${text}\n`;
}

function table(title: string, rows: readonly string[]): string {
  return `\n${title}\n\n| option | | default | variable |\n|---|---|---|---|\n${rows.join('')}`;
}

test('the tables of options in README.md are those of the program (`npx vitest run --update=all test/commands/readme.test.ts` rewrites them)', async () => {
  const readme = readFileSync(PATH, 'utf8');
  expect(readme).toMatch(REGION);
  const generated = await tables();
  await expect(readme.replace(REGION, (_, start, end) => start + generated + end)).toMatchFileSnapshot(PATH);
});

test('README.md names every command and every exit status', () => {
  const readme = readFileSync(PATH, 'utf8');
  for (const name of Object.keys(COMMANDS)) expect(readme).toContain(`| \`bridle ${name} `);
  for (const status of Object.values(EXIT)) expect(readme).toMatch(new RegExp(`^\\| ${status} \\|`, 'm'));
});

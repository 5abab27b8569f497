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

async function tables(): Promise<string> {
  let text = '';
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const options = Object.values(await optionsOf(entry));
    if (options.length === 0) continue;
    const sorted = [...options].sort((a, b) => Number(a.group === 'rare') - Number(b.group === 'rare'));
    text += `\n\`bridle ${name}\`\n\n| option | | default | variable |\n|---|---|---|---|\n${sorted.map(row).join('')}`;
  }
  return `${text}\n`;
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

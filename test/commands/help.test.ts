import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { COMMANDS, optionsOf } from '../../src/commands/commands.ts';
import { commandHelp, overview } from '../../src/commands/help.ts';
import { bridle, scratch } from './run-command.ts';

const commands = Object.entries(COMMANDS);

describe('help', () => {
  test('fits 80 columns', async () => {
    const texts = await Promise.all(
      commands.map(async ([, entry]) => commandHelp(entry, await optionsOf(entry))),
    );
    for (const line of [overview(), ...texts].join('').split('\n')) {
      expect([line, line.length <= 80]).toEqual([line, true]);
    }
  });

  test('names every command, and of each every option, the common ones first', async () => {
    for (const [name, entry] of commands) {
      expect(overview()).toContain(`\n  ${name} `);
      const table = Object.values(await optionsOf(entry));
      const text = commandHelp(entry, await optionsOf(entry));
      for (const option of table) expect(text).toContain(`--${option.name}`);
      const order = [...table].sort((a, b) => Number(a.group === 'rare') - Number(b.group === 'rare'));
      const places = order.map(({ name: option }) => text.search(new RegExp(`--${option}\\b(?!-)`)));
      expect(places).toEqual([...places].sort((a, b) => a - b));
    }
  });

  test('is the same by `help COMMAND`, `COMMAND --help` and `COMMAND -h`', async () => {
    const cwd = scratch();
    const [one, two, three] = await Promise.all(
      [
        ['help', 'cp'],
        ['cp', '--help'],
        ['cp', 'a', '-h'],
      ].map((args) => bridle(args, { cwd })),
    );
    expect(one).toMatchObject({ status: 0, stderr: '' });
    expect(two).toEqual(one);
    expect(three).toEqual(one);
  });

  test('of no command leads to the list of them', async () => {
    const { status, stderr } = await bridle(['help', 'nope'], { cwd: scratch() });
    expect([status, stderr]).toEqual([2, 'bridle: no such command: `nope`\nhint: bridle --help\n']);
  });

  test('is what bridle says without a command', async () => {
    expect(await bridle([], { cwd: scratch() })).toMatchObject({ status: 0, stdout: overview(), stderr: '' });
  });
});

test('--version prints the version', async () => {
  const { status, stdout } = await bridle(['--version'], { cwd: scratch() });
  expect({ status, isVersion: /^bridle \d+\.\d+\.\d+\n$/.test(stdout) }).toEqual({
    status: 0,
    isVersion: true,
  });
});

describe('completions', () => {
  test('bash completes commands and options', async () => {
    const { stdout } = await bridle(['completions', 'bash'], { cwd: scratch() });
    const complete = (...words: string[]) =>
      execFileSync('bash', [
        '--norc',
        '-c',
        `${stdout}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _bridle; echo "\${COMPREPLY[@]}"`,
      ])
        .toString()
        .trim();
    expect(complete('bridle', 'tr')).toBe('transfer');
    expect(complete('bridle', 'cp', '--recu')).toBe('--recursive');
    expect(complete('bridle', 'cp', 'fi')).toBe('');
    expect(complete('bridle', 'completions', 'f')).toBe('fish');
  });

  test.each(['bash', 'zsh', 'fish'])('%s knows every command', async (shell) => {
    const { status, stdout } = await bridle(['completions', shell], { cwd: scratch() });
    expect(status).toBe(0);
    for (const [name] of commands) expect(stdout).toContain(name);
    expect(stdout).toContain('stall-timeout');
  });
});

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bridle, scratch } from './run-command.ts';

const hex = (text: string) => createHash('sha256').update(text).digest('hex');

test('L6 directories, FIFOs, devices and links to nothing in a list are named for what they are, and the rest counts', async () => {
  const cwd = scratch();
  mkdirSync(join(cwd, 'folder'));
  execFileSync('mkfifo', [join(cwd, 'fifo')]);
  symlinkSync('nowhere', join(cwd, 'link'));
  for (const name of ['a', 'z']) writeFileSync(join(cwd, name), name);
  const names = ['a', 'folder', 'fifo', '/dev/zero', 'link', 'z'];
  writeFileSync(join(cwd, 'list'), names.map((name) => `${hex(name)}  ${name}\n`).join(''));
  const { status, stdout, stderr } = await bridle(['verify', '-v', 'list'], { cwd });
  expect(status).toBe(1);
  expect(stdout.split('\n')).toEqual([
    'a: OK, sha256',
    expect.stringMatching(/^folder: NOT VERIFIED, .*expected a regular file, got a directory$/),
    expect.stringMatching(/^fifo: NOT VERIFIED, .*expected a regular file, got a FIFO$/),
    expect.stringMatching(/^\/dev\/zero: NOT VERIFIED, .*expected a regular file, got a device$/),
    expect.stringMatching(/^link: MISSING, /),
    'z: OK, sha256',
    '',
  ]);
  expect(stderr).toBe('2 proven, 1 missing, 3 not verified\n');
});

test('B1 names that leave the root of a bag or a given root are told, and not opened', async () => {
  const cwd = scratch();
  mkdirSync(join(cwd, 'root'));
  writeFileSync(join(cwd, 'outside'), 'outside');
  writeFileSync(join(cwd, 'root/a'), 'a');
  const names = ['a', '../outside', join(cwd, 'outside'), 'x/../../outside'];
  const list = names.map((name) => `${hex(name === 'a' ? 'a' : 'outside')}  ${name}\n`).join('');
  writeFileSync(join(cwd, 'list'), list);
  const { status, stdout, stderr } = await bridle(['verify', '-v', '--root', 'root', 'list'], { cwd });
  expect(status).toBe(1);
  expect(stdout.split('\n').filter((line) => line.includes('it lies outside of'))).toHaveLength(3);
  expect(stdout).toContain('a: OK, sha256\n');
  expect(stderr).toBe('1 proven, 3 not verified\n');
});

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bridle, entry, scratch } from './run-command.ts';

const hex = (text: string) => createHash('sha256').update(text).digest('hex');

test('what a run stored is written down, and verifies', async () => {
  const cwd = scratch();
  mkdirSync(join(cwd, 'tree/deep'), { recursive: true });
  for (const name of ['a', 'deep/b c']) writeFileSync(join(cwd, 'tree', name), name);
  const copied = await bridle(['cp', '-q', '-r', '--write-checksums', 'SHA256SUMS', 'tree', 'copy'], { cwd });
  expect(copied).toEqual({ status: 0, stdout: '', stderr: '' });
  const lines = readFileSync(join(cwd, 'SHA256SUMS'), 'utf8').trimEnd().split('\n');
  expect(lines.sort()).toEqual([`${hex('a')}  copy/a`, `${hex('deep/b c')}  copy/deep/b c`].sort());
  expect(await bridle(['verify', 'SHA256SUMS'], { cwd })).toMatchObject({ status: 0, stderr: '2 proven\n' });
});

test('P5 only what is done is there, by its logical name where the format has those', async () => {
  const cwd = scratch();
  writeFileSync(join(cwd, 'a'), 'content');
  const list = [
    entry(`file://${cwd}/a`, `file://${cwd}/b`, { lfn: 'the b' }),
    entry(`file://${cwd}/gone`, `file://${cwd}/c`, { lfn: 'the c' }),
  ];
  writeFileSync(join(cwd, 'list.json'), JSON.stringify(list));
  const run = await bridle(['transfer', '-q', '-f', 'list.json', '--write-checksums', 'out.meta'], { cwd });
  expect(run.status).toBe(1);
  const meta = JSON.parse(readFileSync(join(cwd, 'out.meta'), 'utf8')) as readonly Record<string, unknown>[];
  expect(meta.map(({ _id }) => _id)).toEqual(['the b']);
  expect(JSON.stringify(meta)).toContain(hex('content'));
});

test('B6 a format that is only read is refused before anything starts', async () => {
  const cwd = scratch();
  writeFileSync(join(cwd, 'a'), 'content');
  const args = ['cp', '-q', '--write-checksums', 'x', '--checksums-format', 'metalink', 'a', 'b'];
  expect(await bridle(args, { cwd })).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('`metalink` can be read, not written'),
  });
  expect(existsSync(join(cwd, 'b'))).toBe(false);
  expect(readdirSync(cwd)).toEqual(['a']);
});

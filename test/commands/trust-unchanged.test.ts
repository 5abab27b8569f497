import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bridle, scratch } from './run-command.ts';

/** Files `a` and `b`, copied to `d/` with receipts. */
async function copied(): Promise<string> {
  const cwd = scratch();
  for (const name of ['a', 'b']) writeFileSync(join(cwd, name), name.repeat(LARGE));
  const run = await bridle(['cp', '-q', '-n', '1', '--receipts', 'done.jsonl', 'a', 'b', 'd/'], { cwd });
  expect(run).toMatchObject({ status: 0, stderr: '' });
  return cwd;
}

/** More than is held back in memory and stored in one go, on file systems in memory. */
const LARGE = 3_000_000;
const TRUST = ['--trust-unchanged', 'done.jsonl'];
const linesOf = (cwd: string) => readFileSync(join(cwd, 'done.jsonl'), 'utf8').trimEnd().split('\n');

/** Other content of the same size and modification time: only the time of the status change can tell. */
function alter(path: string): void {
  const { size, atime, mtime } = statSync(path);
  writeFileSync(path, 'x'.repeat(size));
  utimesSync(path, atime, mtime);
}

describe('--trust-unchanged', () => {
  test('verify takes the digest of a receipt for an unchanged file and says whose it is', async () => {
    const cwd = await copied();
    const run = await bridle(['verify', '-v', '--receipts', 'done.jsonl', ...TRUST], { cwd });
    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(/d\/a: OK, sha256 of receipt `done\.jsonl` line 1 of 20\S+Z, not read now\n/);
    expect(run.stderr).toBe('2 proven (2 by receipts, not read now)\n');
    const json = await bridle(['verify', '--json', '--receipts', 'done.jsonl', ...TRUST], { cwd });
    expect(JSON.parse(json.stdout.split('\n')[0] ?? '')).toMatchObject({
      by: 'receipt',
      reused: expect.stringMatching(/^receipt `done\.jsonl` line 1 of /),
    });
  });

  test('verify reads what was altered, although its size and modification time are as before', async () => {
    const cwd = await copied();
    alter(join(cwd, 'd/a'));
    const run = await bridle(['verify', '--receipts', 'done.jsonl', ...TRUST], { cwd });
    expect(run).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('d/a: WRONG'),
      stderr: '1 proven (1 by receipts, not read now), 1 wrong\n',
    });
  });

  test('verify compares a manifest with the digests of receipts, too', async () => {
    const cwd = await copied();
    writeFileSync(join(cwd, 'SUMS'), `${'0'.repeat(64)}  d/a\n`);
    const run = await bridle(['verify', '--format', 'sums', 'SUMS', ...TRUST], { cwd });
    expect(run.status).toBe(1);
    expect(run.stdout).toMatch(/d\/a: WRONG, .*unchanged since receipt `done\.jsonl` line 1/);
  });

  test('checksum says how many were reused, and in JSON which', async () => {
    const cwd = await copied();
    const anew = await bridle(['checksum', 'd'], { cwd });
    alter(join(cwd, 'd/b'));
    const [b] = (await bridle(['checksum', 'd/b'], { cwd })).stdout.split('\n');
    const run = await bridle(['checksum', 'd', ...TRUST], { cwd });
    expect(run.stdout).toBe(`${anew.stdout.split('\n')[0]}\n${b}\n`);
    expect(run.stderr).toBe('bridle checksum: digests of 1 unchanged files reused, of 1 made now\n');
    const { files } = JSON.parse(
      (await bridle(['checksum', 'd', '--format', 'json', ...TRUST], { cwd })).stdout,
    );
    expect(
      files.map(({ name, reused }: { name: string; reused?: string }) => [name, reused?.slice(0, 27)]),
    ).toEqual([
      ['d/a', 'receipt `done.jsonl` line 1'],
      ['d/b', undefined],
    ]);
  });

  test('checksum and verify read everything without it', async () => {
    const cwd = await copied();
    expect(await bridle(['checksum', 'd'], { cwd })).toMatchObject({ status: 0, stderr: '' });
    const run = await bridle(['verify', '-v', '--receipts', 'done.jsonl'], { cwd });
    expect(run.stdout).not.toContain('receipt');
  });

  test('cp --update leaves alone what receipts know, proves the size by it, and makes no fresh receipt of it', async () => {
    const cwd = await copied();
    const again = [
      'cp',
      '-u',
      '-n',
      '1',
      '--report',
      'report',
      '--receipts',
      'done.jsonl',
      ...TRUST,
      'a',
      'b',
      'd/',
    ];
    expect(await bridle(again, { cwd })).toMatchObject({ status: 0 });
    const { outcomes } = JSON.parse(readFileSync(join(cwd, 'report'), 'utf8'));
    expect(outcomes[0]).toMatchObject({
      route: 'none',
      verification: { destination: { grade: 'size', by: expect.stringMatching(/^receipt .* line 1 of /) } },
      notes: [
        expect.stringMatching(/^identical already, by digests reused from receipt `done\.jsonl` line 1/),
      ],
    });
    // The receipts of the second run name the first ones, and so does whoever trusts them.
    expect(JSON.parse(linesOf(cwd)[2] ?? '').file.seen).toBeUndefined();
    const verified = await bridle(['verify', '-v', '--receipts', 'done.jsonl', ...TRUST], { cwd });
    expect(verified.stdout).toContain('line 1 of');
  });

  test('cp --update reads the file where a digest is expected or a grade above size is required', async () => {
    const cwd = await copied();
    const sums = (await bridle(['checksum', 'd'], { cwd })).stdout;
    writeFileSync(join(cwd, 'SHA256SUMS'), sums);
    for (const more of [
      ['--checksums', 'SHA256SUMS'],
      ['--require', 'destination=server'],
    ]) {
      const args = ['cp', '-u', '--report', 'report', ...more, ...TRUST, 'a', 'd/'];
      expect(await bridle(args, { cwd })).toMatchObject({ status: 0 });
      const [outcome] = JSON.parse(readFileSync(join(cwd, 'report'), 'utf8')).outcomes;
      expect(outcome.notes).toEqual(['identical already, by digest']);
      expect(outcome.verification.destination.by).toBe('read-back');
    }
  });

  test('nothing starts with receipts whose chain is broken, nor where it would mean nothing', async () => {
    const cwd = await copied();
    const [first = '', second = ''] = linesOf(cwd);
    writeFileSync(join(cwd, 'done.jsonl'), `${first.replace('"attempts":1', '"attempts":2')}\n${second}\n`);
    for (const args of [
      ['checksum', 'd'],
      ['verify', 'sha256:00', 'a'],
      ['cp', '-u', 'a', 'e'],
    ]) {
      const run = await bridle([...args, ...TRUST], { cwd });
      expect(run).toMatchObject({ status: 2, stdout: '' });
      expect(run.stderr).toContain('trust `done.jsonl`: line 1: the chain breaks here');
    }
    expect((await bridle(['cp', 'a', 'e', ...TRUST], { cwd })).stderr).toContain('expected --update');
    expect((await bridle(['verify', '--read', 'x', ...TRUST], { cwd })).stderr).toContain('--read');
  });
});

import { createHash } from 'node:crypto';
import {
  appendFileSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readReceipts } from '../../src/integrity/receipts.ts';
import { bridle, ended, entry, scratch, start } from './run-command.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const NOTHING = { status: 0, stdout: '', stderr: '' };

/** Files `a`, `b` and `c`, which hold their own names, and an empty directory `d`. */
function scene(): string {
  const cwd = scratch();
  for (const name of ['a', 'b', 'c']) writeFileSync(join(cwd, name), name);
  mkdirSync(join(cwd, 'd'));
  return cwd;
}

const copy = (cwd: string, ...names: string[]) =>
  bridle(['cp', '-q', '--receipts', 'done.jsonl', ...names, 'd/'], { cwd });
const linesOf = (cwd: string) => readFileSync(join(cwd, 'done.jsonl'), 'utf8').trimEnd().split('\n');
const problems = (cwd: string) =>
  [...readReceipts(readFileSync(join(cwd, 'done.jsonl')))].flatMap(({ problem }) => problem ?? []);
const verify = (cwd: string) => bridle(['verify', '--receipts', 'done.jsonl'], { cwd });

describe('receipts', () => {
  test('a file that is done has one, which says what, where, how well, when and who', async () => {
    const cwd = scene();
    expect(await copy(cwd, 'a')).toEqual(NOTHING);
    const stat = statSync(join(cwd, 'd/a'), { bigint: true });
    const [line, ...more] = linesOf(cwd);
    expect(more).toEqual([]);
    const receipt = JSON.parse(line ?? '');
    expect(receipt).toMatchObject({
      attempts: 1,
      source: `file://${cwd}/a`,
      destination: `file://${cwd}/d/a`,
      size: 1,
      digests: { sha256: sha256('a') },
      verification: { destination: { grade: 'server', algorithm: 'sha256', value: sha256('a') } },
      file: {
        device: String(stat.dev),
        inode: String(stat.ino),
        size: 1,
        modified: String(stat.mtimeNs),
        statusChanged: String(stat.ctimeNs),
      },
      who: { host: hostname(), bridle: expect.any(String), user: expect.any(String) },
      chain: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(Date.parse(receipt.started)).toBeLessThanOrEqual(Date.parse(receipt.ended));
    expect(readdirSync(cwd).sort()).toEqual(['a', 'b', 'c', 'd', 'done.jsonl']);
  });

  test('runs append to one chain, and verify looks at every file again', async () => {
    const cwd = scene();
    await copy(cwd, 'a', 'b');
    await copy(cwd, 'c');
    expect(linesOf(cwd)).toHaveLength(3);
    expect(await verify(cwd)).toEqual({ status: 0, stdout: '', stderr: '3 proven\n' });
    writeFileSync(join(cwd, 'd/b'), 'X');
    expect(await verify(cwd)).toEqual({
      status: 1,
      stdout: `file://${cwd}/d/b: WRONG, expected sha256 ${sha256('b')}, it has ${sha256('X')}\n`,
      stderr: '2 proven, 1 wrong\n',
    });
  });

  test('a destination that was written again is what was written last', async () => {
    const cwd = scene();
    await copy(cwd, 'a');
    writeFileSync(join(cwd, 'a'), 'another');
    await copy(cwd, 'a');
    expect(await verify(cwd)).toEqual({ status: 0, stdout: '', stderr: '1 proven\n' });
  });

  test('what failed has none', async () => {
    const cwd = scene();
    writeFileSync(
      join(cwd, 'list.json'),
      JSON.stringify([
        entry(`file://${cwd}/absent`, `file://${cwd}/d/absent`, { id: 1, lfn: 'absent' }),
        entry(`file://${cwd}/c`, `file://${cwd}/d/c`, { id: 2, lfn: 'the-c' }),
      ]),
    );
    const ran = await bridle(['transfer', '-m', '1', '-f', 'list.json'], {
      cwd,
      env: { BRIDLE_RECEIPTS: 'listed.jsonl' },
    });
    expect(ran.status).toBe(1);
    const lines = readFileSync(join(cwd, 'listed.jsonl'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).lfn)).toEqual(['the-c']);
  });

  test('runs at the same time leave one whole chain', async () => {
    const cwd = scene();
    const names = Array.from({ length: 40 }, (_, at) => `f${at}`);
    for (const name of names) writeFileSync(join(cwd, name), name);
    const runs = [0, 1, 2, 3].map((run) => copy(cwd, ...names.filter((_, at) => at % 4 === run)));
    for (const ran of await Promise.all(runs)) expect(ran).toEqual(NOTHING);
    expect(linesOf(cwd)).toHaveLength(40);
    expect(problems(cwd)).toEqual([]);
  });

  test('P9 a lock and half a line of a writer that was killed are in nobody’s way', async () => {
    const cwd = scene();
    await copy(cwd, 'a');
    appendFileSync(join(cwd, 'done.jsonl'), (linesOf(cwd)[0] ?? '').slice(0, 100));
    expect(await verify(cwd)).toEqual({
      status: 1,
      stdout: expect.stringMatching(/^done\.jsonl: line 2: NOT VERIFIED, the line is cut short/),
      stderr: '1 proven, 1 not verified\n',
    });
    symlinkSync(`00000000-00000001-000000000000`, join(cwd, 'done.jsonl.lock'));
    symlinkSync('nobody', join(cwd, 'done.jsonl.lock.down'));
    const past = new Date(0);
    lutimesSync(join(cwd, 'done.jsonl.lock'), past, past);
    expect(await copy(cwd, 'b')).toEqual({
      ...NOTHING,
      stderr: 'warning: `done.jsonl`: cut off 100 bytes that a killed writer left of a last line\n',
    });
    expect(await copy(cwd, 'c')).toEqual(NOTHING);
    expect(problems(cwd)).toEqual([]);
    expect(await verify(cwd)).toMatchObject({ status: 0, stderr: '3 proven\n' });
    expect(readdirSync(cwd).filter((name) => name.includes('lock'))).toEqual([]);
  });

  test('P9 a run that is killed while it writes leaves what the next one can go on with', async () => {
    const cwd = scene();
    mkdirSync(join(cwd, 'many'));
    for (let index = 0; index < 1200; index += 1) writeFileSync(join(cwd, 'many', `f${index}`), `${index}`);
    const run = start(['cp', '-q', '-r', '--receipts', 'done.jsonl', 'many', 'd/'], { cwd });
    const end = ended(run);
    await expect
      .poll(() => statSync(join(cwd, 'done.jsonl'), { throwIfNoEntry: false })?.size ?? 0, {
        timeout: 20_000,
        interval: 5,
      })
      .toBeGreaterThan(0);
    run.kill('SIGKILL');
    await end;
    expect((await copy(cwd, 'a')).status).toBe(0);
    expect(problems(cwd)).toEqual([]);
    expect(JSON.parse(linesOf(cwd).at(-1) ?? '').destination).toBe(`file://${cwd}/d/a`);
    expect(await verify(cwd)).toMatchObject({ status: 0, stdout: '' });
  });

  test('a broken chain is told by the line, and the files still count', async () => {
    const cwd = scene();
    await copy(cwd, 'a');
    await copy(cwd, 'b');
    await copy(cwd, 'c');
    const [first, , third] = linesOf(cwd);
    writeFileSync(join(cwd, 'done.jsonl'), `${first}\n${third}\n`);
    expect(await verify(cwd)).toEqual({
      status: 1,
      stdout: expect.stringMatching(/^done\.jsonl: line 2: WRONG, the chain breaks here/),
      stderr: '2 proven, 1 wrong\n',
    });
  });

  test.each([
    ['text', 'a list of things\n'],
    ['text without an end', 'precious'],
    ['JSON that is no receipt', '{"chain":1}\n'],
  ])('%s is left alone, and nothing is transferred', async (_, content) => {
    const cwd = scene();
    writeFileSync(join(cwd, 'done.jsonl'), content);
    const { status, stderr } = await copy(cwd, 'a');
    expect(status).toBeGreaterThan(0);
    expect(stderr).toMatch(/its last line is no receipt/);
    expect(readFileSync(join(cwd, 'done.jsonl'), 'utf8')).toBe(content);
    expect(readdirSync(join(cwd, 'd'))).toEqual([]);
  });

  test('a place that cannot be a receipts file stops the run before it begins', async () => {
    const cwd = scene();
    for (const path of ['d', 'absent/file', '/dev/null']) {
      const { status } = await bridle(['cp', '-q', '--receipts', path, 'a', 'd/'], { cwd });
      expect(status, path).toBeGreaterThan(0);
    }
    expect(readdirSync(join(cwd, 'd'))).toEqual([]);
    expect((await bridle(['verify', '--receipts', 'absent'], { cwd })).status).toBe(2);
  });
});

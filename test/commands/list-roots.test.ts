import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { bridle, scratch } from './run-command.ts';

const hex = (text: string) => createHash('sha256').update(text).digest('hex');

/** A directory with data, one for what is copied, and one for lists. */
function prepare(): string {
  const cwd = scratch();
  for (const name of ['data', 'to', 'lists']) mkdirSync(join(cwd, name));
  writeFileSync(join(cwd, 'data/a b'), 'content');
  return cwd;
}

/** Names in a list of ours. */
function namesIn(path: string): readonly string[] {
  const list = JSON.parse(readFileSync(path, 'utf8')) as {
    readonly files: readonly { readonly name: string }[];
  };
  return list.files.map(({ name }) => name);
}

describe('a list that lies elsewhere than in the current directory', () => {
  test.each([
    ['lists/x.json', 'json'],
    ['lists/SHA256SUMS', 'sums'],
    ['lists/x.bsd', 'bsd'],
    ['x.json', 'json'],
  ])('%s is read by verify as checksum and --write-checksums write it', async (list, format) => {
    const cwd = prepare();
    const made = await bridle(['checksum', '--format', format, '-o', list, 'data/a b'], { cwd });
    expect(made).toMatchObject({ status: 0, stderr: '' });
    expect(await bridle(['verify', list], { cwd })).toMatchObject({ status: 0, stderr: '1 proven\n' });
    const args = ['cp', '-q', '--write-checksums', list, '--checksums-format', format, 'data/a b', 'to/c'];
    expect(await bridle(args, { cwd })).toEqual({ status: 0, stdout: '', stderr: '' });
    writeFileSync(join(cwd, 'data/a b'), 'changed');
    expect(await bridle(['verify', list], { cwd })).toMatchObject({ status: 0, stderr: '1 proven\n' });
  });

  test.each([
    ['made in the directory and verified outside of it', 'data', '.', 'data/SHA256SUMS', '--root data'],
    ['made outside of the directory and verified in it', '.', 'data', 'SHA256SUMS', '--root ..'],
  ])('%s: sha256sum finds nothing either, and a hint says from where', async (_, made, used, list, hint) => {
    const cwd = prepare();
    const output = join(cwd, 'data/SHA256SUMS');
    await bridle(['checksum', '-o', output, made === '.' ? 'data' : '.'], { cwd: join(cwd, made) });
    const here = { cwd: join(cwd, used) };
    expect(spawnSync('sha256sum', ['--quiet', '-c', list], here).status).toBe(1);
    const found = await bridle(['verify', list], here);
    expect(found.status).toBe(1);
    expect(found.stderr).toBe(
      `0 proven, 1 missing\nhint: the names may be meant from another directory: ${hint}\n`,
    );
    const [option = '', value = ''] = hint.split(' ');
    expect(await bridle(['verify', option, value, list], here)).toMatchObject({ status: 0 });
    const there = { cwd: join(cwd, made) };
    expect(spawnSync('sha256sum', ['--quiet', '-c', output], there).status).toBe(0);
    expect(await bridle(['verify', output], there)).toMatchObject({ status: 0, stderr: '1 proven\n' });
  });

  test('that standard output goes to is not in itself, and sha256sum agrees', async () => {
    const cwd = prepare();
    symlinkSync('data', join(cwd, 'linked'));
    const out = openSync(join(cwd, 'data/SHA256SUMS'), 'w');
    const main = fileURLToPath(new URL('../../dist/bridle.js', import.meta.url));
    const made = spawnSync(process.execPath, [main, 'checksum', 'data', 'linked'], {
      cwd,
      stdio: ['ignore', out, 'inherit'],
    });
    closeSync(out);
    expect(made.status).toBe(0);
    const names = readFileSync(join(cwd, 'data/SHA256SUMS'), 'utf8').match(/ {2}.*$/gm);
    expect(names).toEqual(['  data/a b', '  linked/a b']);
    expect(spawnSync('sha256sum', ['--quiet', '-c', 'data/SHA256SUMS'], { cwd }).status).toBe(0);
  });

  test('in `json` knows files by where it lies, and moves with them', async () => {
    const cwd = prepare();
    await bridle(['checksum', '--format', 'json', '-o', 'data/list.json', 'data/a b'], { cwd });
    expect(namesIn(join(cwd, 'data/list.json'))).toEqual(['a b']);
    for (const from of [cwd, join(cwd, 'data'), join(cwd, 'lists')]) {
      const found = await bridle(['verify', join(cwd, 'data/list.json')], { cwd: from });
      expect(found).toMatchObject({ status: 0, stderr: '1 proven\n' });
    }
    await bridle(['checksum', '--format', 'json', '-o', 'lists/list.json', 'data/a b'], { cwd });
    expect(namesIn(join(cwd, 'lists/list.json'))).toEqual([join(cwd, 'data/a b')]);
  });

  test('of a bag lies beside its data', async () => {
    const cwd = prepare();
    const list = 'manifest-sha256.txt';
    const bag = join(cwd, '..');
    const made = await bridle(['checksum', '--format', 'bagit', '-o', list, 'data'], { cwd });
    expect(made).toMatchObject({ status: 0, stderr: '' });
    const within = ['checksum', '--format', 'bagit', '-o', join(cwd, 'again.txt'), join(cwd, 'data')];
    expect(await bridle(within, { cwd: bag })).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(cwd, 'again.txt'), 'utf8')).toBe(readFileSync(join(cwd, list), 'utf8'));
  });

  test('of blocks is that of verify as well', async () => {
    const cwd = prepare();
    const args = ['cp', '-q', '--blocks', 'to/blocks.json', 'data/a b', 'to/c'];
    expect(await bridle(args, { cwd })).toMatchObject({ status: 0, stderr: '' });
    expect(namesIn(join(cwd, 'to/blocks.json'))).toEqual(['c']);
    expect(await bridle(['verify', 'to/blocks.json'], { cwd })).toMatchObject({
      status: 0,
      stderr: '1 proven\n',
    });
  });
});

describe('cp --checksums', () => {
  test.each([
    [['data/a b', 'to'], 'SHA256SUMS'],
    [['data/a b', 'to/a b'], 'SHA256SUMS'],
    [['-r', 'data/.', 'to'], 'SHA256SUMS'],
    [['-r', 'data', 'new'], 'lists/SHA256SUMS'],
  ])('finds what was listed as `./name` where the files came from: %j', async (places, list) => {
    const cwd = prepare();
    const run = (digest: string) => {
      writeFileSync(join(cwd, list), `${digest}  ./a b\n`);
      return bridle(['cp', '-q', '--require', 'source=end-to-end', '--checksums', list, ...places], { cwd });
    };
    expect((await run(hex('other'))).stderr).toMatch(/sha256/);
    expect(await run(hex('content'))).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test('says of a file that nothing is listed of it', async () => {
    const cwd = prepare();
    writeFileSync(join(cwd, 'SHA256SUMS'), `${hex('content')}  other\n`);
    const args = [
      'cp',
      '-q',
      '--require',
      'source=end-to-end',
      '--checksums',
      'SHA256SUMS',
      'data/a b',
      'to',
    ];
    expect(await bridle(args, { cwd })).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/hint: no digest is expected of this file/),
    });
  });
});

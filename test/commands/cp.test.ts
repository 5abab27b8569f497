import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bridle, scratch } from './run-command.ts';

const MAIN = new URL('../../dist/bridle.js', import.meta.url).pathname;

/** A directory with the files and directories named: `a`, `d/` and so on, files holding their own name. */
function tree(...names: string[]): string {
  const cwd = scratch();
  for (const name of names) {
    if (name.endsWith('/')) mkdirSync(join(cwd, name), { recursive: true });
    else {
      mkdirSync(join(cwd, name, '..'), { recursive: true });
      writeFileSync(join(cwd, name), name);
    }
  }
  return cwd;
}

/** Every file and empty directory below. */
function below(directory: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isDirectory()) found.push(path.slice(directory.length + 1));
    else if (readdirSync(path).length === 0) found.push(`${path.slice(directory.length + 1)}/`);
  }
  return found.sort();
}

describe('cp puts things where cp puts them', () => {
  const cases: readonly [why: string, have: string[], args: string[], want: string[]][] = [
    ['a file to a name', ['a'], ['a', 'b'], ['a', 'b']],
    ['a file to a name in a directory yet to be made', ['a'], ['a', 'd/b'], ['a', 'd/b']],
    ['a file into a directory', ['a', 'd/'], ['a', 'd'], ['a', 'd/a']],
    ['a file into a directory yet to be made', ['a'], ['a', 'd/'], ['a', 'd/a']],
    ['several files into a directory', ['a', 'b', 'd/'], ['a', 'b', 'd'], ['a', 'b', 'd/a', 'd/b']],
    ['a directory into one that exists', ['s/x', 'd/'], ['-r', 's', 'd'], ['d/s/x', 's/x']],
    ['a directory to a name', ['s/x'], ['-r', 's', 'd'], ['d/x', 's/x']],
    ['a directory with a slash to a name', ['s/x'], ['-r', 's/', 'd'], ['d/x', 's/x']],
    ['a directory with a slash into one', ['s/x', 'd/'], ['-r', 's/', 'd'], ['d/s/x', 's/x']],
    ['a directory to a name with a slash', ['s/x'], ['-r', 's', 'd/'], ['d/x', 's/x']],
    [
      'the contents of a directory',
      ['s/x', 's/y/z', 'd/'],
      ['-r', 's/.', 'd'],
      ['d/x', 'd/y/z', 's/x', 's/y/z'],
    ],
    ['empty directories', ['s/e/f/', 's/x'], ['-r', 's', 'd'], ['d/e/f/', 'd/x', 's/e/f/', 's/x']],
    ['an empty directory alone', ['s/'], ['-r', 's', 'd'], ['d/', 's/']],
    ['a path with a colon that exists', ['a:b'], ['a:b', './c:d'], ['a:b', 'c:d']],
    ['a name that begins with a dash', ['-n'], ['--', '-n', '-b'], ['-b', '-n']],
    ['a name with a dollar sign', ['$HOME'], ['$HOME', 'file:x$TERM'], ['$HOME', 'x$TERM']],
    [
      'L14 names of every kind',
      ['s/ü #%2F?', 's/a\nb', 's/it\'s "q"'],
      ['-r', 's', 'd'],
      ['d/it\'s "q"', 'd/a\nb', 'd/ü #%2F?', 's/it\'s "q"', 's/a\nb', 's/ü #%2F?'],
    ],
  ];

  test.each(cases)('%s', async (_, have, args, want) => {
    const cwd = tree(...have);
    expect(await bridle(['cp', ...args], { cwd })).toMatchObject({ status: 0 });
    expect(below(cwd)).toEqual([...want].sort());
  });

  test('a file is copied byte for byte', async () => {
    const cwd = tree('a');
    await bridle(['cp', 'a', 'b'], { cwd });
    expect(readFileSync(join(cwd, 'b'), 'utf8')).toBe('a');
  });
});

describe('cp refuses', () => {
  test('a directory without -r, and goes on with the others', async () => {
    const cwd = tree('s/x', 'a', 'd/');
    const { status, stderr } = await bridle(['cp', 's', 'a', 'd'], { cwd });
    expect(status).toBe(1);
    expect(stderr).toContain('s`: is a directory (use -r)');
    expect(below(join(cwd, 'd'))).toEqual(['a']);
  });

  test('an empty name, by what it is', async () => {
    const cwd = tree('a');
    for (const args of [
      ['', 'b'],
      ['a', ''],
    ]) {
      const { status, stderr } = await bridle(['cp', ...args], { cwd });
      expect([status, stderr.split('\n')[0]]).toEqual([
        2,
        'bridle: expected a path or URL, got an empty argument',
      ]);
    }
  });

  test('several sources without a directory to go to', async () => {
    const cwd = tree('a', 'b');
    const { status, stderr } = await bridle(['cp', 'a', 'b', 'c'], { cwd });
    expect(status).toBe(2);
    expect(stderr).toContain('expected a directory as destination of several sources');
    expect(below(cwd)).toEqual(['a', 'b']);
  });

  test('B4 two sources of one name into one directory', async () => {
    const cwd = tree('a/x', 'b/x', 'd/');
    const { status, stderr } = await bridle(['cp', 'a/x', 'b/x', 'd/'], { cwd });
    expect(status).toBe(1);
    expect(stderr).toContain('was named by another source already');
    expect(readFileSync(join(cwd, 'd/x'), 'utf8')).toBe('a/x');
  });

  test('a directory into itself', async () => {
    const cwd = tree('s/x');
    const { status, stderr } = await bridle(['cp', '-r', 's', 's/t'], { cwd });
    expect(status).toBe(1);
    expect(stderr).toContain('cannot copy a directory into itself');
    expect(below(cwd)).toEqual(['s/x']);
  });

  test('L6 a FIFO as source, without waiting for a writer', async () => {
    const cwd = tree('a');
    execFileSync('mkfifo', [join(cwd, 'fifo')]);
    const { status, stderr } = await bridle(['cp', 'fifo', 'b'], { cwd });
    expect(status).toBe(1);
    expect(stderr).toContain('the source is no regular file');
  });

  test('S2 S3 a link that has taken the place of a directory at the destination', async () => {
    const cwd = tree('s/sub/deep/x', 's/y', 'd/s/', 'outside/');
    symlinkSync(join(cwd, 'outside'), join(cwd, 'd/s/sub'));
    const { status, stderr } = await bridle(['cp', '-r', 's', 'd'], { cwd });
    expect(status).toBe(1);
    expect(stderr).toContain('a symbolic link has its place');
    expect(below(join(cwd, 'outside'))).toEqual([]);
    expect(existsSync(join(cwd, 'd/s/y'))).toBe(true);
  });
});

describe('cp -r', () => {
  test('S2 links to directories and what is no file are passed over and told, links to files are copied', async () => {
    const cwd = tree('s/x', 'secret/y');
    symlinkSync(join(cwd, 'secret'), join(cwd, 's/out'));
    symlinkSync('x', join(cwd, 's/in'));
    execFileSync('mkfifo', [join(cwd, 's/fifo')]);
    const { status, stderr } = await bridle(['cp', '-r', 's', 'd'], { cwd });
    expect(status).toBe(0);
    expect(stderr).toContain('s/out: a link to a directory');
    expect(stderr).toContain('s/fifo: no regular file');
    expect(below(join(cwd, 'd'))).toEqual(['in', 'x']);
  });

  test('L14 a name that is no UTF-8 is refused by name, and the others are copied', async () => {
    const cwd = tree('s/x');
    writeFileSync(Buffer.concat([Buffer.from(`${cwd}/s/`), Buffer.from([0xff, 0x61])]), 'y');
    const { status, stderr } = await bridle(['cp', '-r', 's', 'd'], { cwd });
    expect(status).toBe(1);
    expect(stderr).toContain('the name is not UTF-8');
    expect(below(join(cwd, 'd'))).toEqual(['x']);
  });

  test('the first glob that matches decides', async () => {
    const cwd = tree('s/a.dat', 's/a.log', 's/keep.log', 's/tmp/a.dat', 's/b/c.log');
    const args = ['--include', 'keep.*', '--exclude', '*.log', '--exclude=tmp/'];
    expect(await bridle(['cp', '-r', 's', 'd', ...args], { cwd })).toMatchObject({ status: 0 });
    expect(below(join(cwd, 'd'))).toEqual(['a.dat', 'keep.log']);
  });
});

describe('cp from and to streams', () => {
  test('standard input becomes a file', async () => {
    const cwd = scratch();
    const input = Buffer.alloc(3_000_000, 'bridle');
    expect(await bridle(['cp', '-', 'a'], { cwd, input })).toMatchObject({ status: 0, stdout: '' });
    expect(readFileSync(join(cwd, 'a')).equals(input)).toBe(true);
  });

  test('a file goes to standard output, and nothing else does', async () => {
    const cwd = tree('a');
    expect(await bridle(['cp', 'a', '-'], { cwd })).toMatchObject({ status: 0, stdout: 'a' });
  });

  test('standard input needs the name of a file', async () => {
    const cwd = tree('d/');
    expect(await bridle(['cp', '-', 'd/'], { cwd, input: 'x' })).toMatchObject({ status: 2 });
    expect(await bridle(['cp', '-', 'd'], { cwd, input: 'x' })).toMatchObject({ status: 1 });
    expect(below(cwd)).toEqual(['d/']);
  });
});

describe('cp with options', () => {
  test('--update leaves what is identical alone and replaces what is not', async () => {
    const cwd = tree('s/same', 's/other', 'd/');
    await bridle(['cp', '-p', 's/same', 'd'], { cwd });
    // Of the same size and time: only the digest tells.
    writeFileSync(join(cwd, 'd/other'), 'OTHER!!');
    const { atime, mtime } = statSync(join(cwd, 's/other'));
    utimesSync(join(cwd, 'd/other'), atime, mtime);
    const before = statSync(join(cwd, 'd/same')).ino;
    const { status } = await bridle(['cp', '-u', 's/same', 's/other', 'd'], { cwd });
    expect(status).toBe(0);
    expect(statSync(join(cwd, 'd/same')).ino).toBe(before);
    expect(readFileSync(join(cwd, 'd/other'), 'utf8')).toBe('s/other');
  });

  test('--preserve keeps the modification time', async () => {
    const cwd = tree('a');
    utimesSync(join(cwd, 'a'), 1_000_000_000, 1_000_000_000);
    await bridle(['cp', '--preserve', 'a', 'b'], { cwd });
    expect(statSync(join(cwd, 'b')).mtimeMs).toBe(1_000_000_000_000);
  });

  test('--symlink links instead of copying', async () => {
    const cwd = tree('a');
    await bridle(['cp', '-s', 'a', 'b'], { cwd });
    expect(readlinkSync(join(cwd, 'b'))).toBe(join(cwd, 'a'));
  });

  test('S6 the umask holds for new files, and no setuid bit is taken over', async () => {
    const cwd = tree('a');
    execFileSync('chmod', ['6755', join(cwd, 'a')]);
    execFileSync('sh', ['-c', `umask 027 && exec '${process.execPath}' '${MAIN}' cp -q a b`], { cwd });
    expect((lstatSync(join(cwd, 'b')).mode & 0o7777).toString(8)).toBe('750');
  });

  test('a directory that is private stays private, with the umask and, with -p, as it is', async () => {
    const cwd = tree('s/x', 's/private/deep/x', 's/private/empty/', 's/shared/x', 's/sealed/x');
    const modes = {
      private: '700',
      'private/deep': '750',
      'private/empty': '711',
      shared: '2777',
      sealed: '555',
    };
    for (const [name, mode] of Object.entries(modes)) execFileSync('chmod', [mode, join(cwd, 's', name)]);
    for (const [to, option] of [
      ['d', '-qr'],
      ['p/q', '-qrp'],
    ]) {
      execFileSync('sh', ['-c', `umask 022 && exec '${process.execPath}' '${MAIN}' cp ${option} s ${to}`], {
        cwd,
      });
    }
    // Else only root could remove what is in it.
    chmodSync(join(cwd, 's/sealed'), 0o755);
    const modeOf = (path: string) => (lstatSync(join(cwd, path)).mode & 0o7777).toString(8);
    const names = Object.keys(modes);
    expect(names.map((name) => modeOf(`d/${name}`))).toEqual(['700', '750', '711', '755', '755']);
    expect(names.map((name) => modeOf(`p/q/${name}`))).toEqual(['700', '750', '711', '777', '755']);
    expect([modeOf('d'), modeOf('p'), modeOf('p/q')]).toEqual(['755', '755', '755']);
    expect(below(join(cwd, 'd'))).toEqual(below(join(cwd, 's')));
  });

  test('a directory that was there keeps its permissions', async () => {
    const cwd = tree('s/private/x', 'd/s/private/');
    execFileSync('chmod', ['700', join(cwd, 's/private')]);
    execFileSync('chmod', ['750', join(cwd, 'd/s/private')]);
    await bridle(['cp', '-r', 's', 'd'], { cwd });
    expect(lstatSync(join(cwd, 'd/s/private')).mode & 0o777).toBe(0o750);
    expect(existsSync(join(cwd, 'd/s/private/x'))).toBe(true);
  });

  test('--dry-run prints pairs and routes, and touches nothing', async () => {
    const cwd = tree('s/x', 's/y');
    execFileSync('chmod', ['700', join(cwd, 's')]);
    const { status, stdout } = await bridle(['cp', '-r', '--dry-run', 's', 'd'], { cwd });
    expect(status).toBe(0);
    expect(stdout).toContain(`file://${cwd}/s/x -> file://${cwd}/d/x\n  copy, both ends`);
    expect(below(cwd)).toEqual(['s/x', 's/y']);
  });

  test('--quiet says nothing unless something fails', async () => {
    const cwd = tree('a');
    expect((await bridle(['cp', '-q', 'a', 'b'], { cwd })).stderr).toBe('');
    expect((await bridle(['cp', '-q', 'nope', 'b'], { cwd })).stderr).toContain('no such file');
  });
});

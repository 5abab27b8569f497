import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../../fixtures/servers/launch.ts';
import { open as openMoveto } from '../../protocols/moveto.ts';
import type { Endpoint } from '../../src/protocol.ts';
import { bridle } from '../commands/run-command.ts';
import {
  afterwards,
  digestAt,
  leftBehind,
  MIB,
  misbehaving,
  type RunMore,
  runAll,
  scratch,
  sha256,
  transferOf,
} from '../faults/scene.ts';
import { makeImage, tarOf, writeImage } from '../image/busybox-image.ts';
import { noise } from '../image/noise.ts';

const BRIDLE = fileURLToPath(new URL('../../bin/bridle', import.meta.url));

/** A file system in memory of its own. Needs root. */
function mountTmpfs(size: string): string {
  if (process.getuid?.() !== 0) throw new Error('mounting a small tmpfs needs root');
  const directory = scratch();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0777`, 'bridle-test', directory]);
  afterwards(() => execFileSync('umount', ['-l', directory]));
  return directory;
}

describe('L1 a disk that is full', () => {
  const WAYS: [string, RunMore][] = [
    ['copied', {}],
    ['streamed', { options: { checksums: ['sha256'] } }],
  ];

  test.each(WAYS)('L1 before the first byte: `no-space` at once, the old file stays, %s', async (_, more) => {
    const directory = mountTmpfs('4m');
    const from = join(scratch(), 'from');
    const to = join(directory, 'to');
    fs.writeFileSync(from, Buffer.alloc(9 * MIB, 1));
    fs.writeFileSync(to, 'old');
    const { outcome, waited } = await runAll([transferOf(from, to)], more);
    expect(outcome.failure?.code).toBe('no-space');
    expect(outcome.attempts).toHaveLength(1);
    expect(waited).toBe(0);
    expect(fs.readFileSync(to, 'utf8')).toBe('old');
    expect(leftBehind(directory)).toEqual([]);
  });

  test.each([2 * MIB, 20 * MIB])('L1 at byte n of %d: `no-space`, the old file stays', async (size) => {
    const directory = mountTmpfs(size > 8 * MIB ? '24m' : '3m');
    const to = join(directory, 'to');
    fs.writeFileSync(to, 'old');
    const server = await misbehaving({ content: { size } });
    let filled = false;
    const { outcome, waited } = await runAll([transferOf(server.url, to)], {
      onEvent: ({ type }) => {
        // Somebody else takes the room once the check for it is behind us.
        if (type === 'progress' && !filled) fill(join(directory, 'ballast'));
        if (type === 'progress') filled = true;
      },
    });
    expect(outcome.failure?.code).toBe('no-space');
    expect(outcome.attempts).toHaveLength(1);
    expect(waited).toBe(0);
    expect(fs.readFileSync(to, 'utf8')).toBe('old');
    const left = leftBehind(directory).filter((path) => path.endsWith('.part'));
    expect(left.length).toBeLessThanOrEqual(size > 8 * MIB ? 1 : 0);
    fs.rmSync(join(directory, 'ballast'));
    const again = await runAll([transferOf(server.url, to)]);
    expect(again.outcome.status).toBe('done');
    expect(digestAt(to)).toBe(server.content().digest('sha256'));
    expect(leftBehind(directory)).toEqual([]);
  });

  function fill(path: string): void {
    const fd = fs.openSync(path, 'w');
    const chunk = Buffer.alloc(64 * 1024);
    try {
      for (;;) fs.writeSync(fd, chunk);
    } catch {
      fs.closeSync(fd);
    }
  }

  test('L1 P5 small files: those that fit are there, the others fail and leave nothing', async () => {
    const directory = mountTmpfs('1m');
    const from = join(scratch(), 'from');
    fs.writeFileSync(from, Buffer.alloc(50_000, 1));
    const requests = Array.from({ length: 40 }, (_, index) => ({
      ...transferOf(from, join(directory, `${index}`)),
      index,
    }));
    const { summary, outcomes } = await runAll(requests);
    expect(summary.done).toBeGreaterThan(5);
    expect(summary.failed).toBeGreaterThan(5);
    for (const { status, index, failure } of outcomes) {
      const expected = status === 'done' ? sha256(Buffer.alloc(50_000, 1)) : 'absent';
      expect(digestAt(join(directory, `${index}`))).toBe(expected);
      if (failure) expect(failure.code).toBe('no-space');
    }
    expect(leftBehind(directory)).toEqual([]);
  });
});

test.each(['tar2sqfs', 'mksquashfs'])(
  'L1 a SIF file that %s has no room for: no space, nothing left',
  async (packer) => {
    const [directory, image] = [mountTmpfs('64k'), join(scratch(), 'a.tar')];
    const bin = join(dirname(image), 'bin');
    fs.mkdirSync(bin);
    fs.symlinkSync(findProgram(packer), join(bin, packer));
    const layer = tarOf([{ name: 'noise', content: noise(256 * 1024) }]);
    await writeImage(makeImage({ layers: [layer] }), 'hybrid', image);
    const args = ['image', 'convert', image, join(directory, 'a.sif')];
    const { status, stderr } = await bridle(args, { cwd: dirname(image), env: { PATH: bin } });
    expect(status).toBe(1);
    expect(stderr).toMatch(/: no space left [^\n]*\nhint: make room there/);
    expect(fs.readdirSync(directory)).toEqual([]);
  },
);

test('L7 files with the same inode number on two file systems are two files', async () => {
  const [one, other] = [mountTmpfs('1m'), mountTmpfs('1m')];
  const [from, to] = [join(one, 'file'), join(other, 'file')];
  fs.writeFileSync(from, 'from');
  fs.writeFileSync(to, 'to..');
  expect(fs.statSync(from).ino).toBe(fs.statSync(to).ino);
  const { outcome } = await runAll([transferOf(from, to)]);
  expect(outcome).toMatchObject({ status: 'done', route: 'copy' });
  expect(fs.readFileSync(to, 'utf8')).toBe('from');
});

test('a file is moved between file systems by copy, and the source goes last', async () => {
  const from = join(mountTmpfs('1m'), 'from');
  const to = join(scratch(), 'to');
  fs.writeFileSync(from, 'moved');
  fs.chmodSync(from, 0o640);
  fs.utimesSync(from, 1_000_000_000, 1_000_000_000);
  fs.writeFileSync(to, 'old');
  const request = transferOf(from, to);
  const destinations = [{ location: { scheme: 'moveto', authority: '', path: to, site: 'local' } }];
  const { outcome } = await runAll([{ ...request, destinations }]);
  expect(outcome).toMatchObject({ status: 'done', route: 'move' });
  expect(fs.readFileSync(to, 'utf8')).toBe('moved');
  expect(fs.statSync(to)).toMatchObject({ mode: 0o100640, mtimeMs: 1_000_000_000_000 });
  expect(fs.existsSync(from)).toBe(false);
});

describe('a move between file systems', () => {
  /** What somebody does at a moment of the move. */
  interface Meddling {
    /** With the copy, before it is compared. */
    readonly copied?: (partial: string) => void;
    /** Before the copy is visible, and when it is proven. */
    readonly proven?: () => void;
  }

  async function moved(from: string, to: string, { copied, proven }: Meddling) {
    const real = openMoveto();
    const meddling: Endpoint = {
      ...real,
      move: (path, target, call) =>
        real.move!(path, target, {
          ...call,
          prove: async (readCopy) => {
            const partials = leftBehind(dirname(to)).filter((name) => name.endsWith('.part'));
            copied?.(partials[0] ?? 'none');
            await call.prove?.(readCopy);
            proven?.();
          },
        }),
    };
    const destinations = [{ location: { scheme: 'moveto', authority: '', path: to, site: 'local' } }];
    return runAll([{ ...transferOf(from, to), destinations }], {
      options: { attempts: 1 },
      open: ({ location }) => (location.scheme === 'moveto' ? meddling : undefined),
    });
  }

  function scene() {
    const [from, to] = [join(mountTmpfs('4m'), 'from'), join(scratch(), 'to')];
    fs.writeFileSync(from, Buffer.alloc(MIB, 'moved'));
    fs.writeFileSync(to, 'old');
    return { from, to };
  }

  test('P1 P2 whose copy is not what the source is fails, and both files stay as they were', async () => {
    const { from, to } = scene();
    const copied = (partial: string) => {
      const fd = fs.openSync(partial, 'r+');
      fs.writeSync(fd, 'x', 1000);
      fs.closeSync(fd);
    };
    const { outcome } = await moved(from, to, { copied });
    expect(outcome.failure).toMatchObject({ code: 'digest-mismatch' });
    expect(fs.readFileSync(from).equals(Buffer.alloc(MIB, 'moved'))).toBe(true);
    expect(fs.readFileSync(to, 'utf8')).toBe('old');
    expect(leftBehind(dirname(to)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('L5 whose source grows once it is copied leaves the source where it is, and says so', async () => {
    const { from, to } = scene();
    const { outcome } = await moved(from, to, { proven: () => fs.appendFileSync(from, 'more') });
    expect(outcome.failure).toMatchObject({ code: 'changed' });
    expect(fs.statSync(from).size).toBe(MIB + 4);
  });

  test('P3 is as well verified as a copy that was read back', async () => {
    const { from, to } = scene();
    const { outcome } = await moved(from, to, {});
    const value = sha256(Buffer.alloc(MIB, 'moved'));
    expect(outcome).toMatchObject({
      status: 'done',
      route: 'move',
      destinationVerification: { grade: 'server', algorithm: 'sha256', value, by: 'read-back' },
    });
    expect(fs.existsSync(from)).toBe(false);
  });
});

describe('the order that survives a loss of power', () => {
  beforeAll(() => {
    if (spawnSync('strace', ['-V']).status !== 0) throw new Error('needs strace: apt-get install strace');
  });

  test.each([
    ['a small copy', 1000, []],
    ['a large copy', 9 * MIB, []],
    ['a small stream', 1000, ['--checksum', 'sha256']],
    ['a large stream', 9 * MIB, ['--checksum', 'sha256']],
  ])('%s: write, fsync of the file, rename, fsync of the directory', (_, size, options) => {
    const directory = scratch();
    const [from, to] = [join(directory, 'from'), join(directory, 'to', 'file')];
    fs.writeFileSync(from, Buffer.alloc(size, 1));
    fs.mkdirSync(dirnameOf(to));
    const log = join(directory, 'strace');
    const calls =
      'openat,write,pwrite64,writev,pwritev,copy_file_range,sendfile,ioctl,fsync,fdatasync,rename,renameat,renameat2';
    const line = [
      '-f',
      '-y',
      '-s',
      '0',
      '-o',
      log,
      '-e',
      `trace=${calls}`,
      BRIDLE,
      'cp',
      '--quiet',
      ...options,
      from,
      to,
    ];
    const { status, stderr } = spawnSync('strace', line, { encoding: 'utf8' });
    expect(`${stderr}${status}`).toContain('0');
    const steps = fs
      .readFileSync(log, 'utf8')
      .split('\n')
      .flatMap((text) => stepOf(text, directory));
    const order = steps.filter((step, index) => step !== steps[index - 1]);
    expect(order).toEqual(['write', 'fsync file', 'rename', 'fsync directory']);
  });

  function dirnameOf(path: string): string {
    return path.slice(0, path.lastIndexOf('/'));
  }

  /** What one line of strace means for the destination. A call that another thread interrupts stands in two lines. */
  function stepOf(text: string, directory: string): string[] {
    const to = join(directory, 'to');
    const partial = `<${join(to, '.bridle-')}`;
    const call = /^\d+ +(\w+)\(/.exec(text)?.[1] ?? '';
    if (/^rename/.test(call) && text.includes(`"${join(to, 'file')}"`)) return ['rename'];
    if (/sync$/.test(call) && text.includes(`<${to}>`)) return ['fsync directory'];
    if (!text.includes(partial) || text.includes('.journal>')) return [];
    if (/^p?write|^copy_file_range|^sendfile/.test(call)) return ['write'];
    return /sync$/.test(call) ? ['fsync file'] : [];
  }
});

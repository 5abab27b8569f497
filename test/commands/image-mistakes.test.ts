import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { putImage } from '../../fixtures/misbehaving/registry.ts';
import { makeImage, tarOf, writeImage } from '../image/busybox-image.ts';
import { makeSif } from '../image/made-sif.ts';
import { closeScene, registry } from '../image/scene.ts';
import { bridle } from './run-command.ts';

const HELP = 'hint: bridle help image\n';
const WRITERS =
  'hint: `docker save`, `podman save`, `apptainer pull` and `bridle image pull` write files that hold an image\n';
const EMPTY_DIRECTORY = 'hint: name a new directory, or an empty one\n';
const NO_LAYERS = [tarOf([{ name: 'x', content: Buffer.from('x') }])];

let cwd = '';
let host = '';

beforeAll(async () => {
  const started = await registry();
  host = started.authority;
  putImage(started, { repository: 'a/b', tag: '1' }, NO_LAYERS);
  cwd = mkdtempSync(join(tmpdir(), 'bridle-mistakes-'));
  const write = (name: string, bytes: string | Uint8Array) => writeFileSync(join(cwd, name), bytes);
  await writeImage(makeImage({ layers: NO_LAYERS }), 'hybrid', join(cwd, 'good.tar'));
  const [sif, tar] = [makeSif(Buffer.alloc(1000)), readFileSync(join(cwd, 'good.tar'))];
  write('good.sif', sif);
  write('cut.sif', sif.subarray(0, 20_000));
  write('head.sif', sif.subarray(0, 100));
  write('broken.sif', Buffer.from(sif).fill(0xff, 64, 128));
  for (const name of ['empty.tar', 'empty.sif']) write(name, '');
  for (const name of ['text.tar', 'text.sif']) write(name, 'A letter to the editor.\n'.repeat(100));
  write('cut.tar', tar.subarray(0, 5000));
  write('cut.tar.gz', gzipSync(tar).subarray(0, 300));
  write('other.tar', tarOf([{ name: 'hello', content: Buffer.from('x') }]));
  await writeImage(makeImage({ layers: [Buffer.from('no archive')] }), 'hybrid', join(cwd, 'hollow.tar'));
  for (const name of ['dir', 'filled', 'no-programs']) mkdirSync(join(cwd, name));
  write('filled/x', 'x');
});
afterAll(async () => {
  await closeScene();
  rmSync(cwd, { recursive: true, force: true });
});

async function told(words: string, env: Readonly<Record<string, string>> = {}) {
  const args = words.replaceAll('HOST', host).split(' ');
  const { status, stdout, stderr } = await bridle(['image', ...args], { cwd, env });
  expect([stdout, stderr]).toEqual(['', expect.not.stringContaining('unexpected error')]);
  return { status, stderr: stderr.replaceAll(`${cwd}/`, '').replaceAll(host, 'HOST') };
}

describe('a file that is not what it is taken for', () => {
  test.each([
    ['cut.sif', 'no whole SIF file: its table ends behind the file\n', ''],
    ['head.sif', 'no whole SIF file: it ends at 100\n', ''],
    ['broken.sif', 'no whole SIF file: the size of its table is none\n', ''],
    ['empty.tar', 'the file is empty\n', WRITERS],
    ['empty.sif', 'the file is empty\n', WRITERS],
    ['text.tar', 'it is neither an archive nor a SIF file\n', WRITERS],
    ['text.sif', 'it is neither an archive nor a SIF file\n', WRITERS],
    ['other.tar', 'it has neither `manifest.json` nor `index.json`\n', ''],
    ['cut.tar', 'the archive ends in the middle of a file\n', ''],
    ['cut.tar.gz', 'unpacking gzip: unexpected end of file\n', ''],
    ['dir', 'the directory is no OCI layout: it has no `index.json`\n', ''],
    ['absent.tar', 'stat `absent.tar`: no such file or directory\n', ''],
    ['deep/absent.sif', 'stat `deep/absent.sif`: no such file or directory\n', ''],
  ])('%s is told as it is, with 1, by inspect and verify', async (file, message, hint) => {
    for (const action of ['inspect', 'verify']) {
      const { status, stderr } = await told(`${action} ${file}`);
      expect(status).toBe(1);
      expect(stderr.endsWith(`${message}${hint}`)).toBe(true);
      expect(stderr).not.toContain('bridle help');
    }
  });

  test.each([
    'convert cut.sif sandbox:box',
    'convert hollow.tar sandbox:box',
    'convert hollow.tar x.sif',
    'convert cut.tar.gz x.tar',
    'push cut.sif oras://HOST/a/sif:1',
    'push text.tar HOST/a/text:1',
  ])('is no wrong usage (%s)', async (words) => {
    const { status, stderr } = await told(words);
    expect([status, stderr]).toEqual([1, expect.not.stringContaining('bridle help')]);
    expect(readdirSync(cwd).filter((name) => /^(?:box|x\.|\.bridle)/.test(name))).toEqual([]);
  });
});

describe('a name that is of another kind than expected', () => {
  test.each([
    [
      'convert docker://HOST/a/b:1 x.tar',
      'expected a file that holds an image',
      'hint: `bridle image pull` keeps it',
    ],
    [
      'push docker://me:secret@HOST/a/b:1 HOST/c',
      '`docker://HOST/a/b:1`: expected a file',
      'hint: `bridle image pull`',
    ],
    [
      'convert good.tar docker://me:secret@HOST/c',
      '`docker://***@HOST/c`: expected a file',
      'hint: `bridle image push FILE NAME`',
    ],
    [
      'pull HOST/a/b:1 library://a/b/c',
      'expected a file, got the name',
      'hint: `bridle image push FILE NAME`',
    ],
    ['pull --platform sparc HOST/a/b:1', '--platform: expected a platform such as', HELP],
    ['pull --format zip HOST/a/b:1', '--format: expected hybrid, ', HELP],
    ['pull HOST/A/b', 'expected a repository in lower case, got `A/b`', HELP],
    ['pull', 'expected the name of an image, and perhaps a file', HELP],
  ])('%s ends with 2', async (words, message, hint) => {
    const { status, stderr } = await told(words);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).toContain(hint);
    expect(stderr).not.toContain('secret');
    expect(readdirSync(cwd).filter((name) => /:|^x\./.test(name))).toEqual([]);
  });

  test('`sif:` before a file says what it is, as it does of what is made', async () => {
    const { status, stdout } = await bridle(['image', 'verify', 'sif:good.sif'], { cwd });
    expect([status, stdout]).toEqual([0, expect.stringContaining('sha256:')]);
  });

  test('an image that is compared with a SIF file is told to stand behind it', async () => {
    const { status, stderr } = await told('verify good.tar good.sif');
    expect([status, stderr]).toEqual([1, expect.stringContaining('\nhint: name the SIF file first')]);
  });
});

describe('a place that takes nothing', () => {
  test.each([
    ['pull HOST/a/b:1 good.tar/x.tar', '`good.tar/x.tar`: a part of the path is not a directory\n', ''],
    ['pull HOST/a/b:1 oci:filled', 'the directory holds something else than an image\n', EMPTY_DIRECTORY],
    ['pull HOST/a/b:1 sandbox:filled', 'it is no empty directory\n', EMPTY_DIRECTORY],
    [
      'convert good.tar sandbox:good.sif',
      'extracting into `good.sif`: it is no empty directory\n',
      EMPTY_DIRECTORY,
    ],
    ['convert good.tar dir', 'expected a file name, got a directory\n', ''],
  ])('%s', async (words, message, hint) => {
    const { status, stderr } = await told(words);
    expect(status).toBe(1);
    expect(stderr.endsWith(`${message}${hint}`)).toBe(true);
  });

  test('a SIF file without a program that makes one', async () => {
    const { status, stderr } = await told('convert good.tar x.sif', { PATH: join(cwd, 'no-programs') });
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /none of tar2sqfs, mksquashfs is in PATH\nhint: install Debian's `squashfs-tools-ng`/,
    );
  });
});

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { layoutFiles } from '../../src/image/archive/members.ts';
import { makeImage, tarOf, writeImage } from '../image/busybox-image.ts';
import { makeSif } from '../image/made-sif.ts';
import { bridle, ended, scratch, start } from './run-command.ts';

const NAMES = ['docker.io/test/one:1', 'docker.io/test/two:2'] as const;
const image = (name: string) =>
  makeImage({ name, layers: [tarOf([{ name: 'which', content: Buffer.from(name) }])] });

let cwd = '';
let tmp = '';
let env: Record<string, string> = {};

beforeEach(async () => {
  cwd = scratch();
  tmp = join(cwd, 'tmp');
  mkdirSync(tmp);
  env = { TMPDIR: tmp };
  await writeImage(image(NAMES[0]), 'hybrid', join(cwd, 'one.tar'));
});

const run = (...args: string[]) => bridle(['image', ...args], { cwd, env });

/** An archive of both, as `docker save a b` writes one; `forDocker` has no index. */
function writeBoth(path: string, isForDocker: boolean): void {
  const made = NAMES.map(image);
  const entries = made.map(({ name, config, layers }) => ({
    Config: blob(config.descriptor.digest),
    RepoTags: [name],
    Layers: layers.map(({ descriptor }) => blob(descriptor.digest)),
  }));
  const manifests = made.flatMap((one) => {
    const file = layoutFiles(one).find(({ name }) => name === 'index.json');
    return JSON.parse(Buffer.from(file?.content as Uint8Array).toString()).manifests;
  });
  const tars = NAMES.map((name) => tarOf([{ name: 'which', content: Buffer.from(name) }]));
  const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests };
  const members = [
    { name: 'manifest.json', content: Buffer.from(JSON.stringify(entries)) },
    ...(isForDocker ? [] : [{ name: 'index.json', content: Buffer.from(JSON.stringify(index)) }]),
    ...made.flatMap(({ config, manifest, layers }, at) => [
      { name: blob(config.descriptor.digest), content: config.bytes },
      { name: blob(manifest.descriptor.digest), content: manifest.bytes },
      { name: blob(layers[0]!.descriptor.digest), content: gzipSync(tars[at]!) },
    ]),
  ];
  writeFileSync(path, tarOf(members));
}

const blob = (digest: string) => `blobs/${digest.replace(':', '/')}`;

describe('an archive of several images', () => {
  test.each([
    ['docker-archive', true],
    ['oci-archive', false],
  ] as const)('as %s gives the one that is named, or that stands at a place', async (kind, isForDocker) => {
    writeBoth(join(cwd, 'both.tar'), isForDocker);
    for (const [which, expected] of [
      [NAMES[1], NAMES[1]],
      ['test/two:2', NAMES[1]],
      ['@0', NAMES[0]],
      ['@1', NAMES[1]],
    ]) {
      const told = await run('inspect', '--json', `${kind}:both.tar:${which}`);
      expect([told.status, told.stderr]).toEqual([0, '']);
      expect(JSON.parse(told.stdout).name).toBe(expected);
    }
    const made = await run('convert', `${kind}:${join(cwd, 'both.tar')}:${NAMES[1]}`, 'sandbox:box');
    expect(made).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'box/which'), 'utf8')).toBe(NAMES[1]);
  });

  test.each([true, false])(
    'B6 is refused without a name, and with a wrong one, and what is in it told',
    async (isForDocker) => {
      writeBoth(join(cwd, 'both.tar'), isForDocker);
      const kind = isForDocker ? 'docker-archive' : 'oci-archive';
      for (const [name, reason] of [
        ['both.tar', 'it has 2 images, and one has to be named'],
        [`${kind}:both.tar:test/three`, 'it has no image `test/three`'],
        [`${kind}:both.tar:@2`, 'it has no image `@2`'],
      ] as const) {
        const { status, stderr } = await run('inspect', name);
        expect(status).toBe(1);
        expect(stderr).toContain(reason);
        expect(stderr).toContain(`it has ${NAMES[0]} (@0), ${NAMES[1]} (@1)`);
      }
      const { status, stderr } = await run('inspect', `${kind}:both.tar:@x`);
      expect([status, stderr]).toEqual([2, expect.stringContaining('expected `NAME[:TAG]` or `@INDEX`')]);
    },
  );

  test('is no matter of a file with a colon in its name', async () => {
    await writeImage(image(NAMES[0]), 'hybrid', join(cwd, 'a:b.tar'));
    for (const name of ['docker-archive:a:b.tar', `oci-archive:a:b.tar:${NAMES[0]}`, './a:b.tar']) {
      expect(await run('verify', name)).toMatchObject({ status: 0 });
    }
  });
});

describe('an archive that is compressed as a whole', () => {
  test.each([
    ['gzip', 'gz'],
    ['zstd', 'zst'],
    ['bzip2', 'bz2'],
    ['xz', 'xz'],
  ])('by %s is unpacked below TMPDIR, told, and removed there', async (program, end) => {
    const bytes = execFileSync(program, ['-c', join(cwd, 'one.tar')]);
    writeFileSync(join(cwd, `one.tar.${end}`), bytes);
    const verified = await run('verify', `one.tar.${end}`, './one.tar');
    expect(verified).toMatchObject({ status: 0 });
    expect(verified.stderr).toMatch(new RegExp(`^one.tar.${end}: unpacked from ${program} below TMPDIR, `));
    const converted = await run('convert', '--quiet', `one.tar.${end}`, 'again.tar');
    expect(converted).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(readFileSync(join(cwd, 'again.tar')).equals(readFileSync(join(cwd, 'one.tar')))).toBe(true);
    // Cut, it becomes nothing.
    writeFileSync(join(cwd, `cut.tar.${end}`), bytes.subarray(0, bytes.length - 20));
    const cut = await run('convert', `cut.tar.${end}`, 'cut.tar');
    expect(cut.status).not.toBe(0);
    expect(cut.stderr).toContain('unpacking the archive');
    expect(readdirSync(cwd)).not.toContain('cut.tar');
    expect(readdirSync(tmp)).toEqual([]);
  });

  test('S7 that is no archive is refused at its first block, and one that inflates without end at its bound', async () => {
    writeFileSync(join(cwd, 'zeros.gz'), gzipSync(Buffer.alloc(50_000_000)));
    const { status, stderr } = await run('inspect', 'zeros.gz');
    expect([status, stderr]).toEqual([1, expect.stringContaining('what is in it is no tar archive')]);
    expect(readdirSync(tmp)).toEqual([]);
  });

  test('by a program that is not there says what to install', async () => {
    writeFileSync(join(cwd, 'one.tar.xz'), execFileSync('xz', ['-c', join(cwd, 'one.tar')]));
    const told = await bridle(['image', 'inspect', 'one.tar.xz'], { cwd, env: { ...env, PATH: cwd } });
    expect(told.status).toBe(1);
    expect(told.stderr).toContain('`xz` is not in PATH');
    expect(told.stderr).toContain('apt-get install xz-utils');
  });
});

/** A server of files below `cwd`, which takes files, too; the first answers to a GET break off. */
async function serveFiles(breaks = 0): Promise<{ url: string; asked: string[]; close(): Promise<void> }> {
  const asked: string[] = [];
  let left = breaks;
  const server: Server = createServer((request, response) => {
    const path = join(cwd, decodeURIComponent(request.url ?? ''));
    asked.push(`${request.method} ${request.url}`);
    if (request.method === 'PUT') {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        writeFileSync(path, Buffer.concat(chunks));
        response.writeHead(201).end();
      });
      return;
    }
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch {
      response.writeHead(404).end();
      return;
    }
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const headers = { 'content-length': bytes.length - start, etag: '"1"', 'accept-ranges': 'bytes' };
    if (request.headers.range === undefined) response.writeHead(200, headers);
    else {
      const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
      response.writeHead(206, { ...headers, 'content-range': range });
    }
    if (request.method === 'HEAD') response.end();
    else if (left > 0) {
      left -= 1;
      response.write(bytes.subarray(start, start + 700), () => response.destroy());
    } else response.end(bytes.subarray(start));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
  closing.push(async () => {
    server.closeAllConnections();
    await close();
  });
  return { url: `http://127.0.0.1:${port}`, asked, close };
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

describe('an image file at a URL', () => {
  test('P4 P9 is fetched, gone on with where it broke off, read as a file, and gone from TMPDIR then', async () => {
    const { url, asked } = await serveFiles(1);
    const told = await run('verify', `${url}/one.tar`, 'one.tar');
    expect([told.status, told.stderr]).toEqual([0, '']);
    expect(told.stdout).toContain(`${url}/one.tar: sha256:`);
    expect(asked.filter((line) => line.startsWith('GET')).length).toBeGreaterThan(1);
    const named = await run('inspect', '--json', `docker-archive:${url}/one.tar:${NAMES[0]}`);
    expect(JSON.parse(named.stdout)).toMatchObject({ name: NAMES[0], keptAs: 'docker-archive' });
    const converted = await run('convert', `${url}/one.tar`, 'sandbox:box');
    expect(converted).toMatchObject({ status: 0 });
    expect(readFileSync(join(cwd, 'box/which'), 'utf8')).toBe(NAMES[0]);
    const local = await run('verify', `file://${join(cwd, 'one.tar')}`);
    expect(local).toMatchObject({ status: 0 });
    expect(readdirSync(tmp)).toEqual([]);
  });

  test('S8 must have the digest that is listed for it, and comes through the cache then', async () => {
    const { url, asked } = await serveFiles();
    const sums = execFileSync('sha256sum', ['one.tar'], { cwd, encoding: 'utf8' });
    writeFileSync(join(cwd, 'SUMS'), sums);
    const options = ['--checksums', 'SUMS', '--cache', 'cache'];
    expect(await run('verify', ...options, `${url}/one.tar`)).toMatchObject({ status: 0 });
    const first = asked.filter((line) => line.startsWith('GET')).length;
    expect(await run('verify', ...options, `${url}/one.tar`)).toMatchObject({ status: 0 });
    expect(asked.filter((line) => line.startsWith('GET')).length).toBe(first);
    writeFileSync(join(cwd, 'SUMS'), sums.replace(/^\S{8}/, '00000000'));
    const wrong = await run('verify', '--checksums', 'SUMS', `${url}/one.tar`);
    expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining('sha256')]);
    expect(readdirSync(tmp)).toEqual([]);
  });

  test('P10 that is not there is told without its login', async () => {
    const { url } = await serveFiles();
    const secret = url.replace('//', '//user:hidden@');
    const { status, stdout, stderr } = await run('inspect', `${secret}/absent.tar`);
    expect([status, stderr]).toEqual([1, expect.stringContaining('not found')]);
    expect(stdout + stderr).not.toContain('hidden');
  });

  test('may be what is made, which is sent once it is whole', async () => {
    const { url } = await serveFiles();
    const told = await run('convert', 'one.tar', `oci-archive:${url}/sent.tar`);
    expect([told.status, told.stderr]).toEqual([0, '']);
    expect(told.stdout).toContain(`→ oci-archive:${url}/sent.tar (oci-archive)`);
    expect(await run('verify', 'sent.tar', './one.tar')).toMatchObject({ status: 0 });
    expect(readdirSync(tmp)).toEqual([]);
  });

  test.each([
    ['convert', 'one.tar', 'oci:https://host/x'],
    ['convert', 'one.tar', 'sandbox:https://host/x'],
    ['inspect', 'oci:s3://bucket/layout'],
  ])('cannot be a directory (%s %s %s)', async (...args) => {
    const { status, stderr } = await run(...args.filter((arg) => arg !== undefined));
    expect([status, stderr]).toEqual([2, expect.stringContaining('expected a directory of this machine')]);
  });

  test('P8 that is silent leaves nothing when the command is told to end', async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-length': 100_000 });
      response.write('x'.repeat(1000));
      child.kill('SIGTERM');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/silent.tar`;
    const child = start(['image', 'inspect', url], { cwd, env });
    const { status } = await ended(child);
    server.closeAllConnections();
    server.close();
    expect(status).toBe(143);
    expect(readdirSync(tmp)).toEqual([]);
  });
});

describe('a SIF file', () => {
  test('is told of, compared with what it was made of, and unpacked without what lends power', async () => {
    const tar = tarOf([
      { name: 'bin/', type: 'directory' },
      { name: 'bin/su', mode: 0o4755, content: Buffer.from('su') },
      { name: 'out', type: 'symlink', link: '/etc/passwd' },
    ]);
    const config = { Labels: { maintainer: 'nobody' }, Env: ['A=1'] };
    await writeImage(makeImage({ layers: [tar], config }), 'hybrid', join(cwd, 'a.tar'));
    expect(await run('convert', 'a.tar', 'a.sif')).toMatchObject({ status: 0 });
    const { stdout } = await run('inspect', 'a.sif');
    for (const part of [
      /^kept as +sif$/m,
      /^processor +amd64$/m,
      /^partition +squashfs, .*, gzip, \d+ inodes$/m,
      /^signatures +none$/m,
      /^runscript +there$/m,
      /^variables +10-docker2singularity.sh, /m,
      /^label +maintainer: nobody$/m,
      /^made by +bootstrap: docker$/m,
    ]) {
      expect(stdout).toMatch(part);
    }
    const json = JSON.parse((await run('inspect', '--json', 'a.sif')).stdout);
    expect(json).toMatchObject({
      keptAs: 'sif',
      architecture: 'amd64',
      labels: { maintainer: 'nobody' },
      signatures: { count: 0, checked: false },
      configuration: { config },
    });
    const verified = await run('verify', 'a.sif', 'a.tar');
    expect(verified.stdout).toContain('3 objects');
    expect(verified.stdout).toContain('whole, made of the same image as a.tar');
    const other = await run('verify', 'a.sif', './one.tar');
    expect([other.status, other.stderr]).toEqual([1, expect.stringContaining('`./one.tar` is `sha256:')]);
    const refused = await run('convert', 'a.sif', 'b.tar');
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('no layers')]);
  });

  test.each(['sqfs2tar', 'unsquashfs'])(
    'S6 S7 becomes a sandbox by %s, nothing left of what is not',
    async (program) => {
      const tar = tarOf([
        { name: 'bin/', type: 'directory', mode: 0o755 },
        { name: 'bin/su', mode: 0o4755, content: Buffer.from('su') },
        { name: 'out', type: 'symlink', link: '/etc/passwd' },
        { name: 'null', type: 'character', major: 1, minor: 3 },
      ]);
      await writeImage(makeImage({ layers: [tar] }), 'hybrid', join(cwd, 'a.tar'));
      expect(await run('convert', 'a.tar', 'a.sif')).toMatchObject({ status: 0 });
      const bin = join(cwd, 'programs');
      mkdirSync(bin);
      symlinkSync(execFileSync('which', [program], { encoding: 'utf8' }).trim(), join(bin, program));
      const only = { cwd, env: { ...env, PATH: bin } };
      const told = await bridle(['image', 'convert', 'a.sif', 'sandbox:box'], only);
      expect([told.status, told.stderr]).toEqual([0, expect.stringContaining('setuid bits not taken over')]);
      expect(statSync(join(cwd, 'box/bin/su')).mode & 0o7777).toBe(0o755);
      expect(readdirSync(join(cwd, 'box')).sort()).toContain('out');
      expect(readdirSync(join(cwd, 'box'))).not.toContain('null');
      const again = await bridle(['image', 'convert', 'a.sif', 'sandbox:box'], only);
      expect([again.status, again.stderr]).toEqual([1, expect.stringContaining('no empty directory')]);
      // A squashfs that is broken inside its bounds.
      const bytes = readFileSync(join(cwd, 'a.sif'));
      bytes.fill(0x55, 32_768 + 96);
      writeFileSync(join(cwd, 'broken.sif'), bytes);
      const broken = await bridle(['image', 'convert', 'broken.sif', 'sandbox:none'], only);
      expect(broken.status).not.toBe(0);
      expect(readdirSync(cwd).filter((name) => /none/.test(name))).toEqual([]);
    },
  );

  test('that is cut, or whose parts overlap, is refused', async () => {
    const whole = makeSif(Buffer.alloc(5000, 1));
    writeFileSync(join(cwd, 'cut.sif'), whole.subarray(0, whole.length - 1));
    const overlapping = Buffer.from(whole);
    // Its only object over the table of objects (offset, at 17 of the descriptor at 4096).
    overlapping.writeBigInt64LE(5000n, 4096 + 17);
    writeFileSync(join(cwd, 'overlapping.sif'), overlapping);
    for (const [name, reason] of [
      ['cut.sif', 'ends behind the file'],
      ['overlapping.sif', 'its table and object 1 overlap'],
    ] as const) {
      for (const action of ['inspect', 'verify']) {
        const { status, stderr } = await run(action, name);
        expect([status, stderr]).toEqual([1, expect.stringContaining(reason)]);
      }
    }
    const box = await run('convert', 'cut.sif', 'sandbox:box');
    expect([box.status, readdirSync(cwd).includes('box')]).toEqual([1, false]);
  });

  test('without a program that unpacks it says what to install', async () => {
    await writeImage(makeImage({ layers: [tarOf([])] }), 'hybrid', join(cwd, 'a.tar'));
    expect(await run('convert', 'a.tar', 'a.sif')).toMatchObject({ status: 0 });
    const told = await bridle(['image', 'convert', 'a.sif', 'sandbox:box'], {
      cwd,
      env: { ...env, PATH: cwd },
    });
    expect(told.status).toBe(1);
    expect(told.stderr).toContain('none of sqfs2tar, unsquashfs is in PATH');
    expect(told.stderr).toContain('apt-get install squashfs-tools');
    const looked = await bridle(['image', 'inspect', 'a.sif'], { cwd, env: { ...env, PATH: cwd } });
    expect(looked.stdout).toContain('`unsquashfs` is not in PATH');
  });
});

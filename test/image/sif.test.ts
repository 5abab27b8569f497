import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import { flatten } from '../../src/image/layers/flatten.ts';
import { additions } from '../../src/image/sif/additions.ts';
import { readSif } from '../../src/image/sif/read.ts';
import { environmentScript, runConfiguration, runScript } from '../../src/image/sif/scripts.ts';
import { writeSif } from '../../src/image/sif/write.ts';
import { scratch } from '../commands/run-command.ts';
import { readAll } from './archives.ts';
import { layer } from './layer.ts';
import { imageOf } from './made-image.ts';

const { signal } = new AbortController();

let cwd = '';

beforeEach(() => {
  cwd = scratch();
});

const configured = (config: object) => runConfiguration(Buffer.from(JSON.stringify({ config })));

function sh(
  script: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): string {
  const { stdout, stderr, status } = spawnSync('/bin/sh', ['-s', '--', ...args], {
    input: script,
    env: { ...env },
  });
  expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: '' });
  return stdout.toString();
}

describe('what an image says of running it', () => {
  const show = ['printf', '<%s>'];

  test.each([
    [{ Cmd: [...show, 'a'] }, [], '<a>'],
    [{ Entrypoint: show, Cmd: ['a', 'b'] }, [], '<a><b>'],
    [{ Entrypoint: show, Cmd: ['a', 'b'] }, ['x y', ''], '<x y><>'],
    [{ Entrypoint: [...show, '-'], Cmd: null }, ['x'], '<-><x>'],
    [{ Cmd: ['false'] }, [...show, 'x'], '<x>'],
    [{}, [...show, 'x'], '<x>'],
  ])('is run with arguments in the place of the command: %j %j', (config, args, expected) => {
    expect(sh(runScript(configured(config)), args, { PATH: '/usr/bin:/bin' })).toBe(expected);
  });

  test('S4 is run to the byte, and no shell reads it', () => {
    const word = fc.string({ unit: fc.constantFrom(...'ab \n\'"$`\\(){};&|*?!#~=\t'), maxLength: 12 });
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), word, (words, value) => {
        const script = runScript(configured({ Entrypoint: ['printf', '<%s>'], Cmd: words }));
        expect(sh(script, [], { PATH: '/usr/bin:/bin' })).toBe(words.map((one) => `<${one}>`).join(''));
        const environment = environmentScript(configured({ Env: [`A=${value}`, 'B=x'] }));
        expect(sh(`${environment}printf '<%s>' "$A" "$B"`)).toBe(`<${value}><x>`);
      }),
      { numRuns: 60 },
    );
  });

  test('sets variables that the caller has not, and PATH always', () => {
    const script = environmentScript(
      configured({ Env: ['PATH=/opt/bin', 'A=1', 'B=2', 'E', 'no.name=x', 'F=a=b'] }),
    );
    const caller = { PATH: '/usr/bin', A: 'own', B: '' };
    expect(sh(`${script}printf '%s,' "$PATH" "$A" "$B" "$E" "$F"`, [], caller)).toBe('/opt/bin,own,2,,a=b,');
  });

  test("has values between double quotes: apptainer's shell misreads a quote behind a backslash", () => {
    const script = environmentScript(configured({ Env: ["A=it's", "PATH=/o'k", 'C=$x`y"z\\'] }));
    expect(script).toContain(`A="it's"; fi`);
    expect(script).toContain(`export PATH="/o'k"\n`);
    expect(script).toContain('C="\\$x\\`y\\"z\\\\"; fi');
  });

  test.each([
    ['no JSON', 'reading the configuration of the image: no JSON'],
    ['[]', '`it` is no object'],
    ['{"config":{"Env":"A=1"}}', '`config.Env` is no list of strings'],
    ['{"config":{"Cmd":["a\\u0000b"]}}', '`config.Cmd` is no list of strings'],
    ['{"config":{"Labels":[]}}', '`config.Labels` is no object'],
  ])('is refused when it is of another form: %s', (text, message) => {
    expect(() => runConfiguration(Buffer.from(text))).toThrow(message);
  });
});

test('what is added to an image leaves what it has to mount on, and nothing else', async () => {
  const image = imageOf(
    [
      layer(
        { name: 'etc/hosts', data: 'own' },
        { name: 'tmp', type: 'directory', mode: 0o700 },
        { name: 'run', type: 'directory' },
        { name: 'var', type: 'symlink', link: 'run' },
        { name: '.singularity.d/runscript', data: 'old' },
      ),
    ],
    { Labels: { b: '2', a: '1' } },
  );
  const members = await readAll(flatten(image.layers, signal, { additions: additions(image) }));
  const by = new Map(members.map((member) => [member.name, member]));
  expect(by.get('etc/hosts')?.data).toBe('own');
  expect(by.get('etc/resolv.conf')).toMatchObject({ data: '', mode: 0o644 });
  expect(by.get('tmp/')?.mode).toBe(0o700);
  expect(by.get('run/tmp/')?.mode).toBe(0o1777);
  expect(by.get('var')).toMatchObject({ type: 'symlink' });
  expect(by.get('.singularity.d/runscript')).toMatchObject({
    mode: 0o755,
    data: expect.stringMatching(/^#!\/bin\/sh/),
  });
  expect(by.get('.singularity.d/labels.json')?.data).toBe('{\n\t"a": "1",\n\t"b": "2"\n}\n');
  expect(by.get('.singularity.d/Singularity')?.data).toBe(
    'bootstrap: docker\nfrom: registry.example.org/lab/tool:1.0\n',
  );
  expect(by.get('singularity')).toMatchObject({ link: '.singularity.d/runscript' });
});

test('an image has the script that apptainer sets the variables of the caller behind', async () => {
  const image = imageOf([layer()], {});
  const members = await readAll(flatten(image.layers, signal, { additions: additions(image) }));
  const { mode, data = '' } = members.find(({ name }) => name === '.singularity.d/env/99-base.sh') ?? {};
  expect(mode).toBe(0o755);
  const print = 'printf "%s," "$LD_LIBRARY_PATH" "$PS1"';
  expect(sh(data + print, [], { PS1: '' })).toBe('/.singularity.d/libs,Apptainer> ,');
  expect(sh(data + print, [], { LD_LIBRARY_PATH: '/own', PS1: '$ ' })).toBe('/own:/.singularity.d/libs,$ ,');
});

test('without a program that makes a squashfs it is said what to install, and nothing is left', async () => {
  const made = writeSif(imageOf([layer()]), join(cwd, 'image.sif'), { signal, path: cwd });
  await expect(made).rejects.toMatchObject({
    code: 'unsupported',
    message: 'making a SIF file: none of tar2sqfs, mksquashfs is in PATH',
    hint: expect.stringContaining('apt-get install squashfs-tools-ng'),
  });
  expect(fs.readdirSync(cwd)).toEqual([]);
});

/** A file as the layout says, of one partition that holds `squashfs`. */
function sif(squashfs: Buffer, change: (bytes: Buffer) => void = () => undefined): string {
  const bytes = Buffer.alloc(32_768 + squashfs.length);
  bytes.write('#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0' + '01\0' + '02\0');
  for (const [at, value] of [
    [80, 47],
    [88, 48],
    [96, 4096],
    [104, 28_080],
    [112, 32_176],
  ] as const) {
    bytes.writeUInt32LE(value, at);
  }
  bytes.writeUInt32LE(bytes.length - 32_176, 120);
  bytes.writeUInt32LE(0x4004, 4096);
  bytes[4100] = 1;
  bytes[4101] = 1;
  bytes.writeUInt32LE(32_768, 4113);
  bytes.writeUInt32LE(squashfs.length, 4121);
  bytes.writeUInt32LE(1, 4297);
  bytes.writeUInt32LE(2, 4301);
  squashfs.copy(bytes, 32_768);
  change(bytes);
  const path = join(cwd, 'image.sif');
  fs.writeFileSync(path, bytes);
  return path;
}

/** The first block of a squashfs of nothing. */
function superblock(change: (bytes: Buffer) => void = () => undefined): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.write('hsqs');
  bytes.writeUInt32LE(131_072, 12);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(17, 22);
  bytes.writeUInt16LE(4, 28);
  bytes.writeUInt32LE(300, 40);
  for (const at of [48, 64, 72]) bytes.writeUInt32LE(96, at);
  for (const at of [56, 80, 88]) bytes.fill(0xff, at, at + 8);
  change(bytes);
  return bytes;
}

describe('a SIF file', () => {
  test('is read', async () => {
    expect(await readSif(sif(superblock()))).toMatchObject({
      architecture: 'amd64',
      header: { descriptors: 48, descriptorsFree: 47 },
      objects: [{ id: 1, offset: 32_768, size: 4096, partition: { fileSystem: 1, kind: 2 } }],
      superblock: { compression: 'gzip', blockBytes: 131_072, bytes: 300 },
    });
  });

  test.each<[string, (bytes: Buffer) => void]>([
    ['it does not say that it is one', (bytes) => bytes.write('X', 32)],
    ['its version is not 01', (bytes) => bytes.write('02', 42)],
    ['the size of its table is none', (bytes) => bytes.writeUInt32LE(28_081, 104)],
    ['the size of its table is none', (bytes) => bytes.fill(0xff, 88, 112)],
    ['its table ends behind the file', (bytes) => bytes.writeUInt32LE(10_000, 96)],
    ['its data ends behind the file', (bytes) => bytes.writeUInt32LE(10_000, 120)],
    ['object 1 ends behind the file', (bytes) => bytes.writeUInt32LE(4097, 4121)],
    ['object 1 ends behind the file', (bytes) => bytes.fill(0xff, 4113, 4121)],
    ['it has no primary partition', (bytes) => bytes.writeUInt32LE(3, 4301)],
    ['it has two primary partitions', (bytes) => bytes.copy(bytes, 4096 + 585, 4096, 4096 + 585)],
    ['its primary partition does not begin as a squashfs', (bytes) => bytes.write('sqsh', 32_768)],
    ['its primary partition is no squashfs of version 4.0', (bytes) => bytes.writeUInt16LE(3, 32_796)],
    [
      'its primary partition is compressed by nothing that squashfs knows',
      (bytes) => bytes.writeUInt16LE(9, 32_788),
    ],
    [
      'its primary partition has blocks of a size that squashfs has not',
      (bytes) => bytes.writeUInt16LE(16, 32_790),
    ],
    ['its primary partition is cut: its squashfs is longer', (bytes) => bytes.writeUInt32LE(4097, 32_808)],
    ['its primary partition has a table behind its end', (bytes) => bytes.writeUInt32LE(300, 32_816)],
  ])('is refused when %s', async (message, change) => {
    const path = sif(superblock(), change);
    await expect(readSif(path)).rejects.toMatchObject({
      code: 'invalid-request',
      message: `reading \`${path}\`: no whole SIF file: ${message}`,
    });
  });

  test('is refused when it is cut anywhere, and when there is none', async () => {
    const path = sif(superblock());
    for (const size of [0, 100, 4095, 5000, 32_175, 32_800, 36_863]) {
      fs.truncateSync(path, size);
      await expect(readSif(path)).rejects.toMatchObject({ code: 'invalid-request' });
      sif(superblock());
    }
    await expect(readSif(join(cwd, 'none'))).rejects.toMatchObject({ code: 'not-found' });
  });

  test('is refused or read, whatever bytes it has', async () => {
    const place = fc.oneof(
      fc.nat(127),
      fc.integer({ min: 4096, max: 4400 }),
      fc.integer({ min: 32_768, max: 32_863 }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (changes) => {
          const path = sif(superblock(), (bytes) => {
            for (const [at, byte] of changes) bytes[at] = byte;
          });
          const code = await readSif(path).then(
            () => undefined,
            (error: TransferError) => error.code,
          );
          expect([undefined, 'invalid-request']).toContain(code);
        },
      ),
      { numRuns: 200 },
    );
  });
});

import fs from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import { launchCause } from '../../src/job/launch-error.ts';
import { initialLimits, limitsOf } from '../../src/job/limits.ts';
import { bytes, newFolder, runJob, runScript } from './jobs.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1e6));
const KIB = 1024;

/** Bytes but NUL, the same for the same seed. */
function noise(seed: number, length: number): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (state * 1103515245 + 12345) & 0x7fffffff;
      return 1 + Math.floor((state / 0x80000000) * 255);
    }),
  );
}

let folder: string;

beforeAll(() => {
  folder = newFolder();
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

function plant(name: string, content: Buffer | string, mode = 0o755): string {
  const path = join(folder, name);
  fs.writeFileSync(path, content, { mode });
  return path;
}

describe('a job', () => {
  test(`gets its environment byte for byte: odd names, repeated ones, no UTF-8 (seed ${SEED})`, async () => {
    const environment = [
      'PATH=/usr/bin:/bin',
      'BASH_FUNC_module%%=() {  echo loaded\n}',
      'A B=c d',
      '1=one',
      '=nameless',
      'TWICE=1',
      'TWICE=2',
      'EMPTY=',
      'no equals sign',
      Buffer.concat([Buffer.from('NOISE='), noise(SEED, 5000)]),
    ].map(bytes);
    const { output } = await runJob('/bin/cat', { args: ['/proc/self/environ'], environment });
    expect(output.equals(Buffer.concat(environment.flatMap((entry) => [entry, Buffer.of(0)])))).toBe(true);
  });

  test(`gets its arguments byte for byte, empty ones as well (seed ${SEED})`, async () => {
    const args = ['-n', '/proc/self/cmdline', '', noise(SEED, 300), 'é', ' ', "'"];
    const { output } = await runJob('/bin/sh', { args: ['-c', 'cat /proc/$$/cmdline', ...args.slice(2)] });
    const all = ['/bin/sh', '-c', 'cat /proc/$$/cmdline', ...args.slice(2)].map(bytes);
    expect(output.equals(Buffer.concat(all.flatMap((word) => [word, Buffer.of(0)])))).toBe(true);
  });

  test('gets an argument of 127 KiB, and is refused by name with one of 129 KiB', async () => {
    const long = (size: number) => ['-c', 'printf %s "$1" | wc -c', 'sh', 'x'.repeat(size)];
    const { output } = await runJob('/bin/sh', { args: long(127 * KIB) });
    expect(Number(output)).toBe(127 * KIB);
    const error: TransferError = await runJob('/bin/sh', { args: long(129 * KIB) }).catch((e) => e);
    expect(error).toMatchObject({
      code: 'invalid-request',
      message: 'starting `/bin/sh`: arguments and environment are too long',
      hint: expect.stringContaining('128 KiB'),
    });
    expect(launchCause(error)).toMatchObject({ code: 'E2BIG', errno: constants.errno.E2BIG });
  });

  test('gets an argument list up to the limit of the kernel and not beyond', async () => {
    const words = (count: number) => ['-c', 'echo $#', 'sh', ...Array<string>(count).fill('x'.repeat(99))];
    // Each takes its bytes and a pointer; there may be a quarter of the stack limit, which is 8 MiB or more.
    expect(Number((await runJob('/bin/sh', { args: words(18_000) })).output)).toBe(18_000);
    const error: TransferError = await runJob('/bin/sh', { args: words(600_000) }).catch((e) => e);
    expect(launchCause(error)?.code).toBe('E2BIG');
  });

  test('has the three descriptors that it was given and no other', async () => {
    const extra = fs.openSync('/etc/passwd', 'r');
    const { output } = await runJob('/bin/ls', { args: ['/proc/self/fd'] });
    fs.closeSync(extra);
    // The fourth is the directory that ls reads.
    expect(output.toString()).toBe('0\n1\n2\n3\n');
  });

  test('has every signal at its default and none blocked, in a session of its own', async () => {
    const { pid, output } = await runScript(
      // By the shell itself: while it starts a program, it blocks signals.
      'while read -r line; do case $line in SigBlk*|SigIgn*) echo "$line";; esac; done </proc/$$/status; ps -o sid= -o pgid= $$',
    );
    const [blocked, ignored, ids = ''] = output.toString().split('\n');
    expect([blocked, ignored]).toEqual(['SigBlk:\t0000000000000000', 'SigIgn:\t0000000000000000']);
    expect(ids.trim().split(/ +/).map(Number)).toEqual([pid, pid]);
  });

  test('gets the soft limit of open files that node has raised, and this process keeps its own', async () => {
    const before = limitsOf('self');
    const limits = initialLimits('77');
    const { output } = await runScript('ulimit -S -n; ulimit -H -n', { limits });
    const hard = before.find(({ name }) => name === 'Max open files')?.hard;
    expect(output.toString()).toBe(`77\n${hard ?? 'unlimited'}\n`);
    expect(limitsOf('self')).toEqual(before);
  });

  test('ends with its exit status or its signal', async () => {
    expect((await runScript('exit 7')).status).toBe(7 << 8);
    expect((await runScript('kill -TERM $$')).status & 0x7f).toBe(15);
  });
});

describe('what cannot be started', () => {
  const elf = fs.readFileSync('/bin/true');
  const otherMachine = Buffer.from(elf);
  otherMachine.writeUInt16LE(otherMachine.readUInt16LE(18) === 8 ? 21 : 8, 18);

  test.each([
    ['is not there', () => join(folder, 'nowhere'), 'ENOENT', 'no such file or directory'],
    ['is not executable', () => plant('plain', '#!/bin/sh\n', 0o644), 'EACCES', 'is not executable'],
    ['is a directory', () => folder, 'EACCES', 'is a directory'],
    [
      'is below a file',
      () => join(plant('file', ''), 'x'),
      'ENOTDIR',
      'a part of the path is not a directory',
    ],
    ['is of another machine', () => plant('alien', otherMachine), 'ENOEXEC', 'a binary of another machine'],
    [
      'has no `#!` line',
      () => plant('bare', 'echo hello\n'),
      'ENOEXEC',
      'no program: without a `#!` line, and no binary',
    ],
    ['is empty', () => plant('empty', ''), 'ENOEXEC', 'no program: without a `#!` line, and no binary'],
    [
      'has an interpreter that is not there',
      () => plant('lost', '#!/no/such/thing -x\n'),
      'ENOENT',
      'its interpreter `/no/such/thing` is not there',
    ],
  ])('says so when it %s', async (_, make, code, text) => {
    const path = make();
    const error: TransferError = await runJob(path).catch((e) => e);
    expect(error.message).toBe(`starting \`${path}\`: ${text}`);
    expect(launchCause(error)).toMatchObject({ code, message: expect.stringMatching(/^[A-Z]/) });
  });
});

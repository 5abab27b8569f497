import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { statJson } from '../../src/commands/stat-json.ts';
import { bridle, scratch } from './run-command.ts';

let server: MisbehavingServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe('bridle ls', () => {
  test('L14 prints names as they are when a program reads them, a line each', async () => {
    const cwd = scratch();
    for (const name of ['b', 'a \x1b[31m', '-c']) writeFileSync(join(cwd, name), name);
    expect(await bridle(['ls', '.'], { cwd })).toMatchObject({ status: 0, stdout: '-c\na \x1b[31m\nb\n' });
  });

  test('-r goes below, -l tells more, --json tells all', async () => {
    const cwd = scratch();
    mkdirSync(join(cwd, 'd/e'), { recursive: true });
    writeFileSync(join(cwd, 'd/e/f'), '12345');
    symlinkSync('/', join(cwd, 'root'));
    expect((await bridle(['ls', '-r'], { cwd })).stdout).toBe('d\nd/e\nd/e/f\nroot\n');
    expect((await bridle(['ls', '-lr'], { cwd })).stdout).toMatch(/^- {15}5 \d{4}-\S+Z d\/e\/f$/m);
    const lines = (await bridle(['ls', '-r', '--json', 'd'], { cwd })).stdout.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { name: 'e', type: 'directory' },
      { name: 'e/f', type: 'file', size: 5 },
    ]);
  });

  test('P5 one place that is not there stops no other', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), '');
    const { status, stdout, stderr } = await bridle(['ls', 'nope', 'a'], { cwd });
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'a\n' });
    expect(stderr).toContain('nope`: no such file or directory');
  });

  test('a service that cannot list says so', async () => {
    server = await startMisbehaving();
    const { status, stderr } = await bridle(['ls', `${new URL('/', server.url)}`], { cwd: scratch() });
    expect(status).toBe(1);
    expect(stderr).toContain('cannot list');
  });
});

describe('bridle stat', () => {
  test('tells what a server says of a file', async () => {
    server = await startMisbehaving({ content: { size: 1234 } });
    const { status, stdout } = await bridle(['stat', server.url, '--json'], { cwd: scratch() });
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ name: server.url, type: 'file', size: 1234 });
    expect((await bridle(['stat', server.url], { cwd: scratch() })).stdout).toContain('  size      1234\n');
  });
});

describe('bridle cat', () => {
  test('writes one file after the other', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ content: { size: 2_000_000 } });
    writeFileSync(join(cwd, 'a'), 'first');
    const { status, stdout, stderr } = await bridle(['cat', 'a', server.url, 'a'], { cwd });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.startsWith('first')).toBe(true);
    expect(stdout.endsWith('first')).toBe(true);
  });

  test('F2 a connection that breaks is resumed, and no byte comes twice', async () => {
    server = await startMisbehaving({ content: { size: 3_000_000 }, script: 'F2', at: 1_500_000, times: 1 });
    const { createHash } = await import('node:crypto');
    const { ended, start } = await import('./run-command.ts');
    const child = start(['cat', server.url], { cwd: scratch() });
    const hash = createHash('sha256');
    child.stdout?.on('data', (chunk: Buffer) => hash.update(chunk));
    expect(await ended(child)).toMatchObject({ status: 0 });
    expect(hash.digest('hex')).toBe(server.content().digest('sha256'));
  });

  test('F11 a busy server is asked again before the first byte', async () => {
    server = await startMisbehaving({ content: { size: 10 }, script: 'F11', times: 1 });
    expect(await bridle(['cat', server.url], { cwd: scratch() })).toMatchObject({ status: 0 });
  });

  test('P2 what broke for good is not begun again: its bytes went out already', async () => {
    server = await startMisbehaving({
      content: { size: 400_000 },
      steps: [{ script: 'F18', at: 300_000 }, { script: 'F9' }],
    });
    const { status, stderr } = await bridle(['cat', server.url], { cwd: scratch() });
    expect(status).toBe(1);
    expect(stderr).toMatch(/failed: |canceled: /);
  });
});

describe('bridle mkdir and rm', () => {
  test('mkdir makes parents, and does not mind what is there', async () => {
    const cwd = scratch();
    expect(await bridle(['mkdir', 'a/b/c', 'd'], { cwd })).toMatchObject({ status: 0, stderr: '' });
    expect(await bridle(['mkdir', 'a/b/c'], { cwd })).toMatchObject({ status: 0 });
    expect(existsSync(join(cwd, 'a/b/c'))).toBe(true);
  });

  test('rm removes files, and directories with -r only', async () => {
    const cwd = scratch();
    mkdirSync(join(cwd, 'd/e'), { recursive: true });
    writeFileSync(join(cwd, 'a'), '');
    expect(await bridle(['rm', 'a', 'absent', 'd'], { cwd })).toMatchObject({ status: 1 });
    expect([existsSync(join(cwd, 'a')), existsSync(join(cwd, 'd/e'))]).toEqual([false, true]);
    expect(await bridle(['rm', '-r', 'd'], { cwd })).toMatchObject({ status: 0 });
    expect(existsSync(join(cwd, 'd'))).toBe(false);
  });

  test('rm -r of the root is refused', async () => {
    for (const place of ['/', 'file:///', '/.//', 'https://127.0.0.1:1/']) {
      expect(await bridle(['rm', '-r', place], { cwd: scratch() })).toMatchObject({ status: 2 });
    }
  });
});

test('what a service does not tell has no row, digests included', () => {
  expect(statJson({ type: 'file', digests: [] })).toEqual({ type: 'file' });
  expect(statJson({ type: 'file', digests: [{ algorithm: 'md5', value: 'ab' }] })).toEqual({
    type: 'file',
    digests: { md5: 'ab' },
  });
});

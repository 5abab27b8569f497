import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { bridle, scratch } from './run-command.ts';

const hex = (algorithm: string, text: string | Buffer) => createHash(algorithm).update(text).digest('hex');
const servers: MisbehavingServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** `tree` with files of every awkward name. */
const NAMES = ['plain', 'with space', 'back\\slash', 'new\nline', 'ünï', '-dash', 'quote\'"', '*?['];
function tree(): string {
  const cwd = scratch();
  mkdirSync(join(cwd, 'tree/deep'), { recursive: true });
  for (const name of NAMES) writeFileSync(join(cwd, 'tree/deep', name), name);
  writeFileSync(join(cwd, 'tree/empty'), '');
  return cwd;
}

describe('bridle checksum', () => {
  test('writes what sha256sum reads, for names of every kind', async () => {
    const cwd = tree();
    const { status, stdout, stderr } = await bridle(['checksum', 'tree'], { cwd });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.split('\n')).toHaveLength(NAMES.length + 2);
    const checked = execFileSync('sha256sum', ['-c', '--strict', '-'], { cwd, input: stdout });
    expect(checked.toString().match(/: OK$/gm)).toHaveLength(NAMES.length + 1);
  });

  test('takes several digests in one pass, written as tags', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'hello');
    const { stdout } = await bridle(['checksum', '-a', 'sha256,md5,crc32c', 'a'], { cwd });
    expect(stdout).toBe(
      `SHA256 (a) = ${hex('sha256', 'hello')}\nMD5 (a) = ${hex('md5', 'hello')}\nCRC32C (a) = 9a71bb4c\n`,
    );
  });

  test('digests standard input, and URLs, beside files, in the order given', async () => {
    const cwd = scratch();
    const server = await startMisbehaving({ content: { size: 5_000_000 } });
    servers.push(server);
    writeFileSync(join(cwd, 'a'), 'hello');
    const { status, stdout } = await bridle(['checksum', 'a', server.url, '-', 'a'], { cwd, input: 'stdin' });
    expect(status).toBe(0);
    expect(stdout).toBe(
      `${hex('sha256', 'hello')}  a\n${server.content().digest('sha256')}  ${server.url}\n` +
        `${hex('sha256', 'stdin')}  -\n${hex('sha256', 'hello')}  a\n`,
    );
  });

  test('P5 L6 what cannot be read is named, and stops nothing else', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'hello');
    symlinkSync('nowhere', join(cwd, 'dangling'));
    const { status, stdout, stderr } = await bridle(['checksum', 'gone', '/dev/null', 'dangling', 'a'], {
      cwd,
    });
    expect(status).toBe(1);
    expect(stdout).toBe(`${hex('sha256', 'hello')}  a\n`);
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/gone`: no such file or directory$/),
      'bridle: read `/dev/null`: expected a regular file, got a device',
      expect.stringMatching(/dangling`: no such file or directory$/),
      '',
    ]);
  });

  test('a file of sums is whole or not there, and is not in itself', async () => {
    const cwd = tree();
    expect(await bridle(['checksum', '-o', 'tree/SUMS', 'tree'], { cwd })).toMatchObject({
      status: 0,
      stdout: '',
    });
    const first = readFileSync(join(cwd, 'tree/SUMS'), 'utf8');
    expect(first).not.toContain('SUMS');
    expect((await bridle(['checksum', '-o', 'tree/SUMS', 'tree'], { cwd })).status).toBe(0);
    expect(readFileSync(join(cwd, 'tree/SUMS'), 'utf8')).toBe(first);
    const { status, stderr } = await bridle(['checksum', '-o', 'more', 'tree', 'gone'], { cwd });
    expect(status).toBe(1);
    expect(stderr).toContain('`more` was not written: 1 failed');
    expect(existsSync(join(cwd, 'more'))).toBe(false);
    expect(readdirSync(cwd)).toEqual(['tree']);
  });

  test('names come from a file, too, and are relative to a root', async () => {
    const cwd = tree();
    const names = NAMES.map((name) => `tree/deep/${name}\0`).join('');
    const { status, stdout } = await bridle(
      ['checksum', '--files-from', '-', '-0', '--root', 'tree', '--format', 'json'],
      { cwd, input: names },
    );
    expect(status).toBe(0);
    const { files } = JSON.parse(stdout) as { files: readonly { name: string; digests: unknown }[] };
    expect(files.map(({ name }) => name)).toEqual(NAMES.map((name) => `deep/${name}`));
    expect(files[0]?.digests).toEqual({ sha256: hex('sha256', 'plain') });
  });

  test('F1 F2 a download that breaks off goes on; one that ends early is no digest', async () => {
    const cwd = scratch();
    const broken = await startMisbehaving({ script: 'F2', times: 2, content: { size: 5_000_000 } });
    servers.push(broken);
    expect(await bridle(['checksum', broken.url], { cwd })).toMatchObject({
      status: 0,
      stdout: `${broken.content().digest('sha256')}  ${broken.url}\n`,
    });
  });

  test('F20 a server whose digest is of other bytes is told', async () => {
    const cwd = scratch();
    const server = await startMisbehaving({ script: 'F20', content: { size: 1000 } });
    servers.push(server);
    const { status, stdout, stderr } = await bridle(['checksum', server.url], { cwd });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('the sender declared sha256');
  });

  test('B6 options that make no sense are named', async () => {
    const cwd = scratch();
    for (const [args, text] of [
      [['checksum'], 'expected a path or URL, got nothing'],
      [['checksum', '-a', 'sha3', 'x'], '-a: expected names of sha256'],
      [['checksum', '--format', 'xml', 'x'], '--format: expected sums, bsd'],
      [['checksum', '--format', 'metalink', 'x'], 'can be read, not written'],
    ] as const) {
      const { status, stderr } = await bridle(args, { cwd });
      expect(status).toBe(2);
      expect(stderr).toContain(text);
    }
  });
});

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { bridle, scratch } from './run-command.ts';

const MIB = 1024 * 1024;
const SIZE = 40 * MIB + 77;
const servers: MisbehavingServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** A server, the digests of its file, and a copy of that file. */
async function scene(options: Parameters<typeof startMisbehaving>[0] = {}) {
  const server = await startMisbehaving({ ...options, content: { size: SIZE } });
  servers.push(server);
  const cwd = scratch();
  const good = Buffer.concat([...server.content().blocks()]);
  const path = join(cwd, 'file.bin');
  writeFileSync(path, good, { mode: 0o640 });
  const made = await bridle(['checksum', '--blocks', '-o', 'blocks', 'file.bin'], { cwd });
  expect(made).toEqual({ status: 0, stdout: '', stderr: '' });
  const sha256 = createHash('sha256').update(good).digest('hex');
  return { server, cwd, path, good, sha256 };
}

const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

function damage(path: string, good: Uint8Array, ...at: readonly number[]): void {
  const bytes = Buffer.from(good);
  for (const offset of at) bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
  writeFileSync(path, bytes);
}

describe('bridle repair', () => {
  test('one flipped byte costs one block of traffic, and is told to the byte', async () => {
    const { server, cwd, path, good, sha256 } = await scene();
    damage(path, good, 9 * MIB + 5);
    const { status, stdout, stderr } = await bridle(
      ['repair', '--blocks', 'blocks', server.url, 'file.bin'],
      { cwd },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toBe(
      `${path}: repaired, 1 of 6 blocks, 8.0 MiB of 40.0 MiB fetched\n` +
        `  block 1, bytes ${8 * MIB} to ${16 * MIB - 1}: 1 byte differs, at ${9 * MIB + 5}\n`,
    );
    expect(digestOf(path)).toBe(sha256);
    expect(server.bytesSent()).toBe(8 * MIB);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(readdirSync(cwd).sort()).toEqual(['blocks', 'file.bin']);
  });

  test('a file that was cut, or that is too long, is whole again', async () => {
    const { server, cwd, path, good, sha256 } = await scene();
    truncateSync(path, 33 * MIB);
    expect((await bridle(['repair', '--blocks', 'blocks', server.url, path], { cwd })).status).toBe(0);
    expect(digestOf(path)).toBe(sha256);
    expect(server.bytesSent()).toBe(SIZE - 32 * MIB);
    writeFileSync(path, Buffer.concat([good, Buffer.from('more')]));
    expect((await bridle(['repair', '--blocks', 'blocks', server.url, path], { cwd })).status).toBe(0);
    expect(digestOf(path)).toBe(sha256);
  });

  test('without digests of blocks the source is read for them', async () => {
    const { server, cwd, path, good, sha256 } = await scene();
    damage(path, good, 0, SIZE - 1);
    const { status, stdout } = await bridle(['repair', '--json', server.url, path], { cwd });
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      blocks: 6,
      isRepaired: true,
      damaged: [{ index: 0 }, { index: 5 }],
    });
    expect(digestOf(path)).toBe(sha256);
  });

  test('a dry run only tells, and a good file is left alone', async () => {
    const { server, cwd, path, good } = await scene();
    const before = statSync(path).ino;
    const nothing = await bridle(['repair', '--blocks', 'blocks', server.url, path], { cwd });
    expect(nothing).toMatchObject({ status: 0, stdout: `${path}: nothing is wrong, 6 blocks compared\n` });
    expect(statSync(path).ino).toBe(before);
    damage(path, good, 5);
    const bad = digestOf(path);
    const { status, stdout } = await bridle(['repair', '--dry-run', '--blocks', 'blocks', server.url, path], {
      cwd,
    });
    expect(status).toBe(1);
    expect(stdout).toBe(`${path}: damaged, 1 of 6 blocks\n  block 0, bytes 0 to ${8 * MIB - 1}\n`);
    expect(digestOf(path)).toBe(bad);
    expect(server.bytesSent()).toBe(0);
  });

  test('P1 a source of other content changes nothing', async () => {
    const { cwd, path, good } = await scene();
    damage(path, good, 5);
    const bad = digestOf(path);
    const other = await startMisbehaving({ content: { size: SIZE, seed: 2 } });
    const shorter = await startMisbehaving({ content: { size: SIZE - 1 } });
    servers.push(other, shorter);
    const wrong = await bridle(['repair', '--blocks', 'blocks', other.url, path], { cwd });
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toContain('are not what the digests are of');
    const short = await bridle(['repair', '--blocks', 'blocks', shorter.url, path], { cwd });
    expect(short.status).toBe(1);
    expect(short.stderr).toContain(`the digests are of ${SIZE} bytes`);
    expect(digestOf(path)).toBe(bad);
    expect(readdirSync(cwd).sort()).toEqual(['blocks', 'file.bin']);
  });

  test('B6 what cannot be used is named', async () => {
    const { server, cwd, path } = await scene();
    writeFileSync(join(cwd, 'none'), '{"bridle-checksums": 1, "files": []}');
    for (const [args, status, text] of [
      [['repair', server.url], 2, 'expected SRC and DST, got 1 arguments'],
      [['repair', path, server.url], 1, 'expected a local file'],
      [
        ['repair', '--blocks', 'none', server.url, path],
        2,
        'expected one file of this name, it is not there',
      ],
      [['repair', '--blocks', 'gone', server.url, path], 2, 'no such file'],
    ] as const) {
      const ended = await bridle(args, { cwd });
      expect(ended).toMatchObject({ status, stderr: expect.stringContaining(text) });
    }
  });
});

import { createHash } from 'node:crypto';
import { mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../../fixtures/misbehaving/server.ts';
import { bridle, ended, scratch, start, untilSent } from './run-command.ts';

const MIB = 1024 * 1024;
const SIZE = 40 * MIB + 77;
const servers: MisbehavingServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(options: Parameters<typeof startMisbehaving>[0] = {}) {
  const server = await startMisbehaving({ content: { size: SIZE }, ...options });
  servers.push(server);
  return server;
}

/** As `checksum --blocks` has them, made by hand. */
function blocksOf(bytes: Uint8Array) {
  const sha256: string[] = [];
  for (let at = 0; at < bytes.length; at += 8 * MIB)
    sha256.push(
      createHash('sha256')
        .update(bytes.subarray(at, at + 8 * MIB))
        .digest('hex'),
    );
  return { size: 8 * MIB, sha256 };
}

const filesOf = (path: string) =>
  JSON.parse(readFileSync(path, 'utf8')).files as { name: string; size: number; blocks?: object }[];

function flip(path: string, at: number): void {
  const file = openSync(path, 'r+');
  const [old = 0] = readFileSync(path).subarray(at, at + 1);
  writeSync(file, Buffer.of(old ^ 1), 0, 1, at);
}

describe('cp --blocks', () => {
  test('what a run made is enough to find and mend damage later, with a block of traffic', async () => {
    const server = await serve();
    const cwd = scratch();
    expect(await bridle(['cp', '-q', '--blocks', 'blocks', server.url, 'big'], { cwd })).toMatchObject({
      status: 0,
      stderr: '',
    });
    const good = readFileSync(join(cwd, 'big'));
    expect(filesOf(join(cwd, 'blocks'))).toMatchObject([{ name: 'big', size: SIZE, blocks: blocksOf(good) }]);
    flip(join(cwd, 'big'), 9 * MIB + 5);
    expect(await bridle(['verify', 'blocks'], { cwd })).toMatchObject({
      status: 1,
      stderr: '0 proven, 1 wrong\n',
    });
    const before = server.bytesSent();
    const repaired = await bridle(['repair', '--blocks', 'blocks', server.url, 'big'], { cwd });
    expect(repaired.stdout).toContain(`1 byte differs, at ${9 * MIB + 5}\n`);
    expect(server.bytesSent() - before).toBe(8 * MIB);
    expect(readFileSync(join(cwd, 'big')).equals(good)).toBe(true);
    expect(await bridle(['verify', 'blocks'], { cwd })).toMatchObject({ status: 0 });
  });

  test('where the damage is can be told when the source is gone, and of a file on a service', async () => {
    const server = await serve();
    const cwd = scratch();
    await bridle(['cp', '-q', '--blocks', 'blocks', server.url, 'big'], { cwd });
    flip(join(cwd, 'big'), 17 * MIB);
    await server.close();
    servers.length = 0;
    const args = ['repair', '--dry-run', '--blocks', 'blocks'];
    const here = await bridle([...args, server.url, 'big'], { cwd });
    expect(here).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('damaged, 1 of 6 blocks\n  block 2,'),
    });
    const other = await serve();
    expect(await bridle([...args, 'gone', other.url], { cwd })).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('nothing is wrong, 6 blocks compared'),
    });
    expect(await bridle(['repair', '--blocks', 'blocks', 'big', other.url], { cwd })).toMatchObject({
      status: 1,
    });
  });

  test('many files of a run are told apart, also those of one name', async () => {
    const cwd = scratch();
    for (const name of ['x', 'y']) {
      mkdirSync(join(cwd, 'tree', name), { recursive: true });
      writeFileSync(join(cwd, 'tree', name, 'data'), name.repeat(9 * MIB));
    }
    writeFileSync(join(cwd, 'tree/empty'), '');
    const run = await bridle(['cp', '-q', '-r', '--blocks', 'blocks', 'tree', 'copy'], { cwd });
    expect(run).toMatchObject({ status: 0, stderr: '' });
    const files = filesOf(join(cwd, 'blocks')).sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(files).toMatchObject([
      { name: 'copy/empty', size: 0, blocks: { size: 8 * MIB, sha256: [] } },
      { name: 'copy/x/data', blocks: blocksOf(Buffer.alloc(9 * MIB, 'x')) },
      { name: 'copy/y/data', blocks: blocksOf(Buffer.alloc(9 * MIB, 'y')) },
    ]);
    flip(join(cwd, 'copy/y/data'), 8 * MIB);
    const mended = await bridle(['repair', '--blocks', 'blocks', 'tree/y/data', 'copy/y/data'], { cwd });
    expect(mended).toMatchObject({ status: 0, stdout: expect.stringContaining('repaired, 1 of 2 blocks') });
  });

  test('P4 they are of the whole file when a killed run is gone on with', async () => {
    const server = await serve({ content: { size: 64 * MIB }, rate: 24 * MIB });
    const cwd = scratch();
    const child = start(['cp', '-q', '--blocks', 'blocks', server.url, 'big'], { cwd });
    const end = ended(child);
    child.stdin?.end();
    await untilSent(server, 30 * MIB, end);
    child.kill('SIGKILL');
    await end;
    const args = ['cp', '-q', '--blocks', 'blocks', '--report', 'report', server.url, 'big'];
    expect(await bridle(args, { cwd })).toMatchObject({ status: 0 });
    const [outcome] = JSON.parse(readFileSync(join(cwd, 'report'), 'utf8')).outcomes;
    expect(outcome.resumedFrom).toBeGreaterThan(0);
    expect(filesOf(join(cwd, 'blocks'))).toMatchObject([
      { blocks: blocksOf(readFileSync(join(cwd, 'big'))) },
    ]);
  });

  test('a file whose bytes did not pass through is named as one without', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    await bridle(['cp', '-q', 'a', 'b'], { cwd });
    const again = await bridle(['cp', '-q', '-u', '--blocks', 'blocks', 'a', 'b'], { cwd });
    expect(again.stderr).toBe(
      'warning: `blocks`: no digests of blocks of a file whose bytes did not pass through\n',
    );
    expect(filesOf(join(cwd, 'blocks'))[0]).not.toHaveProperty('blocks');
  });

  test('a dry run of repair tells of bytes behind the end of whole blocks', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), Buffer.alloc(8 * MIB));
    await bridle(['cp', '-q', '--blocks', 'blocks', 'a', 'b'], { cwd });
    writeFileSync(join(cwd, 'b'), Buffer.alloc(8 * MIB + 3));
    rmSync(join(cwd, 'a'));
    expect(await bridle(['repair', '--dry-run', '--blocks', 'blocks', 'a', 'b'], { cwd })).toMatchObject({
      status: 1,
      stdout: expect.stringContaining(`3 bytes too many, from ${8 * MIB} on`),
    });
  });
});

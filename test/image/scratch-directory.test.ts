import { mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findLeftovers } from '../../src/local/leftovers.ts';
import { closeFolders, partialFolderName } from '../../src/local/partials.ts';
import { makeScratchDirectory } from '../../src/local/scratch-directory.ts';
import { writerId } from '../../src/local/writer.ts';
import { never } from '../http/scripted.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bridle-scratch-'));
});
afterEach(async () => {
  await closeFolders();
  await rm(directory, { recursive: true, force: true });
});

/** What a killed process of this machine left: its pid is nobody's. */
function leave(): string {
  const dead = `${writerId().slice(0, 9)}7fffffff-000000000001`;
  const left = join(directory, partialFolderName(), `${'a'.repeat(32)}-${dead}-1.dir`);
  mkdirSync(join(left, 'root'), { recursive: true });
  writeFileSync(join(left, 'root/squashfs'), 'x'.repeat(5000));
  // Of a folder that others could write to nothing is believed.
  const old = new Date(Date.now() - 1000);
  utimesSync(left, old, old);
  return left;
}

describe('a directory that an image is put together in', () => {
  test('is private, and gone with its folder when it is closed', async () => {
    const scratch = await makeScratchDirectory(join(directory, 'image.sif'));
    expect(statSync(scratch.path).mode & 0o777).toBe(0o700);
    writeFileSync(join(scratch.path, 'squashfs'), 'x');
    await scratch.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  test('P9 that a killed run left is removed by the next that makes one beside it', async () => {
    leave();
    const scratch = await makeScratchDirectory(join(directory, 'image.sif'));
    expect(readdirSync(join(directory, partialFolderName()))).toHaveLength(1);
    await scratch.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  test('P9 that a killed run left is found and removed by `clean`, with the bytes in it', async () => {
    const left = leave();
    const found = [];
    for await (const one of findLeftovers(directory, {
      signal: never,
      key: '',
      onProblem: () => undefined,
    })) {
      found.push(one);
    }
    expect(found).toMatchObject([{ kind: 'partial', path: left, size: 5000, isInUse: false }]);
    await found[0]?.remove({ signal: never });
    expect(readdirSync(directory)).toEqual([]);
  });

  test('L13 that a live process works in stays', async () => {
    const scratch = await makeScratchDirectory(join(directory, 'image.sif'));
    await closeFolders();
    const other = await makeScratchDirectory(join(directory, 'image.sif'));
    expect(readdirSync(join(directory, partialFolderName()))).toHaveLength(2);
    await Promise.all([scratch.close(), other.close()]);
    expect(readdirSync(directory)).toEqual([]);
  });
});

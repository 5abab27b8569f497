import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listTree, makeDirectory } from '../../src/local/tree.ts';
import { scratch } from '../faults/scene.ts';

const { signal } = new AbortController();

/** Every entry below as a user that is not root, so that permissions mean something. */
async function listed(directory: string): Promise<string[]> {
  const isRoot = process.getuid?.() === 0;
  const found: string[] = [];
  if (isRoot) process.seteuid?.(65534);
  try {
    for await (const { name, problem } of listTree(directory, { signal, recursive: true })) {
      found.push(problem === undefined ? name : `${name}: ${problem}`);
    }
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
  return found;
}

describe('a tree', () => {
  test('P5 a directory that cannot be read is told by name, and the rest is listed', async () => {
    const directory = scratch();
    for (const name of ['a', 'sealed', 'z']) {
      fs.mkdirSync(join(directory, name));
      fs.writeFileSync(join(directory, name, 'x'), '');
    }
    fs.chmodSync(directory, 0o755);
    fs.chmodSync(join(directory, 'sealed'), 0);
    try {
      const problem = `sealed: list \`${directory}/sealed\`: permission denied`;
      expect(await listed(directory)).toEqual(['a', 'a/x', problem, 'z', 'z/x']);
    } finally {
      fs.chmodSync(join(directory, 'sealed'), 0o755);
    }
  });

  test('P5 one whose top cannot be read is refused', async () => {
    const directory = scratch();
    fs.chmodSync(directory, 0);
    await expect(listed(directory)).rejects.toMatchObject({ code: 'permission-denied' });
  });
});

test('a directory that is made gets the permissions asked for, its parents the usual ones', async () => {
  const path = join(scratch(), 'a/b');
  await makeDirectory(path, { signal, mode: 0o4707, isExact: true });
  await makeDirectory(path, { signal, mode: 0o755, isExact: true });
  expect(fs.statSync(path).mode & 0o7777).toBe(0o707);
  expect(fs.statSync(join(path, '..')).mode & 0o700).toBe(0o700);
});

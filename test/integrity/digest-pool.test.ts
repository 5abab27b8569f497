import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { splitByCost } from '../../src/integrity/digest-cost.ts';
import { digestFile, digestSmall, look } from '../../src/integrity/digest-file.ts';
import { type DigestedFile, digestFiles } from '../../src/integrity/digest-pool.ts';
import type { Algorithm } from '../../src/protocol.ts';

const scratches: string[] = [];
afterEach(() => {
  for (const path of scratches.splice(0)) rmSync(path, { recursive: true, force: true });
});

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'bridle-digests-'));
  scratches.push(path);
  return path;
}

const MIB = 1024 * 1024;
const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('hex');
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('digests of files', () => {
  test.each([0, 1, 255 * 1024, 256 * 1024, 256 * 1024 + 1, 3 * MIB + 7])('of %i bytes', async (size) => {
    const path = join(directory(), 'x');
    const bytes = Buffer.alloc(size, 'bridle');
    writeFileSync(path, bytes);
    const { digests, identity } = await digestFile({ path, algorithms: ['md5', 'sha256'] });
    expect(digests).toEqual([
      { algorithm: 'md5', value: md5(bytes) },
      { algorithm: 'sha256', value: sha256(bytes) },
    ]);
    expect((await digestFile({ path, algorithms: ['sha256'] })).digests).toEqual([digests[1]]);
    expect(identity.size).toBe(size);
  });

  test('P5 come in the order of the list, whatever some of them are', async () => {
    const at = directory();
    mkdirSync(join(at, 'folder'));
    const jobs = Array.from({ length: 700 }, (_, index) => {
      const path = join(at, String(index));
      if (index % 100 === 50) return { path: join(at, 'folder'), algorithms: ['sha256'] as Algorithm[] };
      if (index % 100 !== 99) writeFileSync(path, String(index));
      return { path, algorithms: (index % 2 === 0 ? ['sha256'] : ['md5', 'sha256']) as Algorithm[] };
    });
    let index = 0;
    for await (const { path, result } of digestFiles(jobs)) {
      expect(path).toBe(jobs[index]?.path);
      if (index % 100 === 50) expect(result).toMatchObject({ code: 'invalid-request' });
      else if (index % 100 === 99) expect(result).toMatchObject({ code: 'not-found' });
      else expect(result).toMatchObject({ identity: { size: String(index).length } });
      if (!(result instanceof TransferError)) {
        expect(result.digests.at(-1)?.value).toBe(sha256(Buffer.from(String(index))));
      }
      index += 1;
    }
    expect(index).toBe(700);
  });

  test('of one large file are shared among threads, and of one content', async () => {
    const path = join(directory(), 'x');
    const bytes = Buffer.alloc(20 * MIB, 'bridle');
    writeFileSync(path, bytes);
    const algorithms: Algorithm[] = ['crc32c', 'sha256', 'crc64nvme', 'md5'];
    const { value } = await digestFiles([{ path, algorithms }]).next();
    const result = (value as DigestedFile).result;
    if (result instanceof TransferError) throw result;
    expect(result.digests.map((digest) => digest.algorithm)).toEqual(algorithms);
    expect(result.digests[1]?.value).toBe(sha256(bytes));
    expect(result.digests[3]?.value).toBe(md5(bytes));
  });

  test('L5 a file that changes while it is read has none', async () => {
    const path = join(directory(), 'x');
    writeFileSync(path, Buffer.alloc(200 * MIB));
    const digesting = digestFile({ path, algorithms: ['sha256'] });
    // The first turn that it gives away comes after 64 MiB.
    setImmediate(() => appendFileSync(path, 'more'));
    await expect(digesting).rejects.toMatchObject({ code: 'changed' });
  });

  test('L5 a small file that is no longer what was seen is read once more, with everything asked anew', async () => {
    const path = join(directory(), 'x');
    writeFileSync(path, 'one');
    const seen = look(path);
    if (!seen) throw new Error('expected a file');
    expect(digestSmall({ path, algorithms: ['sha256'] }, seen)).toMatchObject({
      digests: [{ value: sha256(Buffer.from('one')) }],
      size: 3,
    });
    rmSync(path);
    writeFileSync(path, 'two');
    expect(digestSmall({ path, algorithms: ['sha256'] }, seen)).toBeUndefined();
    const { value } = await digestFiles([{ path, algorithms: ['sha256'] }]).next();
    expect((value as DigestedFile).result).toMatchObject({
      digests: [{ value: sha256(Buffer.from('two')) }],
    });
  });

  test('leaving early ends the threads', async () => {
    const at = directory();
    const jobs = Array.from({ length: 600 }, (_, index) => {
      writeFileSync(join(at, String(index)), String(index));
      return { path: join(at, String(index)), algorithms: ['sha256'] as Algorithm[] };
    });
    const seen: string[] = [];
    for await (const { path } of digestFiles(jobs)) {
      seen.push(path);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(jobs.slice(0, 3).map(({ path }) => path));
  });
});

describe('sharing digests among threads', () => {
  test('puts the dearest apart, and no more groups than digests', () => {
    expect(splitByCost(['sha256', 'md5', 'crc32c', 'crc64nvme'], 2)).toEqual([
      ['md5'],
      ['crc64nvme', 'sha256', 'crc32c'],
    ]);
    expect(splitByCost(['sha256'], 8)).toEqual([['sha256']]);
    expect(splitByCost(['sha256', 'md5'], 1)).toEqual([['md5', 'sha256']]);
  });
});

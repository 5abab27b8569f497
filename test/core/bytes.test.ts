import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { compareDigests, startDigest } from '../../src/integrity/digests.ts';
import { createHasher } from '../../src/integrity/hasher.ts';
import { type PrefixDigest, proveBlocks } from '../../src/integrity/prefix.ts';
import {
  gradeDestination,
  gradeSource,
  requireDigests,
  wantedAlgorithms,
} from '../../src/integrity/verification.ts';
import { openJournal, readJournal } from '../../src/journal.ts';
import type { Algorithm, Bytes, Endpoint, Source } from '../../src/protocol.ts';
import { giveBack, hold, holdShared, letGo, SLAB_BYTES, takeSlab, takeSlabFor } from '../../src/slabs.ts';
import { fault, hash, resume, throttle } from '../../src/stages.ts';
import { MIB, scratch, sha256 } from '../faults/scene.ts';

const SEED = Number(process.env.SEED ?? 20260101);
const never = new AbortController().signal;

async function* chunksOf(content: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function collect(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('resuming a read', () => {
  const content = Buffer.alloc(10 * MIB, 'abcdefgh');

  /** An endpoint whose reads each yield so many bytes and then break; `Infinity` for one that does not. */
  function breaking(lengths: number[], make: (source: Source, start: number) => Source = (source) => source) {
    const starts: number[] = [];
    const open = (start: number): Source => {
      const length = lengths.shift() ?? 0;
      starts.push(start);
      async function* bytes() {
        const end = Math.min(content.length, start + length);
        yield* chunksOf(content.subarray(start, end), 64 * 1024);
        if (end < content.length) throw new TransferError('unavailable', 'broken off');
      }
      return make({ type: 'file', size: content.length, version: 'v1', bytes: bytes() }, start);
    };
    const from = {
      service: 'test',
      stat: async () => ({ type: 'file' as const }),
      read: async (_path: string, call: Parameters<Endpoint['read']>[1]) => {
        expect(call.version).toBe('v1');
        return open(call.range?.start ?? 0);
      },
    } satisfies Endpoint;
    const options = { from, path: 'x', start: 0, signal: never, onContinue: () => undefined };
    return { first: () => open(0), options, starts };
  }

  test('P4 goes on where it broke, until it is whole', async () => {
    const { first, options, starts } = breaking([3 * MIB, 2 * MIB, Number.POSITIVE_INFINITY]);
    expect((await collect(resume(first(), options))).equals(content)).toBe(true);
    expect(starts).toEqual([0, 3 * MIB, 5 * MIB]);
  });

  test('P7 five resumes that gain less than a mebibyte end it, gains in between start the count anew', async () => {
    const few = 1000;
    const { first, options, starts } = breaking([few, few, few, few, 2 * MIB, few, few, few, few, few, few]);
    await expect(collect(resume(first(), options))).rejects.toMatchObject({ code: 'unavailable' });
    expect(starts).toHaveLength(10);
  });

  test('a source without a version is not resumed', async () => {
    const { first, options, starts } = breaking([MIB, MIB], (source) => ({ ...source, version: undefined }));
    await expect(collect(resume(first(), options))).rejects.toMatchObject({ code: 'unavailable' });
    expect(starts).toHaveLength(1);
  });

  test('a source that is another size the second time has changed', async () => {
    const { first, options } = breaking([MIB, MIB], (source, start) =>
      start === 0 ? source : { ...source, size: content.length + 1 },
    );
    await expect(collect(resume(first(), options))).rejects.toMatchObject({ code: 'changed' });
  });

  test('a failure that has nothing to do with the connection is not resumed', async () => {
    async function* bytes() {
      yield new Uint8Array(10);
      throw new TransferError('size-mismatch', 'more than declared');
    }
    const { options, starts } = breaking([]);
    const source: Source = { type: 'file', size: 20, version: 'v1', bytes: bytes() };
    await expect(collect(resume(source, options))).rejects.toMatchObject({ code: 'size-mismatch' });
    expect(starts).toEqual([]);
  });

  test('a body that ends early without an error is no end', async () => {
    const { options, starts } = breaking([Number.POSITIVE_INFINITY]);
    const source: Source = {
      type: 'file',
      size: content.length,
      version: 'v1',
      bytes: chunksOf(content.subarray(0, MIB)),
    };
    expect((await collect(resume(source, options))).length).toBe(content.length);
    expect(starts).toEqual([MIB]);
  });

  test('P9 leaving early ends the source', async () => {
    let ended = false;
    async function* bytes() {
      try {
        for (;;) yield new Uint8Array(10);
      } finally {
        ended = true;
      }
    }
    const { options } = breaking([]);
    const source: Source = { type: 'file', size: 1000, version: 'v1', bytes: bytes() };
    for await (const _ of resume(source, options)) break;
    expect(ended).toBe(true);
  });
});

describe('stages', () => {
  test(`hashing tells the digest of each whole block, however the chunks fall (seed ${SEED})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 5000 }),
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 0, max: 999 }),
        async (length, chunk, start) => {
          const content = Buffer.alloc(start + length, 'hash me');
          const hasher = await createHasher(['sha256'], 1);
          await hasher.update(content.subarray(0, start));
          const blocks: PrefixDigest[] = [];
          const bytes = hash(chunksOf(content.subarray(start), chunk), hasher, {
            start,
            blockBytes: 1000,
            onBlock: (block) => blocks.push(block),
          });
          expect((await collect(bytes)).equals(content.subarray(start))).toBe(true);
          expect((await hasher.digests()).get('sha256')).toBe(sha256(content));
          const ends = Array.from({ length: Math.floor(content.length / 1000) }, (_, i) => (i + 1) * 1000);
          expect(blocks).toEqual(
            ends
              .filter((end) => end > start)
              .map((end) => ({ end, sha256: sha256(content.subarray(0, end)) })),
          );
        },
      ),
      { seed: SEED, numRuns: 100 },
    );
  });

  test('L1 a block that cannot be written down does no harm', async () => {
    const hasher = await createHasher(['sha256'], 1);
    const bytes = hash(chunksOf(Buffer.alloc(5000)), hasher, {
      start: 0,
      blockBytes: 1000,
      onBlock: () => {
        throw new Error('no space left on device');
      },
    });
    expect((await collect(bytes)).length).toBe(5000);
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('throttling asks for every chunk before it goes on', async () => {
    const taken: number[] = [];
    const take = async (bytes: number) => void taken.push(bytes);
    await collect(throttle(chunksOf(Buffer.alloc(2500)), take, never));
    expect(taken).toEqual([1000, 1000, 500]);
  });

  test('a fault stands behind the right bytes', async () => {
    expect(String(await collect(fault(chunksOf(Buffer.from('right')), ' wrong')))).toBe('right wrong');
  });
});

describe('hashing', () => {
  const KNOWN: [Algorithm, string][] = [
    ['crc32', 'cbf43926'],
    ['crc32c', 'e3069283'],
    ['crc64nvme', 'ae8b14860a799888'],
    ['adler32', '091e01de'],
    ['md5', '25f9e794323b453885f5181f1b624d0b'],
    ['sha1', 'f7c3bc1d808e04732adf679965ccc34ca7ae3441'],
  ];

  // The published vectors of BLAKE3 and XXH3 (64 bits, seed 0).
  test.each([
    ['blake3', '', 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
    ['blake3', 'abc', '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85'],
    ['xxh3', '', '2d06800538d394c2'],
  ] as const)('%s of `%s` is what its authors say', async (algorithm, text, value) => {
    const running = await startDigest(algorithm);
    running.update(Buffer.from(text));
    expect(running.end()).toBe(value);
  });

  test.each(KNOWN)('%s of `123456789` is what the standards say', async (algorithm, value) => {
    const running = await startDigest(algorithm);
    running.update(Buffer.from('12345'));
    expect(running.value()).not.toBe(value);
    running.update(Buffer.from('6789'));
    expect(running.value()).toBe(value);
    expect(running.value()).toBe(value);
    expect(running.end()).toBe(value);
  });

  test.each([
    ['in this thread', 1000],
    ['in a worker', undefined],
  ])('several streams at once do not mix, %s', async (_, size) => {
    const contents = [1, 2, 3, 4, 5].map((fill) => Buffer.alloc(30 * MIB, fill));
    const values = await Promise.all(
      contents.map(async (content) => {
        const hasher = await createHasher(['sha256', 'md5'], size);
        for await (const chunk of chunksOf(content, MIB)) await hasher.update(chunk);
        const digests = await hasher.digests();
        hasher.close();
        return [digests.get('sha256'), digests.get('md5')];
      }),
    );
    expect(values).toEqual(
      contents.map((content) => [sha256(content), createHash('md5').update(content).digest('hex')]),
    );
  });

  test('P7 a thread that dies fails what it worked on, and nothing waits for it', async () => {
    const hasher = await createHasher(['no such algorithm' as Algorithm], undefined);
    await expect(hasher.digests()).rejects.toMatchObject({ code: 'unexpected' });
    const send = async () => {
      for (let round = 0; round < 20; round += 1) await hasher.update(Buffer.alloc(MIB));
    };
    await expect(send()).rejects.toMatchObject({ code: 'unexpected' });
    await expect(hasher.prefix()).rejects.toMatchObject({ code: 'unexpected' });
    hasher.close();
    const next = await createHasher(['sha256'], undefined);
    for (let round = 0; round < 20; round += 1) await next.update(Buffer.alloc(MIB));
    expect((await next.digests()).get('sha256')).toBe(sha256(Buffer.alloc(20 * MIB)));
    next.close();
  });

  test('a chunk may be written over as soon as it was taken', async () => {
    const hasher = await createHasher(['sha256'], undefined);
    const chunk = Buffer.alloc(MIB, 1);
    await hasher.update(chunk);
    chunk.fill(2);
    expect((await hasher.digests()).get('sha256')).toBe(sha256(Buffer.alloc(MIB, 1)));
    hasher.close();
  });

  test.each([0, 1, 2, 3])('P4 a prefix is proven up to the block that is wrong: block %d', async (wrong) => {
    const path = join(scratch(), 'partial');
    const content = Buffer.alloc(3_500_000, 'prefix');
    const blocks = [1, 2, 3].map((n) => ({
      end: n * 1_000_000,
      sha256: sha256(content.subarray(0, n * 1_000_000)),
    }));
    const damaged = Buffer.from(content);
    if (wrong < 3) damaged[wrong * 1_000_000 + 5] = 0;
    fs.writeFileSync(path, damaged);
    const fd = fs.openSync(path, 'r');
    const { bytes, state } = await proveBlocks(fd, ['md5'], blocks);
    fs.closeSync(fd);
    expect(bytes).toBe(wrong * 1_000_000);
    expect(state.get('md5')?.value()).toBe(
      createHash('md5')
        .update(content.subarray(0, wrong * 1_000_000))
        .digest('hex'),
    );
  });

  test('P4 a partial that is shorter than its journal says is believed as far as it goes', async () => {
    const path = join(scratch(), 'partial');
    const content = Buffer.alloc(3_000_000, 'short');
    const blocks = [1, 2, 3].map((n) => ({
      end: n * 1_000_000,
      sha256: sha256(content.subarray(0, n * 1_000_000)),
    }));
    fs.writeFileSync(path, content.subarray(0, 2_500_000));
    const hasher = await createHasher(['sha256'], undefined);
    expect(await hasher.resumeFrom(path, blocks)).toBe(2_000_000);
    await hasher.update(content.subarray(2_000_000));
    expect((await hasher.digests()).get('sha256')).toBe(sha256(content));
    hasher.close();
  });
});

describe('the journal', () => {
  const header = { source: 'http://h/x', version: 'etag "1"', size: 30, algorithms: ['sha256' as const] };
  const block = (end: number) => ({ end, sha256: sha256(Buffer.from(String(end))) });

  test('says what was written, and is private', () => {
    const partial = join(scratch(), 'x.part');
    const journal = openJournal(partial, header, [block(8)]);
    journal.add(block(16));
    journal.close();
    journal.add(block(24));
    expect(readJournal(partial)).toEqual({
      header: { bridle: 1, ...header },
      blocks: [block(8), block(16)],
    });
    expect(fs.statSync(`${partial}.journal`).mode & 0o777).toBe(0o600);
  });

  test('is gone when the partial has become a file', () => {
    const partial = join(scratch(), 'x.part');
    openJournal(partial, header, []).remove();
    expect(fs.existsSync(`${partial}.journal`)).toBe(false);
    expect(readJournal(partial)).toBeUndefined();
  });

  test(`P4 cut off or damaged anywhere, it is believed up to there (seed ${SEED})`, () => {
    const partial = join(scratch(), 'x.part');
    const journal = openJournal(partial, header, [8, 16, 24].map(block));
    journal.close();
    const text = fs.readFileSync(`${partial}.journal`);
    fc.assert(
      fc.property(fc.nat(text.length), fc.option(fc.nat(255)), (at, byte) => {
        const damaged = byte === null ? text.subarray(0, at) : Buffer.from(text);
        if (byte !== null) damaged[at] = byte;
        fs.writeFileSync(`${partial}.journal`, damaged);
        const read = readJournal(partial);
        const ends = read?.blocks.map(({ end }) => end) ?? [];
        expect([...ends].sort((a, b) => a - b)).toEqual(ends);
        expect(ends.length).toBeLessThanOrEqual(3);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test.each([
    ['another program’s', '{"other":1}\n'],
    [
      'of an algorithm that is not known here',
      '{"bridle":1,"source":"s","version":"v","algorithms":["sha3"]}\n',
    ],
    ['empty', ''],
    ['cut in its first line', '{"bridle":1,"source":"s","version":"v","algorithms":[]}'],
  ])('one that is %s is none', (_, text) => {
    const partial = join(scratch(), 'x.part');
    fs.writeFileSync(`${partial}.journal`, text);
    expect(readJournal(partial)).toBeUndefined();
  });
});

describe('P3 grades', () => {
  const a = { algorithm: 'sha256' as const, value: 'a'.repeat(64) };
  const md5 = { algorithm: 'md5' as const, value: 'a'.repeat(32) };
  const ours = new Map<Algorithm, string>([['sha256', a.value]]);
  const source: Source = { type: 'file', size: 1, bytes: chunksOf(Buffer.alloc(0)) };
  const known = { doing: 'read', ours, expected: [], source, trailer: [] };
  const sides = {
    name: 'x',
    isLocal: false,
    bytes: 5,
    ours,
    expected: [],
    stored: { digests: [] },
    confirmed: false,
  };

  test.each([
    ['end-to-end', { expected: [a] }],
    ['server', { source: { ...source, digests: [a] } }],
    ['wire', { source: { ...source, wire: [a] } }],
    ['wire', { trailer: [a] }],
    ['size', {}],
  ])('P3 the source is `%s` by what its digest was compared with', (grade, more) => {
    expect(gradeSource(requireDigests({ ...known, ...more }), true).grade).toBe(grade);
  });

  test('P3 a source that nothing is known of is `none`', () => {
    expect(gradeSource(requireDigests(known), false)).toEqual({ grade: 'none' });
  });

  test.each([
    ['none', {}],
    ['size', { stored: { size: 5, digests: [] } }],
    ['server', { stored: { size: 5, digests: [a] } }],
    ['server', { isLocal: true, stored: { size: 5, digests: [] } }],
    ['server', { confirmed: true }],
    ['end-to-end', { confirmed: true, expected: [a] }],
    ['end-to-end', { stored: { digests: [a] }, expected: [a] }],
    ['size', { isLocal: true, ours: new Map(), stored: { size: 5, digests: [] } }],
  ])('P3 the destination is `%s` by what is known of the stored copy', (grade, more) => {
    expect(gradeDestination({ ...sides, ...more }).grade).toBe(grade);
  });

  const wrong = { algorithm: 'sha256' as const, value: 'b'.repeat(64) };
  test.each([
    ['expected', { expected: [wrong] }],
    ['the stored object’s', { source: { ...source, digests: [wrong] } }],
    ['declared', { source: { ...source, wire: [wrong] } }],
    ['trailing', { trailer: [wrong] }],
    ['one of two expected', { expected: [a, wrong] }],
  ])('P2 a wrong %s digest is a mismatch', (_, more) => {
    expect(() => requireDigests({ ...known, ...more })).toThrow(
      expect.objectContaining({ code: 'digest-mismatch' }),
    );
  });

  test('P2 a service that stores other bytes than were sent is a mismatch', () => {
    const size = () => gradeDestination({ ...sides, stored: { size: 4, digests: [] } });
    expect(size).toThrow(expect.objectContaining({ code: 'size-mismatch' }));
    const digest = () => gradeDestination({ ...sides, stored: { digests: [wrong] } });
    expect(digest).toThrow(expect.objectContaining({ code: 'digest-mismatch' }));
  });

  test('P2 an expected digest that cannot be computed is no success', () => {
    const expected = [{ algorithm: 'md5' as const, value: 'c'.repeat(32) }];
    expect(() => requireDigests({ ...known, expected })).toThrow(
      expect.objectContaining({ code: 'unsupported' }),
    );
  });

  test('a digest of parts proves nothing of the whole', () => {
    expect(compareDigests(ours, [{ ...wrong, partSize: 5 }])).toBeUndefined();
  });

  test.each<[string, Partial<Parameters<typeof wantedAlgorithms>[0]>, Algorithm[]]>([
    ['nothing when nobody has one', {}, []],
    ['what is asked', { asked: ['md5'] }, ['md5']],
    ['what is expected', { expected: [{ algorithm: 'crc32', value: '00000000' }] }, ['crc32']],
    ['sha256 for the journal', { journaled: true }, ['sha256']],
    ['what the destination checks', { destination: ['md5'] }, ['md5']],
    [
      'the strongest that the sender declares',
      { source: { ...source, wire: [{ algorithm: 'md5', value: '' }, a] } },
      ['sha256'],
    ],
    [
      'not what the service stores, when a stronger one is expected on the disk',
      { expected: [a], isToDisk: true, source: { ...source, digests: [md5] } },
      ['sha256'],
    ],
    [
      'what the service stores, when one that can be forged is expected',
      {
        expected: [{ algorithm: 'crc32', value: '00000000' }],
        isToDisk: true,
        source: { ...source, digests: [md5] },
      },
      ['md5', 'crc32'],
    ],
    [
      'what the service stores, when the bytes go to another service',
      { expected: [a], source: { ...source, digests: [md5] } },
      ['sha256', 'md5'],
    ],
    [
      'what the sender declares, whatever is expected (F20)',
      { expected: [a], isToDisk: true, source: { ...source, wire: [md5] } },
      ['sha256', 'md5'],
    ],
    ['each once', { asked: ['sha256', 'md5'], expected: [a], journaled: true }, ['sha256', 'md5']],
  ])('the digests to take are %s', (_, more, wanted) => {
    const none = { asked: [], expected: [], source, destination: [], journaled: false };
    expect(wantedAlgorithms({ ...none, ...more })).toEqual(wanted);
  });
});

describe('P11 slabs', () => {
  test('what was given back is lent again, twice given back only once', () => {
    const slab = takeSlab();
    expect(slab.length).toBe(SLAB_BYTES);
    giveBack(slab.subarray(0, 10));
    giveBack(slab);
    const [first, second] = [takeSlab(), takeSlab()];
    expect(first.buffer).toBe(slab.buffer);
    expect(second.buffer).not.toBe(slab.buffer);
  });

  test('P11 what several files have under way at once is lent again, all of it', () => {
    const taken = Array.from({ length: 60 }, () => takeSlab());
    for (const slab of taken) giveBack(slab);
    const again = new Set(Array.from({ length: 60 }, () => takeSlab().buffer));
    expect(taken.filter(({ buffer }) => !again.has(buffer))).toEqual([]);
  });

  test('memory that is no slab is left alone', () => {
    const own = Buffer.alloc(SLAB_BYTES);
    giveBack(own);
    expect(takeSlab().buffer).not.toBe(own.buffer);
  });

  test.each([
    ['large', takeSlab],
    ['medium', () => takeSlabFor(100_000)],
    ['small', () => takeSlabFor(1000)],
  ])('what is held is not lent again before everyone let go and it was given back, %s', (_, take) => {
    const slab = take();
    hold(slab);
    hold(slab.subarray(5, 10));
    giveBack(slab);
    giveBack(slab);
    letGo(slab);
    expect(take().buffer).not.toBe(slab.buffer);
    letGo(slab);
    expect(take().buffer).toBe(slab.buffer);
    hold(slab);
    letGo(slab);
    expect(take().buffer).not.toBe(slab.buffer);
  });

  test('shared memory is handed on as it is, other memory as a copy', () => {
    const slab = takeSlabFor(10).subarray(3, 9);
    expect(holdShared(slab)).toBe(slab);
    letGo(slab);
    const own = Buffer.from('own bytes');
    const copy = holdShared(own);
    expect(copy.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(Buffer.from(copy)).toEqual(own);
    letGo(copy);
    expect(takeSlabFor(1).buffer).toBe(copy.buffer);
  });

  test('P2 a digest is of what came, also when the memory is written to before it is asked for', async () => {
    for (const take of [takeSlab, () => takeSlabFor(65_537), () => takeSlabFor(65_536)]) {
      const chunk = take().subarray(0, 1000).fill(1);
      const hasher = await createHasher(['sha256'], chunk.length);
      await hasher.update(chunk);
      giveBack(chunk);
      const next = [take(), take()];
      for (const one of next) one.fill(2);
      const expected = createHash('sha256').update(Buffer.alloc(1000, 1)).digest('hex');
      expect((await hasher.digests()).get('sha256')).toBe(expected);
      hasher.close();
      for (const one of next) giveBack(one);
    }
  });

  test('P2 a worker hashes what came, also when the reader gives it back at once', async () => {
    const hasher = await createHasher(['sha256'], undefined);
    const expected = createHash('sha256');
    for (let round = 0; round < 40; round += 1) {
      const chunk = (round % 3 === 0 ? Buffer.alloc(70_000) : takeSlab()).fill(round);
      expected.update(chunk);
      await hasher.update(chunk);
      giveBack(chunk);
    }
    expect((await hasher.digests()).get('sha256')).toBe(expected.digest('hex'));
    hasher.close();
  });
});

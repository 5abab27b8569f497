import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ScriptName } from '../../fixtures/misbehaving/server.ts';
import type { Algorithm, Digest } from '../../src/protocol.ts';
import {
  digestAt,
  leftBehind,
  MIB,
  misbehaving,
  runAll,
  scratch,
  sha256,
  transferOf,
  watchFile,
} from './scene.ts';

const WRONG: Digest = { algorithm: 'sha256', value: 'f'.repeat(64) };

describe.each([
  ['small', 300_000],
  ['large', 20 * MIB],
])('a %s file', (_, size) => {
  test('F20 a wrong digest header never becomes visible', async () => {
    const directory = scratch();
    const path = join(directory, 'x');
    writeFileSync(path, 'old');
    const watch = watchFile(path);
    const server = await misbehaving({ script: 'F20', content: { size } });
    const { outcome, waited } = await runAll([transferOf(server.url, path)], { onEvent: watch.look });
    expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'digest-mismatch' } });
    expect([...watch.seen]).toEqual([sha256(Buffer.from('old'))]);
    // The second try goes past every cache, and is the last: the same bytes would come again.
    expect(server.requests).toHaveLength(2);
    expect(server.requests[1]?.headers['cache-control']).toContain('no-cache');
    expect(waited).toBe(0);
    expect(leftBehind(directory)).toEqual([]);
  });

  test('F26 a flipped byte is found by the expected digest, and read again past every cache', async () => {
    const directory = scratch();
    const path = join(directory, 'x');
    const watch = watchFile(path);
    const server = await misbehaving({ script: 'F26', times: 1, content: { size } });
    const expected: Digest[] = [{ algorithm: 'sha256', value: server.content().digest('sha256') }];
    const { outcome } = await runAll([transferOf(server.url, path, { expected })], { onEvent: watch.look });
    expect(outcome.attempts.map(({ failure }) => failure?.code ?? 'ok')).toEqual(['digest-mismatch', 'ok']);
    expect(outcome.sourceVerification).toEqual({ grade: 'end-to-end', ...expected[0], by: 'catalog' });
    expect(outcome.destinationVerification.grade).toBe('server');
    watch.look();
    expect([...watch.seen]).toEqual(['absent', expected[0]?.value]);
    expect(leftBehind(directory)).toEqual([]);
  });

  test('F26 a byte that is always wrong never becomes visible', async () => {
    const directory = scratch();
    const path = join(directory, 'x');
    const server = await misbehaving({ script: 'F26', content: { size } });
    const expected: Digest[] = [{ algorithm: 'sha256', value: server.content().digest('sha256') }];
    const { outcome } = await runAll([transferOf(server.url, path, { expected })]);
    expect(outcome.failure?.message).toContain(expected[0]?.value);
    expect(digestAt(path)).toBe('absent');
    expect(leftBehind(directory)).toEqual([]);
  });

  test('P3 `--verify-written` and an expected digest make both sides end-to-end', async () => {
    const path = join(scratch(), 'x');
    const server = await misbehaving({ content: { size } });
    const expected: Digest[] = [{ algorithm: 'sha256', value: server.content().digest('sha256') }];
    const { outcome } = await runAll([transferOf(server.url, path, { expected })], {
      options: { verifyWritten: true },
    });
    expect(outcome.sourceVerification.grade).toBe('end-to-end');
    expect(outcome.destinationVerification).toEqual({ grade: 'end-to-end', ...expected[0], by: 'read-back' });
  });
});

test.each<[string, ScriptName, string, Algorithm | undefined]>([
  ['P3 F20 a right digest under another algorithm gives grade `wire`', 'F20-other', 'wire', 'md5'],
  ['P3 F20 a digest of the wrong length proves nothing', 'F20-mislabelled', 'size', undefined],
])('%s', async (_, script, grade, algorithm) => {
  const path = join(scratch(), 'x');
  const server = await misbehaving({ script, content: { size: 1000 } });
  const { outcome } = await runAll([transferOf(server.url, path)]);
  expect(outcome).toMatchObject({ status: 'done', sourceVerification: { grade } });
  expect(outcome.sourceVerification.algorithm).toBe(algorithm);
});

test('P3 a file that nobody knows a digest of is graded by its size, on both sides', async () => {
  const path = join(scratch(), 'x');
  const server = await misbehaving({ content: { size: 1000 } });
  const { outcome } = await runAll([transferOf(server.url, path)]);
  expect(outcome.sourceVerification).toEqual({ grade: 'size' });
  expect(outcome.destinationVerification).toEqual({ grade: 'size' });
});

test('P2 a source of another size than asked for is refused before any byte is stored', async () => {
  const directory = scratch();
  const path = join(directory, 'x');
  const server = await misbehaving({ content: { size: 1000 } });
  const { outcome } = await runAll([transferOf(server.url, path, { size: 999 })]);
  expect(outcome.failure).toMatchObject({ code: 'size-mismatch' });
  expect(outcome.failure?.message).toContain('expected 999 bytes, it has 1000');
  expect(digestAt(path)).toBe('absent');
  expect(leftBehind(directory)).toEqual([]);
});

test.each<Algorithm>(['sha512', 'sha256', 'sha1', 'md5', 'crc32', 'crc32c', 'crc64nvme', 'adler32'])(
  'P2 a wrong expected %s fails the transfer',
  async (algorithm) => {
    const path = join(scratch(), 'x');
    const server = await misbehaving({ content: { size: 100_000 } });
    const first = await runAll([transferOf(server.url, path)], { options: { checksums: [algorithm] } });
    const value = first.outcome.digests[algorithm] ?? '';
    const right = await runAll([transferOf(server.url, path, { expected: [{ algorithm, value }] })]);
    expect(right.outcome.sourceVerification).toMatchObject({ grade: 'end-to-end', algorithm, value });
    const wrong = value.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    const bad = await runAll([transferOf(server.url, path, { expected: [{ algorithm, value: wrong }] })]);
    expect(bad.outcome.failure?.code).toBe('digest-mismatch');
  },
);

test('P2 a local copy with a wrong expected digest leaves the old file', async () => {
  const directory = scratch();
  const [from, to] = [join(directory, 'from'), join(directory, 'to')];
  writeFileSync(from, 'new');
  writeFileSync(to, 'old');
  const { outcome } = await runAll([transferOf(from, to, { expected: [WRONG] })]);
  expect(outcome.failure?.code).toBe('digest-mismatch');
  expect(digestAt(to)).toBe(sha256(Buffer.from('old')));
  expect(leftBehind(directory)).toEqual([]);
});

describe('F28 a proxy', () => {
  test.each<[string, ScriptName]>([
    ['F28 that serves a stale copy is passed by on the second try', 'F28'],
    ['F28 that damages what it serves is passed by on the second try', 'F28-damaged'],
  ])('%s', async (_, script) => {
    const path = join(scratch(), 'x');
    const server = await misbehaving({ script, content: { size: 300_000 } });
    const expected: Digest[] = [{ algorithm: 'sha256', value: server.content().digest('sha256') }];
    const { outcome } = await runAll([transferOf(server.url, path, { expected })], {
      http: { proxyEnv: { http_proxy: server.proxy } },
    });
    expect(outcome.attempts.map(({ failure }) => failure?.code ?? 'ok')).toEqual(['digest-mismatch', 'ok']);
    expect(server.requests.map(({ origin }) => origin)).toEqual(['proxy', 'main']);
    expect(digestAt(path)).toBe(expected[0]?.value);
  });
});

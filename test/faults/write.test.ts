import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeContent, type ScriptName, type Step } from '../../fixtures/misbehaving/server.ts';
import type { ErrorCode } from '../../src/errors.ts';
import {
  type Ended,
  expectNoNewDescriptors,
  MIB,
  misbehaving,
  openDescriptors,
  runAll,
  scratch,
  transferOf,
} from './scene.ts';

const SHORT = { http: { timeouts: { connect: 1, firstByte: 0.5, stall: 0.2 } } };

/** Uploads one file; whatever happens, no descriptor stays open and the server never stores anything but the whole. */
async function upload(steps: readonly Step[], size: number, more: Parameters<typeof runAll>[1] = {}) {
  const directory = scratch();
  const path = join(directory, 'up.bin');
  const content = makeContent(size, 5);
  writeFileSync(path, Buffer.concat([...content.blocks()]));
  const before = openDescriptors();
  const server = await misbehaving({ steps });
  const ended = await runAll([transferOf(path, server.url)], { ...SHORT, ...more });
  const stored = server.stored.get('/data/file.bin');
  if (stored) expect(stored.sha256).toBe(content.digest('sha256'));
  if (ended.outcome.status === 'done') expect(stored).toBeDefined();
  await server.close();
  await expectNoNewDescriptors(before);
  return { ...ended, server, stored, content };
}

function codes({ outcome }: Ended): (ErrorCode | 'ok')[] {
  return outcome.attempts.map(({ failure }) => failure?.code ?? 'ok');
}

describe.each([
  ['small', 1000],
  ['large', 9 * MIB],
])('an upload of a %s file', (_, size) => {
  test('is stored whole and graded by what the server says of it', async () => {
    const ended = await upload([], size);
    expect(codes(ended)).toEqual(['ok']);
    expect(ended.stored?.size).toBe(size);
    expect(ended.outcome.destinationVerification.grade).toBe('size');
  });

  test('F22 an answer lost after the server stored the file is followed by a second try, not by a failure', async () => {
    const ended = await upload([{ script: 'F22', times: 1 }], size);
    expect(codes(ended).at(-1)).toBe('ok');
    expect(ended.stored?.size).toBe(size);
  });

  test.each<[string, ScriptName, Partial<Step>]>([
    ['F23 507 before the body', 'F23', {}],
    ['F23 413 before the body', 'F23-413', {}],
    ['F23 507 in the middle of the body', 'F23-midway', { at: 500 }],
  ])('%s is `no-space` at once, without another try', async (_, script, more) => {
    const ended = await upload([{ script, ...more }], size);
    expect(codes(ended)).toEqual(['no-space']);
    expect(ended.server.requests.filter(({ method }) => method === 'PUT')).toHaveLength(1);
    expect(ended.waited).toBe(0);
    expect(ended.stored).toBeUndefined();
  });

  test('F27 an upload that is never answered is given up', async () => {
    const ended = await upload([{ script: 'F27', times: 1 }], size);
    expect(codes(ended)[0]).toBe('timed-out');
  });

  test('P9 an upload whose content is wrong is taken back before the server has it', async () => {
    const expected = [{ algorithm: 'sha256' as const, value: '0'.repeat(64) }];
    const directory = scratch();
    const path = join(directory, 'up.bin');
    writeFileSync(path, Buffer.alloc(size, 7));
    const server = await misbehaving({});
    const before = openDescriptors();
    const ended = await runAll([transferOf(path, server.url, { expected })], SHORT);
    expect(codes(ended)).toEqual(['digest-mismatch', 'digest-mismatch']);
    expect(server.stored.size).toBe(0);
    expect(ended.outcome.wasVisible).toBeUndefined();
    await server.close();
    await expectNoNewDescriptors(before);
  });
});

test('P3 an upload that was read back is graded by its digest', async () => {
  const ended = await upload([], 9 * MIB, { options: { verifyWritten: true } });
  expect(ended.outcome.destinationVerification).toMatchObject({ grade: 'server', algorithm: 'sha256' });
});

test('F23 a server without room stops one upload, not the others', async () => {
  const directory = scratch();
  const server = await misbehaving({ steps: [{ script: 'F23', times: 1 }] });
  const requests = Array.from({ length: 20 }, (_, index) => {
    const path = join(directory, `${index}`);
    writeFileSync(path, `number ${index}`);
    return { ...transferOf(path, new URL(`/n/${index}`, server.url).href), index };
  });
  const { summary } = await runAll(requests, SHORT);
  expect(summary).toMatchObject({ done: 19, failed: 1 });
  expect(server.stored.size).toBe(19);
});

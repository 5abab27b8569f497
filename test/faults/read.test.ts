import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { MisbehavingServer, ScriptName, Step } from '../../fixtures/misbehaving/server.ts';
import type { ErrorCode } from '../../src/errors.ts';
import {
  digestAt,
  type Ended,
  expectNoNewDescriptors,
  leftBehind,
  MIB,
  misbehaving,
  openDescriptors,
  type RunMore,
  runAll,
  scratch,
  sha256,
  transferOf,
  watchFile,
} from './scene.ts';

const SMALL = 1_000_000;
const LARGE = 20 * MIB;
const OLD = Buffer.from('what was there before');
const SHORT: RunMore = { http: { timeouts: { connect: 1, firstByte: 0.5, stall: 0.2 } } };

interface Downloaded extends Ended {
  readonly server: MisbehavingServer;
  readonly directory: string;
  readonly path: string;
  /** The digest of what the server serves by the end. */
  readonly right: string;
}

/** Downloads one file, and holds the run to what holds under every fault (P1, P2, P9). */
async function download(
  steps: readonly Step[],
  { size = SMALL, old = false, ...more }: RunMore & { size?: number; old?: boolean; tls?: boolean } = {},
): Promise<Downloaded> {
  const directory = scratch();
  const before = openDescriptors();
  const server = await misbehaving({ steps, content: { size }, ...(more.tls ? { tls: true } : {}) });
  const path = join(directory, 'file.bin');
  if (old) writeFileSync(path, OLD);
  const { seen, look } = watchFile(path);
  const ended = await runAll([transferOf(server.url, path)], { ...SHORT, ...more, onEvent: look });
  const right = server.content().digest('sha256');
  look();
  const gone = old ? sha256(OLD) : 'absent';
  for (const state of seen) expect([gone, right]).toContain(state);
  expect(digestAt(path)).toBe(ended.outcome.status === 'done' ? right : gone);
  if (ended.outcome.status === 'done') expect(ended.outcome.bytes).toBe(server.content().size);
  await server.close();
  await expectNoNewDescriptors(before);
  return { ...ended, server, directory, path, right };
}

function codes({ outcome }: Ended): (ErrorCode | 'ok')[] {
  return outcome.attempts.map(({ failure }) => failure?.code ?? 'ok');
}

function ranges(server: MisbehavingServer): string[] {
  return server.requests.map(({ headers }) => headers.range ?? 'whole');
}

function continuedAt({ events }: Ended): number[] {
  return events.flatMap((event) => (event.type === 'continued' ? [event.at] : []));
}

describe('a body that breaks off', () => {
  test.each<[string, ScriptName]>([
    ['F1 a body that ends early', 'F1'],
    ['F4 a body that falls silent', 'F4'],
  ])('%s goes on by range in the same attempt', async (_, script) => {
    const ended = await download([{ script, at: 600_000, times: 1 }], { old: true });
    expect(codes(ended)).toEqual(['ok']);
    expect(continuedAt(ended)).toEqual([600_000]);
    expect(ranges(ended.server)).toEqual(['whole', 'bytes=600000-']);
    expect(ended.server.bytesSent()).toBe(SMALL);
    expect(ended.waited).toBe(0);
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test('F2 a connection reset in the middle of the body goes on by range in the same attempt', async () => {
    const ended = await download([{ script: 'F2', at: 600_000, times: 1 }], { old: true });
    expect(ended.outcome.status).toBe('done');
    // A reset may overtake what was sent before it, even all of it.
    const [at = 0] = continuedAt(ended);
    expect(at).toBeLessThanOrEqual(600_000);
    expect(ranges(ended.server)).toEqual(['whole', at === 0 ? 'whole' : `bytes=${at}-`]);
  });

  test.each<[string, ScriptName, ErrorCode]>([
    ['F1 a body that always ends early', 'F1', 'unavailable'],
    ['F2 a connection that is always reset', 'F2', 'unavailable'],
    ['F4 a body that always falls silent', 'F4', 'stalled'],
  ])('%s fails after three attempts and leaves the old file', async (_, script, code) => {
    const ended = await download([{ script, at: 100 }], { old: true });
    expect(ended.outcome.status).toBe('failed');
    expect(codes(ended)).toEqual([code, code, code]);
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test('P4 F1 what came of a large file is not asked for again by the next attempt', async () => {
    // Five resumes that gain nothing end the first attempt; the second goes on at the last proven block.
    const cuts: Step[] = [
      { script: 'F1', at: 17 * MIB, times: 1 },
      { script: 'F1', at: 10, times: 5 },
    ];
    const ended = await download(cuts, { size: LARGE });
    expect(codes(ended)).toEqual(['unavailable', 'ok']);
    expect(ended.outcome.resumedFrom).toBe(16 * MIB);
    expect(ended.outcome.notes.join()).toContain(`resumed at byte ${16 * MIB}`);
    expect(ended.server.bytesSent()).toBeLessThan(LARGE + MIB + 100);
    expect(ended.outcome.digests.sha256).toBe(ended.right);
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test('P4 F1 a failed run keeps what it could prove, and the next run goes on there', async () => {
    const directory = scratch();
    const server = await misbehaving({
      steps: [
        { script: 'F1', at: 17 * MIB, times: 1 },
        { script: 'F1', at: 0, times: 15 },
      ],
      content: { size: LARGE },
    });
    const path = join(directory, 'file.bin');
    const first = await runAll([transferOf(server.url, path)], SHORT);
    expect(first.outcome.status).toBe('failed');
    expect(leftBehind(directory).filter((name) => name.endsWith('.part'))).toHaveLength(1);
    const sent = server.bytesSent();
    const second = await runAll([transferOf(server.url, path)], SHORT);
    expect(second.outcome).toMatchObject({ status: 'done', resumedFrom: 16 * MIB });
    expect(server.bytesSent() - sent).toBe(LARGE - 16 * MIB);
    expect(digestAt(path)).toBe(server.content().digest('sha256'));
    expect(leftBehind(directory)).toEqual([]);
  });

  test('F3 extra bytes after the declared length are refused', async () => {
    const ended = await download([{ script: 'F3' }], { old: true });
    expect(codes(ended)).toEqual(['size-mismatch', 'size-mismatch', 'size-mismatch']);
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test('F3 the next attempt is on a connection that nothing was left on', async () => {
    const ended = await download([{ script: 'F3', times: 1 }]);
    expect(codes(ended)).toEqual(['size-mismatch', 'ok']);
  });

  test('F5 one byte a second counts as stalled', async () => {
    const http = {
      timeouts: { connect: 1, firstByte: 1, stall: 5, lowSpeed: { bytesPerSecond: 1000, seconds: 0.4 } },
    };
    const ended = await download([{ script: 'F5', at: 1000, delay: 50, times: 1 }], { http });
    expect(codes(ended)).toEqual(['ok']);
    expect(continuedAt(ended)).toHaveLength(1);
  });

  test('F18 a chunked body without its last chunk is never taken for whole', async () => {
    const ended = await download([{ script: 'F18' }], { old: true });
    expect(ended.outcome.status).toBe('failed');
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test('F18 a chunked body that was cut goes on where it ended', async () => {
    const ended = await download([{ script: 'F18', at: 400_000, times: 1 }]);
    expect(codes(ended)).toEqual(['ok']);
    expect(ranges(ended.server)).toEqual(['whole', 'bytes=400000-']);
  });

  test('F19 a body that TLS cut goes on by range in the same attempt', async () => {
    // The first answer without a length is asked for again in a way that shows how TLS ended.
    const ended = await download([{ script: 'F19', at: 600_000, times: 2 }], {
      old: true,
      http: { ...SHORT.http, verifyTls: false },
    });
    expect(codes(ended)).toEqual(['ok']);
    expect(continuedAt(ended)).toEqual([600_000]);
    expect(ranges(ended.server).at(-1)).toBe('bytes=600000-');
  });

  test('F19 a body that TLS cuts every time is never taken for whole', async () => {
    const ended = await download([{ script: 'F19', at: 100 }], {
      old: true,
      http: { ...SHORT.http, verifyTls: false },
    });
    expect(ended.outcome.status).toBe('failed');
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test('F29 a trailer that reports failure after a complete body is believed', async () => {
    const ended = await download([{ script: 'F29' }], { old: true });
    expect(codes(ended)).toEqual(['unavailable', 'unavailable', 'unavailable']);
    expect(ended.outcome.failure?.message).toContain('input/output error');
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test('F29 a trailer that reports success is no obstacle', async () => {
    expect(codes(await download([{ script: 'F29-ok' }]))).toEqual(['ok']);
  });
});

describe('a resume that meets something else', () => {
  const cut: Step = { script: 'F1', at: 600_000, times: 1 };

  test.each<[string, ScriptName, ErrorCode]>([
    ['F6 a 200 to a range', 'F6', 'unavailable'],
    ['F7 a 206 from another offset', 'F7', 'unavailable'],
    ['F7 a 206 of another total', 'F7-total', 'changed'],
    ['F7 a 206 of another length than it says', 'F7-length', 'unavailable'],
    ['F10 a 416 that names the full size', 'F10', 'changed'],
    ['F10 a 416 that names another size', 'F10-wrong', 'changed'],
  ])('%s is not mixed in: the next attempt starts over', async (_, script, code) => {
    const ended = await download([{ script }, cut], { old: true });
    expect(codes(ended)).toEqual([code, 'ok']);
    expect(ranges(ended.server)).toEqual(['whole', 'bytes=600000-', 'whole']);
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test.each<[string, ScriptName]>([
    ['F8 an ETag that changes between the parts', 'F8'],
    ['F8 an ETag that changes behind a server that ignores If-Range', 'F8-ignores-if-range'],
  ])('%s gives the new content, never a mixture', async (_, script) => {
    const ended = await download([{ script }], { old: true });
    expect(codes(ended)).toEqual(['changed', 'ok']);
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test.each<[string, ScriptName]>([
    ['F9 a weak validator', 'F9'],
    ['F9 no validator at all', 'F9-none'],
  ])('%s is no ground for a resume: the transfer starts over', async (_, script) => {
    const ended = await download([{ script }], { size: LARGE, old: true });
    expect(codes(ended)).toEqual(['unavailable', 'ok']);
    expect(ranges(ended.server)).toEqual(['whole', 'whole']);
    expect(ended.outcome.resumedFrom).toBe(0);
  });

  test('P4 F8 a source that changed between two runs starts over and says so', async () => {
    const directory = scratch();
    const path = join(directory, 'file.bin');
    const server = await misbehaving({
      steps: [
        { script: 'F1', at: 17 * MIB, times: 1 },
        { script: 'F1', at: 0, times: 14 },
        { script: 'F8', at: 0 },
      ],
      content: { size: LARGE },
    });
    const first = await runAll([transferOf(server.url, path)], SHORT);
    expect(first.outcome.status).toBe('failed');
    const second = await runAll([transferOf(server.url, path)], SHORT);
    expect(second.outcome).toMatchObject({ status: 'done', resumedFrom: 0 });
    expect(second.outcome.notes.join()).toContain('started over: the source changed');
    expect(digestAt(path)).toBe(server.content().digest('sha256'));
    expect(leftBehind(directory)).toEqual([]);
  });
});

describe('answers that ask to wait', () => {
  test.each<[string, ScriptName, number, number]>([
    ['F11 a Retry-After in seconds', 'F11', 1, 1],
    ['F11 a Retry-After as a date', 'F11-date', 1, 3],
    ['F11 an absurd Retry-After is cut to an hour', 'F11-absurd', 3600, 3600],
    ['F11 a Retry-After that makes no sense falls back to back-off', 'F11-garbage', 0.5, 1],
    ['F12 a 429 without a time falls back to back-off', 'F12', 0.5, 1],
    ['F12 a 429 that tells a time', 'F12-told', 1, 1],
  ])('%s', async (_, script, least, most) => {
    const ended = await download([{ script, times: 1 }]);
    expect(codes(ended)).toEqual([script.startsWith('F12') ? 'rate-limited' : 'unavailable', 'ok']);
    expect(ended.waited).toBeGreaterThanOrEqual(least);
    expect(ended.waited).toBeLessThanOrEqual(most);
  });

  test('F12 a storm of 429 ends after three attempts, with growing pauses', async () => {
    const ended = await download([{ script: 'F12' }]);
    expect(codes(ended)).toEqual(['rate-limited', 'rate-limited', 'rate-limited']);
    const pauses = ended.events.flatMap((event) => (event.type === 'retry-scheduled' ? [event.seconds] : []));
    expect(pauses).toHaveLength(2);
    expect(pauses[0]).toBeLessThan(pauses[1] ?? 0);
    expect(ended.server.requests).toHaveLength(3);
  });

  test('F27 a first byte that never comes is given up, and asked for again', async () => {
    const ended = await download([{ script: 'F27', times: 1 }]);
    expect(codes(ended)).toEqual(['timed-out', 'ok']);
  });

  test('F27 a first byte that comes late but in time is waited for', async () => {
    expect(codes(await download([{ script: 'F27', delay: 300 }]))).toEqual(['ok']);
  });
});

describe('permanent errors', () => {
  test.each<[string, ScriptName, ErrorCode, number]>([
    ['F15 a redirect from https to http', 'F15', 'permission-denied', 1],
    ['F16 a redirect to itself', 'F16', 'unexpected', 1],
    ['F16 redirects without end', 'F16-endless', 'unexpected', 11],
    ['F24 headers that never end', 'F24', 'unexpected', 1],
    ['F24 a header of 1 MiB', 'F24-long', 'unexpected', 1],
    ['F25 a host name that does not exist', 'F25-dns', 'not-found', 0],
  ])('%s costs one try and no waiting', async (_, script, code, requests) => {
    const ended = await download([{ script }], { old: true, http: { ...SHORT.http, verifyTls: false } });
    expect(codes(ended)).toEqual([code]);
    expect(ended.server.requests).toHaveLength(requests);
    expect(ended.waited).toBe(0);
    expect(leftBehind(ended.directory)).toEqual([]);
  });

  test.each<[string, ScriptName, ErrorCode]>([
    ['F25 a port that refuses', 'F25', 'unavailable'],
    ['F25 a port that swallows everything', 'F25-black-hole', 'timed-out'],
  ])('%s is tried three times and named', async (_, script, code) => {
    const ended = await download([{ script }], {
      http: { timeouts: { connect: 0.3, firstByte: 0.5, stall: 0.5 } },
    });
    expect(codes(ended)).toEqual([code, code, code]);
    expect(ended.outcome.failure?.message).toContain('127.0.0.1');
  });
});

describe('coding', () => {
  test('F17 what a server compressed unasked is stored as received, and a note says so', async () => {
    const directory = scratch();
    const server = await misbehaving({ script: 'F17', content: { size: SMALL } });
    const path = join(directory, 'file.bin');
    const { outcome } = await runAll([transferOf(server.url, path)], SHORT);
    expect(server.requests[0]?.headers['accept-encoding']).toBe('identity');
    expect(outcome.status).toBe('done');
    expect(outcome.notes.join()).toContain('gzip');
    expect(outcome.bytes).toBe(server.bytesSent());
  });

  test('F17 compressed bytes never pass for a file whose digest is known', async () => {
    const directory = scratch();
    const server = await misbehaving({ script: 'F17', content: { size: SMALL } });
    const path = join(directory, 'file.bin');
    const expected = [{ algorithm: 'sha256' as const, value: server.content().digest('sha256') }];
    const { outcome } = await runAll([transferOf(server.url, path, { expected })], SHORT);
    expect(outcome.failure?.code).toBe('digest-mismatch');
    expect(digestAt(path)).toBe('absent');
    expect(leftBehind(directory)).toEqual([]);
  });
});

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Endpoint } from '../../src/protocol.ts';
import {
  digestAt,
  expectNoNewDescriptors,
  leftBehind,
  MIB,
  misbehaving,
  openDescriptors,
  place,
  runAll,
  scratch,
  transferOf,
} from './scene.ts';

/** A sink that takes its time over every chunk, and counts. */
function slowSink(milliseconds: number): { readonly endpoint: Endpoint; readonly taken: () => number } {
  let taken = 0;
  const endpoint: Endpoint = {
    service: 'slow',
    stat: async () => ({ type: 'file', size: taken }),
    read: async () => {
      throw new Error('is not read');
    },
    write: async (_path, bytes) => {
      for await (const chunk of bytes) {
        await new Promise((resolve) => setTimeout(resolve, milliseconds));
        taken += chunk.length;
      }
      return { commit: async () => ({ size: taken, digests: [] }), abort: async () => undefined };
    },
  };
  return { endpoint, taken: () => taken };
}

describe('F4 P7 waits with a slow and a fast consumer', () => {
  const stall = { timeouts: { connect: 1, firstByte: 1, stall: 0.3 } };

  test('F4 a consumer that is slower than the stall limit is not taken for a silent server', async () => {
    const server = await misbehaving({ content: { size: 8 * MIB } });
    const sink = slowSink(120);
    const { outcome, events } = await runAll([transferOf(server.url, '/slow')], {
      http: stall,
      open: (where) => (where.location.scheme === 'file' ? sink.endpoint : undefined),
    });
    expect(outcome.status).toBe('done');
    expect(events.some(({ type }) => type === 'continued')).toBe(false);
    expect(sink.taken()).toBe(8 * MIB);
  });

  test('F4 a server that falls silent under a slow consumer is noticed', async () => {
    const server = await misbehaving({ script: 'F4', at: 5 * MIB, times: 1, content: { size: 8 * MIB } });
    const sink = slowSink(60);
    const { outcome, events } = await runAll([transferOf(server.url, '/slow')], {
      http: stall,
      open: (where) => (where.location.scheme === 'file' ? sink.endpoint : undefined),
    });
    expect(outcome.status).toBe('done');
    expect(events.filter(({ type }) => type === 'continued')).toHaveLength(1);
    expect(sink.taken()).toBe(8 * MIB);
  });
});

test('P7 an attempt that takes longer than its time is ended, and nothing of it is left', async () => {
  const directory = scratch();
  const before = openDescriptors();
  const server = await misbehaving({ content: { size: 4 * MIB }, rate: MIB });
  const path = join(directory, 'x');
  const { outcome } = await runAll([transferOf(server.url, path)], {
    options: { itemSeconds: 0.3, attempts: 2 },
  });
  expect(outcome.attempts.map(({ failure }) => failure?.code)).toEqual(['timed-out', 'timed-out']);
  expect(outcome.failure?.message).toContain('0.3 s');
  expect(digestAt(path)).toBe('absent');
  expect(leftBehind(directory)).toEqual([]);
  await server.close();
  await expectNoNewDescriptors(before);
});

describe('P8 a run that is canceled', () => {
  test('P8 ends what is under way, starts nothing more, and names every item', async () => {
    const directory = scratch();
    const before = openDescriptors();
    const server = await misbehaving({ content: { size: 20 * MIB }, rate: 40 * MIB });
    const controller = new AbortController();
    const requests = Array.from({ length: 50 }, (_, index) => ({
      ...transferOf(server.url, join(directory, `${index}`)),
      index,
    }));
    const { summary, outcomes } = await runAll(requests, {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'progress') controller.abort();
      },
    });
    expect(summary).toMatchObject({ done: 0, canceled: 50 });
    expect(outcomes).toHaveLength(50);
    expect(server.requests.length).toBeLessThanOrEqual(4);
    await server.close();
    await expectNoNewDescriptors(before);
  });

  test('P8 copies on this machine stop too', async () => {
    const directory = scratch();
    const from = join(directory, 'from');
    writeFileSync(from, 'small');
    const controller = new AbortController();
    const requests = Array.from({ length: 2000 }, (_, index) => ({
      ...transferOf(from, join(directory, 'to', `${index}`)),
      index,
    }));
    const { summary } = await runAll(requests, {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'item-ended') controller.abort();
      },
    });
    expect(summary.done).toBeLessThan(20);
    expect(summary.done + summary.canceled).toBe(2000);
    expect(leftBehind(directory)).toEqual([]);
  });

  test('P8 P4 a large file that was under way is kept and resumed', async () => {
    const directory = scratch();
    const path = join(directory, 'x');
    const server = await misbehaving({ content: { size: 40 * MIB }, rate: 40 * MIB });
    const controller = new AbortController();
    let passed = 0;
    const first = await runAll([transferOf(server.url, path)], {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type !== 'progress') return;
        passed += event.bytes;
        if (passed > 20 * MIB) controller.abort();
      },
    });
    expect(first.outcome.status).toBe('canceled');
    expect(digestAt(path)).toBe('absent');
    const sent = server.bytesSent();
    const second = await runAll([transferOf(server.url, path)]);
    const { status, resumedFrom } = second.outcome;
    expect(status).toBe('done');
    expect([16 * MIB, 20 * MIB]).toContain(resumedFrom);
    expect(server.bytesSent() - sent).toBe(40 * MIB - resumedFrom);
    expect(digestAt(path)).toBe(server.content().digest('sha256'));
    expect(leftBehind(directory)).toEqual([]);
  });

  test('P8 waiting for a retry ends at once', async () => {
    const directory = scratch();
    const server = await misbehaving({ script: 'F11-absurd' });
    const controller = new AbortController();
    const began = performance.now();
    const { outcome } = await runAll([transferOf(server.url, join(directory, 'x'))], {
      clock: systemClock,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'retry-scheduled') setImmediate(() => controller.abort());
      },
    });
    expect(outcome.status).toBe('canceled');
    expect(performance.now() - began).toBeLessThan(5000);
  });
});

test('P5 P6 a mixed list: each item has its own outcome, and only transient failures wait', async () => {
  const directory = scratch();
  const from = join(directory, 'from');
  writeFileSync(from, 'fine');
  const busy = await misbehaving({ script: 'F11', times: 1 });
  const broken = await misbehaving({ script: 'F16' });
  const requests = [
    transferOf(from, join(directory, 'a')),
    { ...transferOf(busy.url, join(directory, 'b')), index: 1 },
    { ...transferOf(broken.url, join(directory, 'c')), index: 2 },
    { ...transferOf(join(directory, 'absent'), join(directory, 'd')), index: 3 },
    {
      ...transferOf(from, join(directory, 'e')),
      index: 4,
      sources: [{ location: { ...place(from).location, scheme: 'gopher', authority: 'h' } }],
    },
  ];
  const { outcomes, waited } = await runAll(requests);
  const statuses = [...outcomes].sort((a, b) => a.index - b.index).map(({ status }) => status);
  expect(statuses).toEqual(['done', 'done', 'failed', 'failed', 'unsupported']);
  expect(waited).toBe(1);
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('fine');
});

test('P6 Retry-After is kept although another source failed for good after it', async () => {
  const directory = scratch();
  const busy = await misbehaving({ script: 'F11-absurd', times: 1 });
  const sources = [
    { ...place(busy.url), priority: 2 },
    { ...place(join(directory, 'absent')), priority: 1 },
  ];
  const { outcome, waited } = await runAll([{ ...transferOf(busy.url, join(directory, 'x')), sources }]);
  expect(outcome.status).toBe('done');
  expect(outcome.attempts.map(({ failure }) => failure?.code ?? 'ok')).toEqual([
    'unavailable',
    'not-found',
    'ok',
  ]);
  expect(waited).toBe(3600);
});

test('P6 one attempt is one attempt, also when the last source is absent', async () => {
  const directory = scratch();
  const busy = await misbehaving({ script: 'F11' });
  const sources = [
    { ...place(busy.url), priority: 2 },
    { ...place(join(directory, 'absent')), priority: 1 },
  ];
  const { outcome } = await runAll([{ ...transferOf(busy.url, join(directory, 'x')), sources }], {
    options: { attempts: 1 },
  });
  expect(outcome.attempts).toHaveLength(2);
  expect(busy.requests).toHaveLength(1);
});

test('P6 who waits to retry holds no slot: others run meanwhile', async () => {
  const directory = scratch();
  const from = join(directory, 'from');
  writeFileSync(from, 'fine');
  const busy = await misbehaving({ script: 'F11', times: 2 });
  const order: number[] = [];
  await runAll(
    [
      transferOf(busy.url, join(directory, 'a')),
      { ...transferOf(from, join(directory, 'b')), index: 1 },
      { ...transferOf(from, join(directory, 'c')), index: 2 },
    ],
    {
      options: { threads: 1 },
      onEvent: (event) => {
        if (event.type === 'item-ended') order.push(event.outcome.index);
      },
    },
  );
  expect(order).toEqual([1, 2, 0]);
});

test('P11 64 large downloads at a time stay within the memory that is lent', async () => {
  const directory = scratch();
  const size = 16 * MIB;
  const server = await misbehaving({ content: { size } });
  let highest = 0;
  const requests = Array.from({ length: 64 }, (_, index) => ({
    ...transferOf(server.url, join(directory, `${index}`)),
    index,
  }));
  global.gc?.();
  const before = process.memoryUsage();
  const base = before.arrayBuffers + before.external;
  const { summary } = await runAll(requests, {
    options: { threads: 64, perHost: 64, memory: 16 * MIB },
    http: { connectionsPerOrigin: 64, timeouts: { connect: 20, firstByte: 60, stall: 60 } },
    onEvent: (event) => {
      if (event.type !== 'progress') return;
      const now = process.memoryUsage();
      highest = Math.max(highest, now.arrayBuffers + now.external - base);
    },
  });
  expect(summary.done).toBe(64);
  // A gigabyte passes; the server lives in this process too, and its blocks are counted along.
  expect(highest).toBeLessThan(600 * MIB);
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { open } from '../../protocols/file.ts';
import { TransferError } from '../../src/errors.ts';
import type { Endpoint, Source } from '../../src/protocol.ts';
import { type StreamCall, stream } from '../../src/stream.ts';
import { MIB, scratch } from '../faults/scene.ts';

const never = new AbortController().signal;
const CONTENT = Buffer.from('the whole content');

/** An endpoint in memory, and what was done with it. */
function memory(more: Partial<Endpoint> = {}) {
  const done = { commit: vi.fn(), abort: vi.fn(), removed: vi.fn(), discarded: vi.fn() };
  let bytes = Buffer.alloc(0);
  const source = (): Source => ({
    type: 'file',
    size: CONTENT.length,
    bytes: (async function* () {
      yield CONTENT;
    })(),
    discard: async () => void done.discarded(),
  });
  const endpoint: Endpoint = {
    service: 'memory',
    stat: async () => ({ type: 'file' }),
    read: async () => source(),
    write: async (_path, given) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of given) chunks.push(Buffer.from(chunk));
      bytes = Buffer.concat(chunks);
      return {
        commit: async () => {
          done.commit();
          return { size: bytes.length, digests: [] };
        },
        abort: async () => void done.abort(),
      };
    },
    remove: async () => void done.removed(),
    ...more,
  };
  return { endpoint, done, source, stored: () => bytes.toString() };
}

function callOf(from: Endpoint, to: Endpoint, more: Partial<StreamCall> = {}): StreamCall {
  const nothing = () => undefined;
  return {
    from: { endpoint: from, path: '/from', name: 'from' },
    to: { endpoint: to, path: '/to', name: 'to' },
    key: '0'.repeat(32),
    algorithms: [],
    expected: [],
    size: undefined,
    verifyWritten: false,
    fresh: false,
    preserve: false,
    fault: undefined,
    signal: never,
    retry: (unit) => unit(never),
    limiter: undefined,
    journals: undefined,
    lend: () => nothing,
    events: {
      onSize: nothing,
      onProgress: nothing,
      onResume: nothing,
      onContinue: nothing,
      onStartOver: nothing,
      onVisible: nothing,
    },
    ...more,
  };
}

test('what is read is what is committed, once', async () => {
  const [from, to] = [memory(), memory()];
  await stream(callOf(from.endpoint, to.endpoint));
  expect(to.stored()).toBe(String(CONTENT));
  expect(to.done.commit).toHaveBeenCalledTimes(1);
  expect(to.done.abort).not.toHaveBeenCalled();
});

test('P2 a source of unknown size that gives another count than asked for is never committed', async () => {
  const from = memory();
  const { size: _, ...unsized } = from.source();
  const to = memory();
  const reading = { ...from.endpoint, read: async () => unsized };
  const running = stream(callOf(reading, to.endpoint, { size: CONTENT.length + 1 }));
  await expect(running).rejects.toMatchObject({ code: 'size-mismatch' });
  expect(to.done.commit).not.toHaveBeenCalled();
  expect(to.done.abort).toHaveBeenCalledTimes(1);
});

test.each([
  ['that was asked last', 'changed', ['confirm']],
  ['that was asked last, behind its body', 'unavailable', ['trailer']],
] as const)('P1 a read that went on is believed by the answer %s', async (_, code, [asked]) => {
  const half = CONTENT.length / 2;
  const refuse = async () => {
    throw new TransferError(code, 'the sender says so');
  };
  const part = (start: number): Source => ({
    ...memory().source(),
    version: 'one',
    bytes: (async function* () {
      yield CONTENT.subarray(start, start + half);
      if (start === 0) throw new TransferError('unavailable', 'broke off');
    })(),
    ...(start === 0 ? {} : { [asked]: refuse }),
  });
  const from = memory({ read: async (_path, { range }) => part(range?.start ?? 0) });
  const to = memory();
  await expect(stream(callOf(from.endpoint, to.endpoint))).rejects.toMatchObject({ code });
  expect(to.stored()).toBe(String(CONTENT));
  expect(to.done.commit).not.toHaveBeenCalled();
});

test('a commit that fails is not aborted: exactly one of the two is called', async () => {
  const to = memory();
  const write: Endpoint['write'] = async (path, bytes, call) => ({
    ...(await to.endpoint.write!(path, bytes, call)),
    commit: async () => {
      throw new TransferError('no-space', 'full');
    },
  });
  const running = stream(callOf(memory().endpoint, { ...to.endpoint, write }));
  await expect(running).rejects.toMatchObject({ code: 'no-space' });
  expect(to.done.abort).not.toHaveBeenCalled();
});

test('P9 a source that was opened is let go when the destination cannot be written to', async () => {
  const from = memory();
  const { write: _, ...readOnly } = memory().endpoint;
  await expect(stream(callOf(from.endpoint, readOnly))).rejects.toMatchObject({ code: 'unsupported' });
  expect(from.done.discarded).toHaveBeenCalled();
});

test('P1 P2 what a service stored wrongly is removed again, and said', async () => {
  const to = memory();
  const write: Endpoint['write'] = async (path, bytes, call) => ({
    ...(await to.endpoint.write!(path, bytes, call)),
    commit: async () => ({ size: 3, digests: [] }),
  });
  const running = stream(callOf(memory().endpoint, { ...to.endpoint, write }));
  await expect(running).rejects.toMatchObject({ code: 'size-mismatch' });
  expect(to.done.removed).toHaveBeenCalledTimes(1);
});

test('progress that came to nothing is taken back', async () => {
  const told: number[] = [];
  const call = callOf(memory().endpoint, memory().endpoint, { size: undefined });
  const events = { ...call.events, onProgress: (bytes: number) => told.push(bytes) };
  const expected = [{ algorithm: 'sha256' as const, value: 'f'.repeat(64) }];
  await expect(stream({ ...call, expected, events })).rejects.toMatchObject({ code: 'digest-mismatch' });
  expect(told).toEqual([CONTENT.length, -CONTENT.length]);
});

test('a fault that is put in is found by reading back, and never seen', async () => {
  const to = memory();
  const write: Endpoint['write'] = async (path, bytes, call) => ({
    ...(await to.endpoint.write!(path, bytes, call)),
    read: async () => ({
      type: 'file' as const,
      bytes: (async function* () {
        yield Buffer.from(to.stored());
      })(),
    }),
  });
  const call = callOf(
    memory().endpoint,
    { ...to.endpoint, write },
    {
      fault: ' and more',
      verifyWritten: true,
      algorithms: ['sha256'],
    },
  );
  await expect(stream(call)).rejects.toMatchObject({ code: 'digest-mismatch' });
  expect(to.done.commit).not.toHaveBeenCalled();
});

test('P4 a source that answers with another version than it was asked for is read from its start', async () => {
  const path = join(scratch(), 'to');
  const contents = { v1: Buffer.alloc(20 * MIB, 1), v2: Buffer.alloc(20 * MIB, 2) };
  const source = (version: 'v1' | 'v2', upTo: number): Endpoint => ({
    service: 'careless',
    stat: async () => ({ type: 'file' }),
    // Takes no notice of the version that is asked for.
    read: async (_path, { range }) => ({
      type: 'file',
      size: 20 * MIB,
      version,
      bytes: (async function* () {
        for (let at = range?.start ?? 0; at < upTo; at += MIB) yield contents[version].subarray(at, at + MIB);
        if (upTo < 20 * MIB) throw new TransferError('unexpected', 'broken for good');
      })(),
    }),
  });
  const to = open();
  const started: string[] = [];
  const transfer = (from: Endpoint) => {
    const call = callOf(from, to);
    const events = { ...call.events, onStartOver: (why: string) => started.push(why) };
    return stream({ ...call, to: { endpoint: to, path, name: path }, events });
  };
  await expect(transfer(source('v1', 17 * MIB))).rejects.toMatchObject({ code: 'unexpected' });
  const result = await transfer(source('v2', 20 * MIB));
  expect(result.resumedFrom).toBe(0);
  expect(started).toEqual(['the source changed since the interrupted transfer']);
  expect(readFileSync(path).equals(contents.v2)).toBe(true);
  await to.close?.();
});

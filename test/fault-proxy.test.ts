import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeContent } from '../fixtures/misbehaving/content.ts';
import { type FaultProxy, type FaultRule, startFaultProxy } from '../fixtures/servers/fault-proxy.ts';

const CONTENT = Buffer.concat([...makeContent(500_000).blocks()]);
let server: Server;
let proxy: FaultProxy;

beforeEach(async () => {
  // Sends all it has as soon as the client has said something and ended.
  server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.resume().once('end', () => socket.end(CONTENT));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await startFaultProxy({ port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  await proxy.close();
  server.close();
});

async function fetchThrough(options: { until?: number } = {}): Promise<{ bytes: Buffer; ended: string }> {
  const socket = connect({ port: proxy.port, host: '127.0.0.1' });
  const received: Buffer[] = [];
  let length = 0;
  let ended = 'open';
  socket.on('error', (error: NodeJS.ErrnoException) => {
    ended = error.code ?? 'error';
  });
  socket.on('end', () => {
    ended = 'end';
  });
  socket.on('data', (piece: Buffer) => {
    received.push(piece);
    length += piece.length;
    if (length >= (options.until ?? Number.POSITIVE_INFINITY)) socket.destroy();
  });
  socket.end('please');
  await new Promise((resolve) => socket.once('close', resolve));
  return { bytes: Buffer.concat(received), ended };
}

test('without a rule everything passes, and is counted', async () => {
  const { bytes, ended } = await fetchThrough();
  expect(bytes.equals(CONTENT)).toBe(true);
  expect(ended).toBe('end');
  expect(proxy.counts()).toMatchObject({ connections: 1, bytesDown: CONTENT.length, bytesUp: 6 });
});

test.each([
  ['reset', 'ECONNRESET'],
  ['close', 'end'],
] as const)('a connection ends by %s at exactly the byte', async (how, ending) => {
  proxy.setRules([{ break: { direction: 'down', at: 123_456, how } }]);
  const { bytes, ended } = await fetchThrough();
  expect(bytes.equals(CONTENT.subarray(0, 123_456))).toBe(true);
  expect(ended).toBe(ending);
});

test('a stalled connection stays open and sends nothing more', async () => {
  proxy.setRules([{ break: { direction: 'down', at: 1000, how: 'stall' } }]);
  const { bytes, ended } = await fetchThrough({ until: 1000 });
  expect(bytes.length).toBe(1000);
  expect(ended).toBe('open');
});

test('a corrupted connection has one wrong byte and goes on', async () => {
  proxy.setRules([{ break: { direction: 'down', at: 77_777, how: 'corrupt' } }]);
  const { bytes } = await fetchThrough();
  expect([...bytes.keys()].filter((index) => bytes[index] !== CONTENT[index])).toEqual([77_777]);
});

test('what goes up breaks as well', async () => {
  proxy.setRules([{ break: { direction: 'up', at: 3, how: 'reset' } }]);
  expect((await fetchThrough()).ended).toBe('ECONNRESET');
  expect(proxy.counts().bytesUp).toBe(3);
});

test('a refused connection is reset, a silent one says nothing', async () => {
  proxy.setRules([{ greet: 'refuse' }, { greet: 'silent' }]);
  expect((await fetchThrough()).ended).toBe('ECONNRESET');
  const socket = connect({ port: proxy.port, host: '127.0.0.1' });
  await once(socket, 'connect');
  await expect.poll(() => proxy.counts().connections).toBe(2);
  expect(proxy.counts()).toMatchObject({ bytesUp: 0, bytesDown: 0 });
  socket.destroy();
});

test('rules are for so many connections, after so many', async () => {
  const rule: FaultRule = { skip: 1, times: 2, break: { direction: 'down', at: 10, how: 'close' } };
  proxy.setRules([rule]);
  const lengths: number[] = [];
  for (let turn = 0; turn < 4; turn++) lengths.push((await fetchThrough()).bytes.length);
  expect(lengths).toEqual([CONTENT.length, 10, 10, CONTENT.length]);
});

test('a delayed and slowed connection carries the same bytes', async () => {
  proxy.setRules([{ rate: 5_000_000, delay: 1 }]);
  expect((await fetchThrough()).bytes.equals(CONTENT)).toBe(true);
});

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { createPacketReader, type PacketReader } from '../../src/sftp/packets.ts';
import { openSession } from '../../src/sftp/session.ts';
import { socketPair } from '../../src/sftp/socket-pair.ts';
import type { Transport, TransportListener } from '../../src/sftp/transport.ts';
import { encodePacket, MESSAGE } from '../../src/sftp/wire.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1e6));

/** Numbers below `most`, the same for the same seed. */
function dice(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * most);
  };
}

function feed(reader: PacketReader, bytes: Uint8Array): number {
  const memory = reader.memory();
  const count = Math.min(memory.length, bytes.length);
  memory.set(bytes.subarray(0, count));
  reader.came(count);
  return count;
}

test(`packets are the same however they are cut and whichever way they come (seed ${SEED})`, () => {
  const roll = dice(SEED);
  const bodies = Array.from({ length: 60 }, () =>
    randomBytes(roll(4) === 0 ? roll(300_000) + 1 : roll(60) + 1),
  );
  const stream = Buffer.concat(
    bodies.flatMap((body, id) => [
      encodePacket(MESSAGE.data, [id, body]),
      encodePacket(MESSAGE.status, [1000 + id, 0, '', '']),
    ]),
  );
  const targets = bodies.map((body) => new Uint8Array(new SharedArrayBuffer(body.length + roll(3))));
  const order: number[] = [];
  const reader = createPacketReader({
    target: (id) => targets[id],
    data(id, length) {
      order.push(id);
      expect(Buffer.from(targets[id]?.subarray(0, length) ?? []).equals(bodies[id] ?? Buffer.of())).toBe(
        true,
      );
    },
    packet: (_type, id) => order.push(id),
  });
  for (let at = 0; at < stream.length; ) {
    const cut = stream.subarray(at, at + 1 + roll(roll(3) === 0 ? 20 : 100_000));
    if (roll(3) === 0) {
      reader.take(cut);
      at += cut.length;
    } else at += feed(reader, cut);
  }
  expect(order).toEqual(bodies.flatMap((_, id) => [id, 1000 + id]));
});

/** A server that greets and then sends what it is told to. */
function bareTransport(): { transport: Transport; listener(): TransportListener; killed: string[] } {
  let listener: TransportListener | undefined;
  const killed: string[] = [];
  const transport: Transport = {
    listen(given) {
      listener = given;
      queueMicrotask(() => given.bytes(encodePacket(MESSAGE.version, [3])));
    },
    write: () => undefined,
    kill: () => killed.push('killed'),
    close: async () => undefined,
  };
  return { transport, listener: () => listener as TransportListener, killed };
}

test('P1 memory that a READ gave out is not written to once the READ has failed', async () => {
  const { transport, listener, killed } = bareTransport();
  const session = await openSession(transport, { open: 60, stall: 60, slow: 60 });
  const into = new Uint8Array(10_000);
  const reading = session.read(Buffer.from('h'), 0, into, 'read');
  const failed = reading.catch(() => killed.push('failed'));
  const packet = encodePacket(MESSAGE.data, [1, randomBytes(10_000)]);
  listener().bytes(packet.subarray(0, 5000));
  expect(listener().memory().buffer).toBe(into.buffer);
  await session.close();
  await failed;
  expect(killed).toEqual(['killed', 'failed']);
  expect(listener().memory().buffer).not.toBe(into.buffer);
  listener().ended(new TransferError('unavailable', 'gone'));
});

test('what comes over a pair of sockets is read into the memory given', async () => {
  const memory = Buffer.alloc(1000);
  const came: Buffer[] = [];
  const pair = await socketPair({
    memory: () => memory,
    came: (count) => came.push(Buffer.from(memory.subarray(0, count))),
  });
  if (!pair) throw new TransferError('unsupported', 'there is no loopback');
  const { ours, theirs } = pair;
  const sent = randomBytes(1024 * 1024);
  theirs.end(sent);
  await once(ours, 'end');
  expect(Buffer.concat(came).equals(sent)).toBe(true);
  ours.destroy();
  theirs.destroy();
});

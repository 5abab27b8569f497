import { afterEach, expect, test, vi } from 'vitest';
import { connectScripted } from '../../fixtures/misbehaving/sftp.ts';
import { TransferError } from '../../src/errors.ts';
import { createReach } from '../../src/sftp/reach.ts';
import { openSession } from '../../src/sftp/session.ts';
import { createSessions, type Sessions } from '../../src/sftp/sessions.ts';

const MIB = 1024 * 1024;
const { signal } = new AbortController();
const WAITS = { open: 5, stall: 5, slow: 5 };

const opened: Sessions[] = [];
afterEach(async () => {
  for (const sessions of opened.splice(0)) await sessions.close();
});

/** Sessions with a host that seems so many milliseconds away and lets `most` connections in. */
function hostAt(milliseconds: number, most = Number.POSITIVE_INFINITY): Sessions {
  const why = () => new TransferError('unavailable', 'the connection ended');
  let connections = 0;
  const sessions = createSessions(async () => {
    connections += 1;
    if (connections > most) throw why();
    const session = await openSession(connectScripted(new Map(), {}, why), WAITS);
    return { ...session, roundTrip: () => milliseconds };
  });
  opened.push(sessions);
  return sessions;
}

async function further(sessions: Sessions, bytes: number): Promise<number> {
  const { session } = await sessions.acquire(signal, 'test');
  const reach = createReach(sessions);
  reach.begin(session, bytes);
  const leases = await Promise.all(reach.take());
  return leases.filter((lease) => lease && lease.session !== session).length;
}

test.each([
  ['a near host', 1, 512 * MIB, 0],
  ['a far host', 10, 512 * MIB, 5],
  ['a very far host', 100, 512 * MIB, 7],
  ['a file that is worth three', 100, 24 * MIB, 2],
  ['a small file', 100, MIB, 0],
  ['a host of which nobody knows how far it is', Number.POSITIVE_INFINITY, 512 * MIB, 0],
])('further sessions for a file: %s', async (_, milliseconds, bytes, count) => {
  expect(await further(hostAt(milliseconds), bytes)).toBe(count);
});

test('a host that lets only some of the further sessions in fails nothing', async () => {
  expect(await further(hostAt(100, 3), 512 * MIB)).toBe(2);
});

test('sessions that nobody took are free for the next file', async () => {
  const sessions = hostAt(100);
  const { session } = await sessions.acquire(signal, 'test');
  const dropped = createReach(sessions);
  dropped.begin(session, 512 * MIB);
  dropped.drop();
  await vi.waitFor(async () => expect(await sessions.another([session], 8)).toBeDefined());
});

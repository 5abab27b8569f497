import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type MisbehavingServer, startMisbehaving } from '../fixtures/misbehaving/server.ts';
import { type Entry, type Event, TransferError, transfer } from '../src/index.ts';
import { scratch } from './commands/run-command.ts';

let server: MisbehavingServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

function entry(from: string, to: string, more: object = {}): Entry {
  return {
    type: 'transfer',
    src_urls: [{ site_label: 'here', url: from }],
    dest_urls: [{ site_label: 'there', url: to }],
    ...more,
  };
}

describe('transfer', () => {
  test('brings every request to an outcome, in the order of the input, and tells what happens', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ content: { size: 2_000_000 } });
    writeFileSync(join(cwd, 'a'), 'a');
    const events: Event[] = [];
    const sha256 = server.content().digest('sha256');
    const { outcomes, summary } = await transfer(
      [
        { type: 'remove', target: { site_label: 'here', url: `file://${cwd}/a` } },
        entry(server.url, `file://${cwd}/b`, { checksum: { sha256 } }),
        { type: 'mkdir', target: { site_label: 'here', url: `file://${cwd}/d` } },
      ],
      { onEvent: (event) => events.push(event) },
    );
    expect(outcomes.map(({ index, kind, status }) => [index, kind, status])).toEqual([
      [0, 'remove', 'done'],
      [1, 'transfer', 'done'],
      [2, 'mkdir', 'done'],
    ]);
    expect(summary).toMatchObject({ done: 3, failed: 0 });
    expect(outcomes[1]).toMatchObject({
      bytes: 2_000_000,
      digests: { sha256 },
      sourceVerification: { grade: 'end-to-end' },
    });
    expect(
      createHash('sha256')
        .update(readFileSync(join(cwd, 'b')))
        .digest('hex'),
    ).toBe(sha256);
    expect(events.at(0)).toEqual({ type: 'run-started', total: 3 });
    expect(events.at(-1)?.type).toBe('run-ended');
  });

  test('a failure is an outcome, not an exception', async () => {
    const cwd = scratch();
    const { outcomes, summary } = await transfer([entry(`${cwd}/nope`, `${cwd}/b`)]);
    expect(summary.failed).toBe(1);
    expect(outcomes[0]?.failure).toMatchObject({ code: 'not-found', transient: false });
  });

  test('takes requests as they come', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    async function* requests() {
      for (let index = 0; index < 20; index += 1) yield entry(`${cwd}/a`, `${cwd}/out/${index}`);
    }
    expect((await transfer(requests(), { threads: 2 })).summary.done).toBe(20);
  });

  test.each([
    [
      'B1 a malformed entry',
      [{ type: 'transfer' } as unknown as Entry],
      'requests[0].src_urls: expected a list of URLs, got nothing',
    ],
    [
      'B4 a destination named twice',
      [entry('/a', '/b'), entry('/c', '/b')],
      'expected each destination once',
    ],
    ['B1 no object', [null as unknown as Entry], 'requests[0]: expected an object'],
  ])('%s rejects before anything is touched', async (_, requests, message) => {
    const error = await transfer(requests).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TransferError);
    expect(error).toMatchObject({ code: 'invalid-request' });
    expect((error as TransferError).message).toContain(message);
  });

  test('an aborted run ends, and says what was canceled', async () => {
    const cwd = scratch();
    server = await startMisbehaving({ content: { size: 64 * 1024 * 1024 }, rate: 8 * 1024 * 1024 });
    const controller = new AbortController();
    const { outcomes } = await transfer([entry(server.url, `${cwd}/b`)], {
      signal: controller.signal,
      onEvent: (event) => event.type === 'progress' && controller.abort(),
    });
    expect(outcomes).toMatchObject([{ status: 'canceled' }]);
    expect(existsSync(join(cwd, 'b'))).toBe(false);
  });

  test('reads no environment but the one it is given', async () => {
    const cwd = scratch();
    writeFileSync(join(cwd, 'a'), 'a');
    const env = { PLACE: cwd };
    expect((await transfer([entry('file://$PLACE/a', 'file://$PLACE/b')], { env })).summary.done).toBe(1);
    expect((await transfer([entry('file://$PLACE/a', 'file://$PLACE/c')])).summary.failed).toBe(1);
  });
});

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { writerId } from '../../src/local/writer.ts';
import type { Bytes, Endpoint, PartialWrite, Source } from '../../src/protocol.ts';
import { createRemoteJournals, listRemoteJournals } from '../../src/remote-journals.ts';
import { afterwards, MIB, runAll, scratch, transferOf } from '../faults/scene.ts';

const KEY = '0123456789abcdef0123456789abcdef';
const SIZE = 20 * MIB;
const HEADER = { source: 'a', version: 'v', algorithms: ['sha256'] as const, destination: 'b' };
/** A process that cannot be alive: pid 1 did not start at tick 0xdead. */
const DEAD = `${writerId().slice(0, 8)}-00000001-00000000dead`;

/** How the service proves what it has. */
type Proof = 'acknowledged' | 'read' | 'none';

/** A service in memory whose uploads outlive what breaks them, and a source that breaks off where it is told to. */
function scene(proof: Proof) {
  const state = join(scratch(), 'state');
  const content = {
    bytes: randomBytes(SIZE),
    version: 'v1',
    breaksAt: Number.POSITIVE_INFINITY,
    /** Takes no notice of the version that is asked for. */
    isCareless: false,
  };
  const stored = { partial: undefined as Buffer | undefined, whole: undefined as Buffer | undefined };
  const reads: number[] = [];
  let isDown = false;
  let commitsToFail = 0;

  const from: Endpoint = {
    service: 'source',
    stat: async () => ({ type: 'file', size: content.bytes.length, version: content.version }),
    read: async (_path, { range, version }) => {
      if (!content.isCareless && version !== undefined && version !== content.version)
        throw new TransferError('changed', 'another');
      const start = range?.start ?? 0;
      reads.push(start);
      return {
        type: 'file',
        size: content.bytes.length,
        version: content.version,
        bytes: (async function* () {
          const end = Math.min(content.breaksAt, content.bytes.length);
          for (let at = start; at < end; at += MIB) yield content.bytes.subarray(at, Math.min(at + MIB, end));
          if (end < content.bytes.length) throw new TransferError('no-space', 'broken for good');
        })(),
      };
    },
  };

  const partialWrite = (bytes: Buffer): PartialWrite => ({
    handle: 'secret handle',
    ranges: [{ start: 0, end: bytes.length }],
    ...(proof === 'acknowledged' ? { isProven: true as const } : {}),
    ...(proof === 'read' ? { read: async ({ range }) => sourceOf(bytes.subarray(0, range?.end)) } : {}),
    release: async (keep) => {
      if (!keep) stored.partial = undefined;
    },
  });

  const to: Endpoint = {
    service: 'service',
    stat: async () => ({ type: 'file' }),
    read: async () => sourceOf(stored.whole ?? Buffer.alloc(0)),
    write: async (_path, bytes, call) => {
      const begun = (stored.partial ?? Buffer.alloc(0)).subarray(0, call.resume?.ranges[0]?.end ?? 0);
      const chunks: Buffer[] = [begun];
      const keep = () => {
        if (call.onPartial) stored.partial = Buffer.concat(chunks);
      };
      call.onPartial?.('secret handle');
      try {
        await collect(bytes, chunks);
      } finally {
        keep();
      }
      return {
        commit: async () => {
          commitsToFail -= 1;
          if (commitsToFail >= 0) throw new TransferError('unavailable', 'down');
          stored.whole = Buffer.concat(chunks);
          stored.partial = undefined;
          return { size: stored.whole.length, digests: [] };
        },
        abort: async (options) => {
          if (!options?.keep) stored.partial = undefined;
        },
      };
    },
    partial: async (_path, { handle }) => {
      if (isDown) throw new TransferError('unavailable', 'down');
      return handle === 'secret handle' && stored.partial ? partialWrite(stored.partial) : undefined;
    },
  };

  return {
    state,
    content,
    stored,
    reads,
    from,
    to,
    failCommits: (count: number) => {
      commitsToFail = count;
    },
    setDown: (value: boolean) => {
      isDown = value;
    },
    transfer: (more: { readonly checksums?: readonly ['sha256']; readonly attempts?: number } = {}) => {
      reads.length = 0;
      return runAll([transferOf('http://from/file', 'http://to/file')], {
        options: { state, attempts: more.attempts ?? 1, checksums: more.checksums ?? [] },
        open: ({ location }) => (location.authority === 'from' ? from : to),
      });
    },
  };
}

async function collect(bytes: Bytes, chunks: Buffer[]): Promise<void> {
  for await (const chunk of bytes) chunks.push(Buffer.from(chunk));
}

function sourceOf(bytes: Buffer): Source {
  return {
    type: 'file',
    size: bytes.length,
    bytes: (async function* () {
      for (let at = 0; at < bytes.length; at += MIB) yield bytes.subarray(at, at + MIB);
    })(),
  };
}

/** A transfer that broke off after 13 MiB. */
async function broken(proof: Proof) {
  const all = scene(proof);
  all.content.breaksAt = 13 * MIB;
  const { outcome } = await all.transfer();
  expect(outcome.failure?.code).toBe('no-space');
  expect(all.stored.partial?.length).toBe(13 * MIB);
  all.content.breaksAt = Number.POSITIVE_INFINITY;
  return all;
}

describe('P4 an upload that broke off', () => {
  test('goes on behind what the service acknowledged, and reads nothing again', async () => {
    const all = await broken('acknowledged');
    const { outcome } = await all.transfer();
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 13 * MIB });
    expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
    expect(all.reads.every((start) => start === 13 * MIB)).toBe(true);
    expect(listRemoteJournals(all.state)).toEqual([]);
  });

  test('reads the source again where a digest of the whole is wanted, and says how much', async () => {
    const all = await broken('acknowledged');
    const { outcome } = await all.transfer({ checksums: ['sha256'] });
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 13 * MIB });
    const note = `resumed at byte ${13 * MIB}: an earlier attempt left it; ${13 * MIB} bytes of the source were read again for its digest`;
    expect(outcome.notes).toContain(note);
    expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
  });

  test('goes on behind the last block that reading back proves', async () => {
    const all = await broken('read');
    const { outcome } = await all.transfer({ checksums: ['sha256'] });
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 12 * MIB });
    expect(all.reads).toEqual([12 * MIB]);
    expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
  });

  test('is proven again where a hole was left in what is stored', async () => {
    const all = await broken('read');
    all.stored.partial?.fill(0, 9 * MIB, 9 * MIB + 10);
    const { outcome } = await all.transfer();
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 8 * MIB });
    expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
  });

  test('starts over where nothing can prove it, and says so', async () => {
    const all = await broken('none');
    const { outcome } = await all.transfer();
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 0 });
    expect(outcome.notes).toContain('started over: nothing of the interrupted transfer could be proven');
  });

  test.each<Proof>(['acknowledged', 'read'])(
    'starts over when the source changed, and says so (%s)',
    async (proof) => {
      const all = await broken(proof);
      all.content.bytes = randomBytes(SIZE);
      all.content.version = 'v2';
      const { outcome } = await all.transfer();
      expect(outcome).toMatchObject({ status: 'done', resumedFrom: 0 });
      expect(outcome.notes).toContain('started over: the source changed since the interrupted transfer');
      expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
    },
  );

  test('starts over when the service ignores which version it is asked for', async () => {
    const all = await broken('acknowledged');
    all.content.bytes = randomBytes(SIZE);
    all.content.version = 'v2';
    all.content.isCareless = true;
    const { outcome } = await all.transfer();
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 0 });
    expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
  });

  test('starts over when the bytes of the source are others under the same version', async () => {
    const all = await broken('acknowledged');
    all.content.bytes = randomBytes(SIZE);
    const { outcome } = await all.transfer({ checksums: ['sha256'] });
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 0 });
    expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
  });

  test('starts over when the service has nothing left', async () => {
    const all = await broken('acknowledged');
    all.stored.partial = undefined;
    const { outcome } = await all.transfer();
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 0 });
    expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
  });

  test('is found again by the next round of the same run', async () => {
    const all = scene('acknowledged');
    all.failCommits(1);
    const { outcome } = await all.transfer({ attempts: 2 });
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: SIZE });
    expect(outcome.attempts).toHaveLength(2);
    expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
    expect(listRemoteJournals(all.state)).toEqual([]);
  });

  test('stays written down while the service cannot be asked', async () => {
    const all = await broken('acknowledged');
    all.setDown(true);
    expect((await all.transfer()).outcome.failure?.code).toBe('unavailable');
    all.setDown(false);
    expect((await all.transfer()).outcome).toMatchObject({ status: 'done', resumedFrom: 13 * MIB });
  });

  test('whose content was found wrong is of no use: it is removed there and here', async () => {
    const all = scene('acknowledged');
    const expected = [{ algorithm: 'sha256' as const, value: 'f'.repeat(64) }];
    const request = transferOf('http://from/file', 'http://to/file', { expected });
    const { outcome } = await runAll([request], {
      options: { state: all.state, attempts: 1 },
      open: ({ location }) => (location.authority === 'from' ? all.from : all.to),
    });
    expect(outcome.failure?.code).toBe('digest-mismatch');
    expect(all.stored).toEqual({ partial: undefined, whole: undefined });
    expect(listRemoteJournals(all.state)).toEqual([]);
  });

  test.each<[string, (path: string) => void]>([
    ['is garbage', (path) => fs.writeFileSync(path, 'garbage')],
    ['is empty', (path) => fs.writeFileSync(path, '')],
    [
      'is a link to another file',
      (path) => {
        fs.rmSync(path);
        fs.symlinkSync('/etc/passwd', path);
      },
    ],
    [
      'is about another destination',
      (path) => {
        fs.writeFileSync(path, fs.readFileSync(path, 'utf8').replace('http://to/file', 'http://to/other'));
      },
    ],
  ])('starts over when its journal %s', async (_, spoil) => {
    const all = await broken('acknowledged');
    spoil(journalIn(all.state));
    const { outcome } = await all.transfer();
    expect(outcome).toMatchObject({ status: 'done', resumedFrom: 0 });
    expect(all.stored.whole?.equals(all.content.bytes)).toBe(true);
  });

  test('P10 keeps its handle in a file of its own that nobody else can read', async () => {
    const all = await broken('acknowledged');
    const folder = join(all.state, 'partials');
    expect(fs.statSync(folder).mode & 0o777).toBe(0o700);
    const names = fs.readdirSync(folder);
    expect(names).toHaveLength(2);
    for (const name of names) {
      expect(fs.statSync(join(folder, name)).mode & 0o777).toBe(0o600);
      expect(fs.readFileSync(join(folder, name), 'utf8').includes('secret')).toBe(name.endsWith('.handle'));
    }
  });

  test('P9 without a place for journals leaves nothing on the service', async () => {
    const all = scene('acknowledged');
    fs.mkdirSync(all.state, { recursive: true });
    fs.writeFileSync(join(all.state, 'partials'), 'a file where the folder should be');
    all.content.breaksAt = 13 * MIB;
    const { outcome, events } = await all.transfer();
    expect(outcome.failure?.code).toBe('no-space');
    expect(all.stored.partial).toBeUndefined();
    expect(events.filter(({ type }) => type === 'warning')).toHaveLength(1);
  });
});

function journalIn(state: string): string {
  const folder = join(state, 'partials');
  const name = fs.readdirSync(folder).find((one) => one.endsWith('.journal'));
  return join(folder, name ?? '');
}

describe('journals of partials on services', () => {
  const journalsIn = (state: string) => createRemoteJournals(state, () => undefined);

  function leftBy(writer: string, state: string, key = KEY): string {
    const folder = join(state, 'partials');
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    const stem = join(folder, `${key}-${writer}-1`);
    fs.writeFileSync(`${stem}.journal`, `${JSON.stringify({ bridle: 1, ...HEADER })}\n`, { mode: 0o600 });
    fs.writeFileSync(`${stem}.handle`, JSON.stringify({ bridle: 1, handle: 'h' }), { mode: 0o600 });
    return stem;
  }

  test('L10 what a dead writer left is taken over, by one', () => {
    const state = scratch();
    leftBy(DEAD, state);
    const [one, other] = [journalsIn(state), journalsIn(state)];
    const claimed = one.claim(KEY);
    expect(claimed?.handle()).toBe('h');
    expect(claimed?.found?.header).toMatchObject(HEADER);
    expect(other.claim(KEY)).toBeUndefined();
    claimed?.remove();
    expect(fs.readdirSync(join(state, 'partials'))).toEqual([]);
  });

  test('L13 what a live writer works on is not taken: another write has a name of its own', () => {
    const state = scratch();
    const foreign = `ffffffff${DEAD.slice(8)}`;
    const stem = leftBy(foreign, state);
    const journals = journalsIn(state);
    expect(journals.claim(KEY)).toBeUndefined();
    const mine = journals.create(KEY);
    mine?.keepHandle('mine');
    afterwards(() => mine?.remove());
    expect(fs.readFileSync(`${stem}.handle`, 'utf8')).toContain('"h"');
    expect(listRemoteJournals(state).map(({ isInUse }) => isInUse)).toEqual([true, true]);
  });

  test('L13 what this process holds is not taken by another run of it', () => {
    const state = scratch();
    const held = journalsIn(state).create(KEY);
    held?.open(HEADER, []).close();
    expect(journalsIn(state).claim(KEY)).toBeUndefined();
    held?.release();
    const again = journalsIn(state).claim(KEY);
    expect(again?.found?.header).toMatchObject(HEADER);
    again?.remove();
  });

  test('L10 a kill between two renames leaves a journal and a handle that find each other', () => {
    const state = scratch();
    const stem = leftBy(DEAD, state);
    fs.renameSync(`${stem}.journal`, `${stem.slice(0, -1)}2.journal`);
    const claimed = journalsIn(state).claim(KEY);
    expect(claimed?.handle()).toBe('h');
    expect(claimed?.found?.header).toMatchObject(HEADER);
    claimed?.remove();
  });

  test.each([
    ['alone, whole', (stem: string) => fs.rmSync(`${stem}.handle`), '{"bridle":1,"handle":"new"}', 'new'],
    ['alone, cut short', (stem: string) => fs.rmSync(`${stem}.handle`), '{"bridle":1,"han', undefined],
    ['beside the one before', () => undefined, '{"bridle":1,"handle":"new"}', 'h'],
  ])(
    'L10 P9 a handle that a kill left unfinished (%s) is taken over and cleared away',
    (_, spoil, text, handle) => {
      const state = scratch();
      const stem = leftBy(DEAD, state);
      spoil(stem);
      if (handle !== 'h') fs.rmSync(`${stem}.journal`);
      fs.writeFileSync(`${stem}.handle.new`, text, { mode: 0o600 });
      const claimed = journalsIn(state).claim(KEY);
      expect(claimed?.handle()).toBe(handle);
      claimed?.remove();
      expect(fs.readdirSync(join(state, 'partials'))).toEqual([]);
    },
  );

  test('S12 a handle that others can write is not believed', () => {
    const state = scratch();
    fs.chmodSync(`${leftBy(DEAD, state)}.handle`, 0o666);
    const claimed = journalsIn(state).claim(KEY);
    expect(claimed?.handle()).toBeUndefined();
    claimed?.remove();
  });

  test('S3 a folder that others may write to is not believed', () => {
    const state = scratch();
    leftBy(DEAD, state);
    fs.chmodSync(join(state, 'partials'), 0o777);
    const warnings: string[] = [];
    const journals = createRemoteJournals(state, (_key, message) => warnings.push(message));
    expect(journals.claim(KEY)).toBeUndefined();
    expect(journals.create(KEY)).toBeUndefined();
    expect(warnings).toHaveLength(1);
  });

  test('P11 a journal beyond all bounds is not read', () => {
    const state = scratch();
    fs.truncateSync(`${leftBy(DEAD, state)}.journal`, 64 * MIB);
    const claimed = journalsIn(state).claim(KEY);
    expect(claimed?.found).toBeUndefined();
    claimed?.remove();
  });

  test('a handle that grows is whole at any moment, and up to date when left', () => {
    const state = scratch();
    const held = journalsIn(state).create(KEY);
    for (let parts = 1; parts <= 100; parts += 1) held?.keepHandle(`parts: ${parts}`);
    held?.release();
    const again = journalsIn(state).claim(KEY);
    expect(again?.handle()).toBe('parts: 100');
    again?.remove();
  });

  test('L10 a handle that has stopped growing is written down all the same, and not after it was removed', async () => {
    const state = scratch();
    const held = journalsIn(state).create(KEY);
    held?.open(HEADER, []).close();
    const [name = ''] = fs.readdirSync(join(state, 'partials'));
    const path = join(state, 'partials', name.replace('.journal', '.handle'));
    for (let parts = 1; parts <= 4; parts += 1) held?.keepHandle(`parts: ${parts}`);
    await expect.poll(() => fs.readFileSync(path, 'utf8')).toContain('parts: 4');
    held?.keepHandle('parts: 5');
    held?.keepHandle('parts: 6');
    held?.remove();
    const other = journalsIn(state).create(KEY);
    other?.keepHandle('a');
    other?.keepHandle('b');
    const isWritten = () =>
      fs
        .readdirSync(join(state, 'partials'))
        .map((one) => fs.readFileSync(join(state, 'partials', one), 'utf8'));
    // Timers run in order: behind this one, that of the removed handle would have.
    await expect.poll(isWritten).toEqual([JSON.stringify({ bridle: 1, handle: 'b' })]);
    other?.remove();
  });

  test('those who clean up see what is left, and when it was last touched', () => {
    const state = scratch();
    leftBy(DEAD, state);
    const [left] = listRemoteJournals(state);
    expect(left).toMatchObject({ key: KEY, destination: 'b', isInUse: false });
    expect(Date.now() - (left?.touched ?? 0)).toBeLessThan(60_000);
  });
});

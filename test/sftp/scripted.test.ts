import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { connectScripted, type SftpFaults, type SftpFiles } from '../../fixtures/misbehaving/sftp.ts';
import { FULL_HINT, TransferError } from '../../src/errors.ts';
import { isPartialName } from '../../src/partial-name.ts';
import type { RetryUnit, WriteCall } from '../../src/protocol.ts';
import { createPartialBook } from '../../src/sftp/partials.ts';
import { openSession } from '../../src/sftp/session.ts';
import { createSessions, type Sessions } from '../../src/sftp/sessions.ts';
import { writeStaged } from '../../src/sftp/sink.ts';
import { openSource } from '../../src/sftp/source.ts';
import { MESSAGE } from '../../src/sftp/wire.ts';

const MIB = 1024 * 1024;
const { signal } = new AbortController();
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
process.stdout.write(`sftp: seed ${seed} (SEED)\n`);
/** Quick, because nothing here is ever slow without being silent for good. */
const WAITS = { open: 5, stall: 0.2, slow: 0.2 };

const opened: Sessions[] = [];
afterEach(async () => {
  for (const sessions of opened.splice(0)) await sessions.close();
});

/** Sessions with servers that misbehave, one script for each connection in turn and the last for all after. */
function sessionsWith(files: SftpFiles, ...scripts: readonly SftpFaults[]): Sessions {
  let connections = 0;
  const sessions = createSessions(() => {
    const faults = scripts[Math.min(connections, scripts.length - 1)] ?? {};
    connections += 1;
    const why = () => new TransferError('unavailable', 'the connection ended');
    return openSession(connectScripted(files, faults, why), WAITS);
  });
  opened.push(sessions);
  return sessions;
}

async function read(sessions: Sessions, path = '/file'): Promise<Buffer> {
  const source = await openSource(sessions, path, { signal });
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.bytes) chunks.push(Buffer.from(chunk));
  await source.confirm?.();
  return Buffer.concat(chunks);
}

async function* chunksOf(content: Uint8Array) {
  for (let at = 0; at < content.length; at += MIB) yield content.subarray(at, at + MIB);
}

const once: RetryUnit = (unit) => unit(signal);

function write(sessions: Sessions, content: Uint8Array, more: Partial<WriteCall> = {}, path = '/file') {
  const tools = { sessions, book: createPartialBook() };
  const call = { key: 'c0ffee00'.repeat(4), signal, retry: once, size: content.length, ...more };
  return writeStaged(tools, path, chunksOf(content), call);
}

/** Numbers from 0 to 1, the same in every run with one seed. */
function draws(): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function partialsIn(files: SftpFiles): string[] {
  return [...files.keys()].filter((path) => isPartialName(path.slice(1)));
}

describe('reading', () => {
  const content = randomBytes(5 * MIB + 11);

  test('P1 answers in any order, each shorter than asked for, are put together right', async () => {
    const sessions = sessionsWith(new Map([['/file', content]]), { shuffle: draws(), shortReads: 7001 });
    expect((await read(sessions)).equals(content)).toBe(true);
  });

  test('L5 a file that became shorter is `changed`: it is not read for ever, and not taken for whole', async () => {
    const sessions = sessionsWith(new Map([['/file', content]]), { shrinksTo: 3 * MIB });
    await expect(read(sessions)).rejects.toMatchObject({ code: 'changed' });
  });

  test('a file whose size is said to be 0 is read to its end', async () => {
    const small = content.subarray(0, 100_000);
    const sessions = sessionsWith(new Map([['/file', small]]), { saysEmpty: true });
    expect((await read(sessions)).equals(small)).toBe(true);
  });

  test('F4 P7 a server that falls silent is `stalled`', async () => {
    const sessions = sessionsWith(new Map([['/file', content]]), {
      silentAt: { type: MESSAGE.read, count: 20 },
    });
    await expect(read(sessions)).rejects.toMatchObject({ code: 'stalled', transient: true });
  });

  test('F2 what breaks off in the middle is `unavailable`, and the next read is over a new connection', async () => {
    const files = new Map([['/file', content]]);
    const sessions = sessionsWith(files, { endsAt: { type: MESSAGE.read, count: 20, when: 'before' } }, {});
    await expect(read(sessions)).rejects.toMatchObject({ code: 'unavailable' });
    expect((await read(sessions)).equals(content)).toBe(true);
  });

  test('F3 more data than was asked for ends the session', async () => {
    const sessions = sessionsWith(new Map([['/file', content]]), { excess: 1 });
    await expect(read(sessions)).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('a shell that prints something is told of', async () => {
    const sessions = sessionsWith(new Map(), { greeting: 'Welcome to this host\n' });
    await expect(read(sessions)).rejects.toMatchObject({
      message: expect.stringContaining('"Welco"'),
      hint: expect.stringContaining('start-up file'),
    });
  });
});

describe('writing', () => {
  const content = randomBytes(3 * MIB + 5);

  test('P1 answers in any order store every byte, and the name changes in one step', async () => {
    const files: SftpFiles = new Map([['/file', Buffer.from('old')]]);
    const extensions = ['posix-rename@openssh.com', 'fsync@openssh.com'];
    const staged = await write(sessionsWith(files, { shuffle: draws(), extensions }), content);
    expect(String(files.get('/file'))).toBe('old');
    await staged.commit(signal);
    expect(files.get('/file')?.equals(content)).toBe(true);
    expect(partialsIn(files)).toEqual([]);
  });

  test('P2 bytes that the server acknowledged and did not keep are found before they are visible', async () => {
    const files: SftpFiles = new Map([['/file', Buffer.from('old')]]);
    const staged = await write(sessionsWith(files, { losesBytes: true }), content);
    await expect(staged.commit(signal)).rejects.toMatchObject({ code: 'size-mismatch' });
    expect(String(files.get('/file'))).toBe('old');
    expect(partialsIn(files)).toEqual([]);
  });

  test('L5 a source that became shorter is `size-mismatch`; the write ends and leaves nothing', async () => {
    const files: SftpFiles = new Map();
    const writing = write(sessionsWith(files, {}), content, { size: content.length + MIB });
    await expect(writing).rejects.toMatchObject({ code: 'size-mismatch' });
    expect([...files.keys()]).toEqual([]);
  });

  test('P1 a handle is closed once: the server gives it to the next file at once', async () => {
    const files: SftpFiles = new Map();
    let strayCloses = 0;
    const onStrayClose = () => {
      strayCloses += 1;
    };
    const sessions = sessionsWith(files, { extensions: ['posix-rename@openssh.com'], onStrayClose });
    const names = Array.from({ length: 12 }, (_, index) => `/many-${index}`);
    await Promise.all(
      names.map(async (name, index) => {
        const own = content.subarray(0, MIB + index * 200_000);
        await (await write(sessions, own, {}, name)).commit(signal);
        expect(files.get(name)?.equals(own)).toBe(true);
      }),
    );
    for (const name of names) expect((await read(sessions, name)).length).toBeGreaterThan(0);
    // Answered in order: behind this one, every CLOSE was seen.
    await (await openSource(sessions, '/many-0', { signal })).discard?.();
    expect(strayCloses).toBe(0);
  });

  test('F22 a rename whose answer is lost is not made twice, and not taken for failed', async () => {
    const files: SftpFiles = new Map([['/file', Buffer.from('old')]]);
    const extensions = ['posix-rename@openssh.com'];
    const sessions = sessionsWith(
      files,
      { extensions, losesAnswerTo: 'posix-rename@openssh.com' },
      { extensions },
    );
    const retry: RetryUnit = (unit) => unit(signal).catch(() => unit(signal));
    const staged = await write(sessions, content, { retry });
    expect(await staged.commit(signal)).toMatchObject({ size: content.length });
    expect(files.get('/file')?.equals(content)).toBe(true);
  });

  test('P4 a write that broke off keeps what was acknowledged, and only that', async () => {
    const files: SftpFiles = new Map();
    const sessions = sessionsWith(files, { endsAt: { type: MESSAGE.write, count: 60, when: 'before' } }, {});
    const writing = write(sessions, content, { onPartial: () => undefined });
    await expect(writing).rejects.toMatchObject({ code: 'unavailable' });
    const [partial = ''] = partialsIn(files);
    const stored = files.get(partial) ?? Buffer.alloc(0);
    expect(stored.length).toBeGreaterThan(0);
    expect(content.subarray(0, stored.length).equals(stored)).toBe(true);
  });

  test('L1 a full disk is `no-space`, not just a failure', async () => {
    const extensions = ['statvfs@openssh.com'];
    const early = write(sessionsWith(new Map(), { extensions, free: MIB }), content);
    await expect(early).rejects.toMatchObject({ code: 'no-space', transient: false, hint: FULL_HINT });
    const small = content.subarray(0, 1000);
    const late = write(sessionsWith(new Map(), { extensions, free: 0, writeStatus: 4 }), small);
    await expect(late).rejects.toMatchObject({ code: 'no-space', hint: FULL_HINT });
  });

  test('F4 P7 a server that falls silent is `stalled`', async () => {
    const files: SftpFiles = new Map();
    const silent = { silentAt: { type: MESSAGE.write, count: 10 } };
    await expect(write(sessionsWith(files, silent), content)).rejects.toMatchObject({ code: 'stalled' });
  });
});

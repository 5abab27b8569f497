import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TransferError } from '../src/errors.ts';
import { startDigest } from '../src/integrity/digests.ts';
import type { Bytes, Endpoint, Entry, Leftover, Staged, WriteCall } from '../src/protocol.ts';
import { expectNoNewDescriptors, openDescriptors } from './faults/scene.ts';

/** One real service, with a way to look at it from the side. */
export interface Subject {
  readonly endpoint: Endpoint;
  /** The path of a name below an empty place of its own; of that place for `''`. */
  path(name: string): string;
  /** What is stored under the name, looked at past the endpoint; undefined when there is nothing. */
  look(name: string): Promise<Uint8Array | undefined>;
  /** Stores it past the endpoint. */
  put(name: string, content: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** What a service cannot do by its nature, however good the protocol's code is. */
export interface Limits {
  /** A directory is there while something is in it, and no longer. */
  readonly noEmptyDirectories?: boolean;
  /** Writes are kept in parts of megabytes and found by their handle alone; a test of its own shows how one goes on. */
  readonly keepsParts?: boolean;
  /** The service does not tell what it keeps of unfinished writes: only a handle leads there. */
  readonly tellsNoLeftovers?: boolean;
  /** A write that was broken off begins anew: nothing that was kept can be gone on with. */
  readonly startsOver?: boolean;
  /** What an unfinished or taken back write leaves can be seen. */
  readonly notAtomic?: boolean;
  /** Bytes at the end of what came that a kept write may be without: the last part waits for commit. 0 without it. */
  readonly heldBack?: number;
  /** Names that the service refuses for what they are. */
  readonly refusedNames?: readonly string[];
  /** Its links are symbolic: a server without the extension for hard ones. */
  readonly noHardLinks?: boolean;
}

const MIB = 1024 * 1024;
const SIZES = [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, MIB - 1, MIB, MIB + 1, 9 * MIB];
const NAMES = [
  'plain',
  'with spaces',
  `quotes'"\``,
  'new\nline',
  '#hash',
  '%2F',
  'question?mark',
  'emoji 🦜',
  'x'.repeat(255),
  '-rf',
  'plus+and&amp',
];
const CAPABILITIES = [
  'write',
  'partial',
  'list',
  'mkdir',
  'remove',
  'move',
  'copy',
  'link',
  'digest',
  'leftovers',
  'describe',
] as const satisfies readonly (keyof Endpoint)[];

const never = new AbortController().signal;
const call = { signal: never };
const key = 'c0ffee00c0ffee00c0ffee00c0ffee00';
const whole: Pick<WriteCall, 'signal' | 'key' | 'retry'> = {
  signal: never,
  key,
  retry: (unit) => unit(never),
};

async function* chunksOf(content: Uint8Array, size = MIB): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function collect(bytes: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) {
    expect(chunk.length).toBeLessThanOrEqual(MIB);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error) => {
      expect(error).toBeInstanceOf(TransferError);
      return error.code;
    },
  );
}

/**
 * What `src/protocol.ts` promises of every endpoint, method by method. `start` makes the subject before the first test;
 * `limits` is what the service cannot do.
 */
export function conformance(title: string, start: () => Promise<Subject>, limits: Limits = {}): void {
  describe(title, () => {
    let subject: Subject;
    let endpoint: Endpoint;
    let count = 0;
    beforeAll(async () => {
      subject = await start();
      endpoint = subject.endpoint;
    });
    afterAll(() => subject?.close());

    const possibleNames = NAMES.filter((name) => !limits.refusedNames?.includes(name));
    const heldBack = limits.heldBack ?? 0;

    /** A name that no other test uses. */
    const fresh = () => `file-${++count}`;
    const write = (name: string, content: Uint8Array, more: Partial<WriteCall> = {}): Promise<Staged> =>
      endpoint.write!(subject.path(name), chunksOf(content), { ...whole, size: content.length, ...more });
    const store = async (name: string, content: Uint8Array, more: Partial<WriteCall> = {}) =>
      (await write(name, content, more)).commit(never);
    /** Local partials are found by the journal that their writer puts beside them. */
    const keepJournal = (handle: string) => {
      if (endpoint.isLocal) writeFileSync(`${handle}.journal`, '');
    };
    /** Runs what needs a capability; says so where it is absent. */
    const needs = (capability: (typeof CAPABILITIES)[number], name: string, body: () => Promise<void>) =>
      test(name, async ({ skip }) => {
        if (!endpoint[capability]) return skip(`${title} cannot ${capability}`);
        return body();
      });

    test('says what it cannot do', () => {
      const absent = CAPABILITIES.filter((capability) => !endpoint[capability]);
      for (const capability of absent) process.stdout.write(`${title}: cannot ${capability}\n`);
      if (limits.notAtomic) process.stdout.write(`${title}: not atomic\n`);
      expect(endpoint.service).not.toBe('');
    });

    describe('stat', () => {
      test('of something absent is `not-found`', async () => {
        expect(await code(endpoint.stat(subject.path(fresh()), call))).toBe('not-found');
      });

      test('tells type and size', async () => {
        const name = fresh();
        await subject.put(name, Buffer.from('twelve bytes'));
        expect(await endpoint.stat(subject.path(name), call)).toMatchObject({ type: 'file', size: 12 });
      });

      test('tells another version when the content is another', async () => {
        const name = fresh();
        await subject.put(name, Buffer.from('first'));
        const { version } = await endpoint.stat(subject.path(name), call);
        await subject.put(name, Buffer.from('other length'));
        const later = await endpoint.stat(subject.path(name), call);
        if (version !== undefined) expect(later.version).not.toBe(version);
      });
    });

    describe('read', () => {
      const content = randomBytes(3 * MIB + 17);
      const path = () => subject.path('to-read');
      beforeAll(() => subject.put('to-read', content));

      test('of something absent is `not-found`', async () => {
        expect(await code(endpoint.read(subject.path(fresh()), call))).toBe('not-found');
      });

      test.each([false, true])(
        'gives every byte, and the size before the first (fresh: %s)',
        async (isFresh) => {
          const source = await endpoint.read(path(), { ...call, fresh: isFresh });
          expect(source.size).toBe(content.length);
          expect((await collect(source.bytes)).equals(content)).toBe(true);
          await source.confirm?.();
          await source.trailer?.();
        },
      );

      test.each([0, 1])('gives a file of %d bytes', async (size) => {
        const name = fresh();
        await subject.put(name, Buffer.alloc(size, 7));
        const source = await endpoint.read(subject.path(name), call);
        expect(await collect(source.bytes)).toEqual(Buffer.alloc(size, 7));
      });

      test.each([
        ['from the start', 0, 1000],
        ['across chunks', MIB - 3, MIB + 3],
        ['to the end', 3 * MIB, undefined],
        ['past the end', 3 * MIB, 100 * MIB],
        ['the last byte', 3 * MIB + 16, undefined],
      ])('gives a range %s', async (_, from, end) => {
        const range = end === undefined ? { start: from } : { start: from, end };
        const source = await endpoint.read(path(), { ...call, range });
        expect(source.size).toBe(content.length);
        expect((await collect(source.bytes)).equals(content.subarray(from, end))).toBe(true);
      });

      test('of a range that begins behind the end gives no byte', async () => {
        const range = { start: content.length + 5 };
        expect(['changed', 'range-ignored']).toContain(await code(endpoint.read(path(), { ...call, range })));
      });

      test('of a version gives that version', async () => {
        const { version } = await endpoint.stat(path(), call);
        if (version === undefined) return;
        const source = await endpoint.read(path(), { ...call, version, range: { start: 5 } });
        expect(source.version).toBe(version);
        expect((await collect(source.bytes)).equals(content.subarray(5))).toBe(true);
      });

      test('of a version that is no more is `changed`, before any byte', async () => {
        const name = fresh();
        await subject.put(name, Buffer.from('first'));
        const { version } = await endpoint.stat(subject.path(name), call);
        if (version === undefined) return;
        await subject.put(name, Buffer.from('second one'));
        const at = subject.path(name);
        expect(await code(endpoint.read(at, { ...call, version }))).toBe('changed');
        expect(await code(endpoint.read(at, { ...call, version, range: { start: 2 } }))).toBe('changed');
      });

      test('P9 a reader that leaves early holds nothing', async () => {
        const before = openDescriptors();
        for (let round = 0; round < 20; round += 1) {
          const source = await endpoint.read(path(), call);
          for await (const _ of source.bytes) break;
        }
        await settled(before);
      });

      test('P9 a source that is never read holds nothing once it is discarded', async () => {
        const before = openDescriptors();
        for (let round = 0; round < 20; round += 1) await (await endpoint.read(path(), call)).discard?.();
        await settled(before);
      });

      test('P8 that is canceled rejects with `canceled`, at the start and in the middle', async () => {
        const before = openDescriptors();
        const early = endpoint.read(path(), { signal: AbortSignal.abort() }).then((s) => collect(s.bytes));
        expect(await code(early)).toBe('canceled');
        const controller = new AbortController();
        const source = await endpoint.read(path(), { signal: controller.signal });
        const reading = (async () => {
          for await (const _ of source.bytes) controller.abort();
        })();
        const ended = await code(reading);
        // What was on its way already may still come to its end.
        expect(['canceled', 'no error']).toContain(ended);
        await settled(before);
      });

      /** Connections may be kept for later use, a few. */
      async function settled(before: readonly string[]): Promise<void> {
        if (endpoint.isLocal) return expectNoNewDescriptors(before);
        expect(openDescriptors().length - before.length).toBeLessThanOrEqual(4);
      }
    });

    describe('write', () => {
      test.each(SIZES)('stores %d bytes', async (size) => {
        if (!endpoint.write) return;
        const name = fresh();
        const content = Buffer.alloc(size, 'stored');
        const stored = await store(name, content);
        expect(stored.size === undefined || stored.size === size).toBe(true);
        for (const digest of stored.digests) {
          const running = await startDigest(digest.algorithm);
          running.update(content);
          expect(digest.value).toBe(running.end());
        }
        expect(Buffer.compare((await subject.look(name)) ?? Buffer.from('absent'), content)).toBe(0);
      });

      needs('write', 'stores bytes whose size nobody knew', async () => {
        for (const size of [0, 5, MIB + 1]) {
          const name = fresh();
          await store(name, Buffer.alloc(size, 3), { size: undefined });
          expect((await subject.look(name))?.length).toBe(size);
        }
      });

      needs('write', 'P1 shows nothing before commit, and the old content until then', async () => {
        if (limits.notAtomic) return;
        for (const size of [1, MIB, 9 * MIB]) {
          const name = fresh();
          const first = await write(name, Buffer.alloc(size, 1));
          expect(await subject.look(name)).toBeUndefined();
          await first.commit(never);
          const second = await write(name, Buffer.alloc(size, 2));
          expect((await subject.look(name))?.[0]).toBe(1);
          await second.commit(never);
          expect((await subject.look(name))?.[0]).toBe(2);
        }
      });

      needs('write', 'P1 that is taken back leaves what was there', async () => {
        if (limits.notAtomic) return;
        for (const size of [0, 1, MIB, 9 * MIB]) {
          const name = fresh();
          await (await write(name, Buffer.alloc(size, 1))).abort();
          expect(await subject.look(name)).toBeUndefined();
          await subject.put(name, Buffer.from('old'));
          await (await write(name, Buffer.alloc(size, 2))).abort();
          expect(String(await subject.look(name))).toBe('old');
        }
      });

      needs('write', 'P2 of another size than was said is `size-mismatch` and leaves nothing', async () => {
        for (const size of [10, 2 * MIB]) {
          for (const wrong of [size - 1, size + 1]) {
            const name = fresh();
            const before = openDescriptors().length;
            const writing = write(name, Buffer.alloc(size), { size: wrong }).then((s) => s.commit(never));
            expect(await code(writing)).toBe('size-mismatch');
            expect(await subject.look(name)).toBeUndefined();
            if (endpoint.isLocal) expect(openDescriptors()).toHaveLength(before);
          }
        }
      });

      needs('write', 'P1 whose source breaks rejects with what broke it and leaves nothing', async () => {
        for (const size of [10, 3 * MIB]) {
          const name = fresh();
          async function* broken() {
            yield Buffer.alloc(size - 1);
            throw new TransferError('stalled', 'the source fell silent');
          }
          const writing = endpoint.write!(subject.path(name), broken(), { ...whole, size });
          expect(await code(writing.then((staged) => staged.commit(never)))).toBe('stalled');
          expect(await subject.look(name)).toBeUndefined();
        }
      });

      needs('write', 'P8 that is canceled in the middle leaves nothing', async () => {
        const name = fresh();
        const controller = new AbortController();
        const { signal } = controller;
        async function* bytes() {
          yield Buffer.alloc(MIB);
          controller.abort();
          if (signal.aborted) throw new TransferError('canceled', 'canceled');
          yield Buffer.alloc(MIB);
        }
        const writing = endpoint.write!(subject.path(name), bytes(), { ...whole, size: 2 * MIB, signal });
        expect(await code(writing.then((staged) => staged.commit(signal)))).toBe('canceled');
        expect(await subject.look(name)).toBeUndefined();
      });

      needs('write', 'makes the directories above', async () => {
        const name = `new-${++count}/deep/er/file`;
        await store(name, Buffer.from('deep'));
        expect(String(await subject.look(name))).toBe('deep');
      });

      needs('write', 'a staged copy that can be read back is what was written', async () => {
        for (const size of [5, 2 * MIB]) {
          const staged = await write(fresh(), Buffer.alloc(size, 9));
          const source = await staged.read?.(call);
          if (source) expect((await collect(source.bytes)).equals(Buffer.alloc(size, 9))).toBe(true);
          await staged.abort();
        }
      });

      needs('write', 'L14 keeps names to the byte', async () => {
        for (const name of limits.refusedNames ?? []) {
          expect(await code(write(name, Buffer.from(name))), name).toBe('invalid-request');
        }
        for (const name of possibleNames) {
          await store(name, Buffer.from(name));
          expect(String(await subject.look(name)), name).toBe(name);
          const source = await endpoint.read(subject.path(name), call);
          expect(String(await collect(source.bytes)), name).toBe(name);
          if (!endpoint.remove) continue;
          await endpoint.remove(subject.path(name), call);
          expect(await subject.look(name), name).toBeUndefined();
        }
      });

      needs(
        'partial',
        'P4 P9 that was kept where nothing can go on with it is nothing to build on',
        async () => {
          if (!limits.startsOver) return;
          for (const size of [undefined, 3 * MIB]) {
            const name = fresh();
            const handles: string[] = [];
            const onPartial = (handle: string) => void handles.push(handle);
            const staged = await write(name, Buffer.alloc(3 * MIB), { onPartial, size });
            await staged.abort({ keep: true });
            expect(handles).toEqual([]);
            expect(await endpoint.partial!(subject.path(name), { ...call, key })).toBeUndefined();
          }
        },
      );

      needs('partial', 'P4 that was kept is found again and gone on with', async () => {
        if (limits.keepsParts || limits.startsOver) return;
        const name = fresh();
        const sent = 2 * MIB + heldBack;
        const content = Buffer.alloc(sent + MIB, 'resume');
        let handle = '';
        const onPartial = (given: string) => {
          handle = given;
          keepJournal(given);
        };
        const staged = await write(name, content.subarray(0, sent), { onPartial, size: undefined });
        await staged.abort({ keep: true });
        expect(handle).not.toBe('');
        expect(await subject.look(name)).toBeUndefined();
        const claim = await endpoint.partial!(subject.path(name), { ...call, key, handle });
        const [stored] = claim?.ranges ?? [];
        expect(stored?.start).toBe(0);
        expect(stored?.end).toBeLessThanOrEqual(sent);
        expect(stored?.end).toBeGreaterThanOrEqual(sent - heldBack);
        // Nobody else gets what is claimed.
        expect(await endpoint.partial!(subject.path(name), { ...call, key, handle })).toBeUndefined();
        const resume = { ...claim!, ranges: [{ start: 0, end: MIB }] };
        const rest = endpoint.write!(subject.path(name), chunksOf(content.subarray(MIB)), {
          ...whole,
          size: content.length,
          resume,
        });
        await (await rest).commit(never);
        expect(Buffer.compare((await subject.look(name)) ?? Buffer.alloc(0), content)).toBe(0);
        expect(await endpoint.partial!(subject.path(name), { ...call, key, handle })).toBeUndefined();
      });

      needs('partial', 'P9 that was released without keeping is gone', async () => {
        if (limits.keepsParts || limits.startsOver) return;
        const name = fresh();
        let handle = '';
        const onPartial = (given: string) => {
          handle = given;
          keepJournal(given);
        };
        const staged = await write(name, Buffer.alloc(100 + heldBack), { onPartial });
        await staged.abort({ keep: true });
        const claim = await endpoint.partial!(subject.path(name), { ...call, key, handle });
        expect(claim).toBeDefined();
        await claim?.release(false);
        expect(await endpoint.partial!(subject.path(name), { ...call, key, handle })).toBeUndefined();
      });

      needs('write', 'keeps time and permissions where it tells them, and never setuid (S6)', async () => {
        const name = fresh();
        const modified = new Date(1_500_000_000_000);
        await store(name, Buffer.from('x'), { mode: 0o6750, modified });
        const stat = await endpoint.stat(subject.path(name), call);
        if (stat.mode === undefined) return;
        expect(stat.mode & 0o7000).toBe(0);
        expect(stat.mode & 0o700).toBe(0o700);
        expect(stat.modified).toEqual(modified);
      });
    });

    describe('directories', () => {
      async function names(path: string, recursive: boolean): Promise<string[]> {
        const entries: Entry[] = [];
        for await (const entry of endpoint.list!(path, { ...call, recursive })) entries.push(entry);
        return entries.map(({ name }) => name);
      }

      needs('mkdir', 'mkdir makes parents, and what exists is success', async () => {
        const path = subject.path('dirs/a/b');
        await endpoint.mkdir!(path, call);
        await endpoint.mkdir!(path, call);
        if (limits.noEmptyDirectories) await subject.put('dirs/a/b/file', Buffer.from('x'));
        expect(await endpoint.stat(path, call)).toMatchObject({ type: 'directory' });
      });

      needs('mkdir', 'mkdir where a file is is `already-exists`', async () => {
        const name = fresh();
        await subject.put(name, Buffer.from('file'));
        expect(await code(endpoint.mkdir!(subject.path(name), call))).toBe('already-exists');
      });

      needs('list', 'list tells what is there, in order, below when asked', async () => {
        for (const name of ['b', 'a/2', 'a/1', 'B', 'a/10', 'ä'])
          await subject.put(`listed/${name}`, Buffer.alloc(1));
        expect(await names(subject.path('listed'), false)).toEqual(['B', 'a', 'b', 'ä']);
        const all = ['B', 'a', 'a/1', 'a/10', 'a/2', 'b', 'ä'];
        expect(await names(subject.path('listed'), true)).toEqual(all);
      });

      needs('list', 'L14 list keeps names to the byte', async () => {
        for (const name of possibleNames) await subject.put(`named/${name}`, Buffer.alloc(1));
        expect((await names(subject.path('named'), true)).sort()).toEqual([...possibleNames].sort());
      });

      needs('list', 'list of something absent is `not-found`, of nothing is empty', async () => {
        expect(await code(names(subject.path(fresh()), false))).toBe('not-found');
        if (!endpoint.mkdir || limits.noEmptyDirectories) return;
        await endpoint.mkdir(subject.path('empty'), call);
        expect(await names(subject.path('empty'), true)).toEqual([]);
      });

      needs('list', 'P9 a listing that is left early holds nothing', async () => {
        for (const name of ['a', 'b', 'c']) await subject.put(`left/${name}`, Buffer.alloc(1));
        const before = openDescriptors();
        for (let round = 0; round < 20; round += 1) {
          for await (const _ of endpoint.list!(subject.path('left'), { ...call, recursive: true })) break;
        }
        await expectNoNewDescriptors(before);
      });

      needs('remove', 'remove of something absent is success', async () => {
        await endpoint.remove!(subject.path(fresh()), call);
        await endpoint.remove!(subject.path(`${fresh()}/below`), call);
      });

      needs('remove', 'remove takes a file away', async () => {
        const name = fresh();
        await subject.put(name, Buffer.from('gone'));
        await endpoint.remove!(subject.path(name), call);
        expect(await subject.look(name)).toBeUndefined();
      });

      needs('remove', 'remove takes a directory with everything below only when asked', async () => {
        if (!endpoint.mkdir) return;
        await subject.put('tree/deep/file', Buffer.from('x'));
        expect(await code(endpoint.remove!(subject.path('tree'), call))).toBe('already-exists');
        expect(await subject.look('tree/deep/file')).toBeDefined();
        await endpoint.remove!(subject.path('tree'), { ...call, recursive: true });
        expect(await code(endpoint.stat(subject.path('tree'), call))).toBe('not-found');
      });
    });

    describe('within the service', () => {
      needs('copy', 'copy is staged like a write', async () => {
        const [from, to] = [fresh(), fresh()];
        for (const size of [0, 1000, 2 * MIB]) {
          const content = Buffer.alloc(size, 'copy');
          await subject.put(from, content);
          await subject.put(to, Buffer.from('old'));
          const first = await endpoint.copy!(subject.path(from), subject.path(to), { ...call, key });
          expect(String(await subject.look(to))).toBe('old');
          await first.abort();
          expect(String(await subject.look(to))).toBe('old');
          const second = await endpoint.copy!(subject.path(from), subject.path(to), { ...call, key });
          await second.commit(never);
          expect(Buffer.compare((await subject.look(to)) ?? Buffer.alloc(1), content)).toBe(0);
        }
      });

      needs('copy', 'copy of something absent is `not-found`', async () => {
        const copying = endpoint.copy!(subject.path(fresh()), subject.path(fresh()), { ...call, key });
        expect(await code(copying)).toBe('not-found');
      });

      needs('copy', 'P8 a large copy that is canceled stops and leaves nothing', async () => {
        const [from, to] = [fresh(), fresh()];
        await subject.put(from, Buffer.alloc(9 * MIB));
        const controller = new AbortController();
        const progress = () => controller.abort();
        const copying = endpoint.copy!(subject.path(from), subject.path(to), {
          signal: controller.signal,
          key,
          progress,
        });
        const ended = await code(copying.then((staged) => staged.abort()));
        expect(['canceled', 'no error']).toContain(ended);
        expect(await subject.look(to)).toBeUndefined();
      });

      needs('move', 'move takes the file over, over what was there', async () => {
        const [from, to] = [fresh(), fresh()];
        await subject.put(from, Buffer.from('moved'));
        await subject.put(to, Buffer.from('old'));
        await endpoint.move!(subject.path(from), subject.path(to), { ...call, key });
        expect(String(await subject.look(to))).toBe('moved');
        expect(await subject.look(from)).toBeUndefined();
        const absent = endpoint.move!(subject.path(fresh()), subject.path(to), { ...call, key });
        expect(await code(absent)).toBe('not-found');
        expect(String(await subject.look(to))).toBe('moved');
      });

      needs('link', 'link makes links of both kinds, over what was there', async () => {
        const [target, path] = [fresh(), fresh()];
        await subject.put(target, Buffer.from('linked'));
        for (const kind of ['hard', 'symbolic', 'hard', 'hard', 'symbolic'] as const) {
          if (kind === 'hard' && limits.noHardLinks) continue;
          await endpoint.link!(subject.path(target), subject.path(path), { ...call, key, kind });
          expect(String(await subject.look(path)), kind).toBe('linked');
        }
        expect(String(await subject.look(target))).toBe('linked');
      });

      needs('digest', 'digests are those of the content, or none', async () => {
        const name = fresh();
        const content = Buffer.alloc(100_000, 'digest');
        await subject.put(name, content);
        for (const digest of await endpoint.digest!(subject.path(name), ['sha256', 'md5'], call)) {
          expect(digest.value).toBe(createHash(digest.algorithm).update(content).digest('hex'));
        }
        expect(await code(endpoint.digest!(subject.path(fresh()), ['sha256'], call))).toBe('not-found');
      });
    });

    describe('leftovers', () => {
      async function leftoversAt(path: string, of = key): Promise<Leftover[]> {
        const onProblem = (problem: TransferError) => expect.fail(problem.message);
        const found: Leftover[] = [];
        for await (const one of endpoint.leftovers!(path, { ...call, key: of, onProblem })) found.push(one);
        return found;
      }

      /** What a write to the name that was not ended leaves; its handle, where it told one. */
      async function leave(name: string): Promise<string | undefined> {
        if (limits.startsOver) {
          // Neither committed nor aborted, as by a kill before the last step.
          await write(name, Buffer.alloc(2 * MIB));
          return undefined;
        }
        let handle: string | undefined;
        const onPartial = (given: string) => {
          handle = given;
          keepJournal(given);
        };
        const content = Buffer.alloc((limits.keepsParts ? 18 : 2) * MIB + heldBack);
        await (await write(name, content, { onPartial, size: undefined })).abort({ keep: true });
        return handle;
      }

      needs(
        'leftovers',
        'P9 are told at the path and from above, change nothing, and go when asked',
        async () => {
          if (limits.tellsNoLeftovers) return;
          const top = `left-${++count}`;
          const name = `${top}/below/file`;
          const handle = await leave(name);
          for (const place of [name, `${top}/below`, top, `${top}/`]) {
            const [found, ...more] = await leftoversAt(subject.path(place));
            expect(found, place).toMatchObject({ kind: expect.stringMatching(/^(partial|upload)$/) });
            expect(more, place).toEqual([]);
            expect(found?.size).toBeGreaterThanOrEqual(2 * MIB);
            expect(found?.age ?? 0).toBeLessThan(3_600_000);
            if (handle !== undefined) expect(found?.isNamedBy?.(handle) ?? true).toBe(true);
            expect(found?.isNamedBy?.('of another') ?? false).toBe(false);
          }
          const [found] = await leftoversAt(subject.path(top));
          await found?.remove(call);
          await found?.remove(call);
          expect((await leftoversAt(subject.path(top))).filter(({ kind }) => kind !== 'folder')).toEqual([]);
          expect(await subject.look(name)).toBeUndefined();
        },
      );

      needs('leftovers', 'P9 beside a path are those of writes to it alone', async () => {
        if (limits.tellsNoLeftovers) return;
        const top = `left-${++count}`;
        await leave(`${top}/file`);
        await subject.put(`${top}/other`, Buffer.from('whole'));
        const others = await leftoversAt(subject.path(`${top}/other`), 'ab'.repeat(16));
        expect(others.filter(({ kind }) => kind !== 'folder')).toEqual([]);
        for (const one of await leftoversAt(subject.path(top))) await one.remove(call);
        expect(String(await subject.look(`${top}/other`))).toBe('whole');
      });
    });

    needs(
      'describe',
      'P10 describe tells plain words and numbers of the service, and changes nothing',
      async () => {
        await subject.put('described/file', Buffer.from('as it was'));
        for (const name of ['described/file', 'described/', 'described/absent']) {
          const facts = await endpoint.describe!(subject.path(name), call);
          expect(facts.length).toBeGreaterThan(0);
          for (const { label, text, bytes } of facts) {
            expect(label).toMatch(/^[a-z][ -~]*$/i);
            if (text !== undefined) expect(text).toMatch(/^[ -~]+$/);
            expect(bytes ?? 0).toBeGreaterThanOrEqual(0);
          }
          expect(JSON.stringify(facts)).not.toMatch(/secret/i);
        }
        expect(String(await subject.look('described/file'))).toBe('as it was');
        expect(await subject.look('described/absent')).toBeUndefined();
      },
    );

    test('P9 nothing of its own is left behind', async () => {
      await endpoint.close?.();
      if (!endpoint.list) return;
      const own: string[] = [];
      for await (const { name } of endpoint.list(subject.path(''), { ...call, recursive: true })) {
        if (name.includes('.bridle')) own.push(name);
      }
      expect(own).toEqual([]);
    });
  });
}

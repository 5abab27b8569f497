import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TransferError } from '../../src/errors.ts';
import { GRADES, NO_REQUIREMENT, parseRequirement, type Requirement } from '../../src/integrity/policy.ts';
import type { Grade } from '../../src/outcome.ts';
import type { Digest } from '../../src/protocol.ts';
import { leftBehind, misbehaving, runAll, scratch, transferOf } from '../faults/scene.ts';
import { type MemoryOptions, memoryService, sha256Of } from './memory-service.ts';

const need = (source: Grade, destination: Grade): { readonly require: Requirement } => ({
  require: { source, destination },
});

describe('the source', () => {
  test('P3 that reaches less than it must fails before a byte is stored, without another attempt', async () => {
    const directory = scratch();
    const path = join(directory, 'x');
    const server = await misbehaving({ content: { size: 300_000 } });
    const { outcome, waited } = await runAll([transferOf(server.url, path)], {
      options: need('server', 'none'),
    });
    expect(outcome.failure).toMatchObject({ code: 'unsupported', transient: false });
    expect(outcome.failure?.message).toBe(
      `verify \`${server.url}\`: the source reaches grade \`size\`, \`server\` is required`,
    );
    expect(outcome.failure?.hint).toContain('--checksums FILE');
    expect(outcome.attempts).toHaveLength(1);
    expect(waited).toBe(0);
    expect(existsSync(path)).toBe(false);
    expect(leftBehind(directory)).toEqual([]);
  });

  test.each<[Grade, string]>([
    ['wire', 'done'],
    ['server', 'unsupported'],
  ])('P3 F20 whose sender declares a digest is good enough for `%s`: %s', async (grade, status) => {
    const path = join(scratch(), 'x');
    const server = await misbehaving({ script: 'F20-other', content: { size: 1000 } });
    const { outcome } = await runAll([transferOf(server.url, path)], { options: need(grade, 'none') });
    expect(outcome.status).toBe(status);
    expect(existsSync(path)).toBe(status === 'done');
  });

  test('P3 with an expected digest is good enough for everything', async () => {
    const path = join(scratch(), 'x');
    const server = await misbehaving({ content: { size: 1000 } });
    const expected: Digest[] = [{ algorithm: 'md5', value: server.content().digest('md5') }];
    const { outcome } = await runAll([transferOf(server.url, path, { expected })], {
      options: need('end-to-end', 'end-to-end'),
    });
    expect(outcome).toMatchObject({
      status: 'done',
      sourceVerification: { grade: 'end-to-end', by: 'catalog' },
      destinationVerification: { grade: 'end-to-end', algorithm: 'md5', by: 'read-back' },
    });
  });

  test('P3 P1 that promised a digest behind its body and gave none fails before it is visible', async () => {
    const service = memoryService({ told: () => ({ trailer: async () => [] }) });
    service.files.set('/a', Buffer.from('content'));
    const path = join(scratch(), 'x');
    const { outcome } = await runAll([transferOf('mem://here/a', path)], {
      options: need('wire', 'none'),
      open: ({ location }) => (location.scheme === 'mem' ? service.endpoint : undefined),
    });
    expect(outcome.failure?.code).toBe('unsupported');
    expect(outcome.wasVisible).toBeUndefined();
    expect(existsSync(path)).toBe(false);
  });
});

async function upload(
  service: MemoryOptions,
  wanted: Grade,
  more: { readonly expected?: Digest[]; readonly content?: string } = {},
) {
  const path = join(scratch(), 'from');
  writeFileSync(path, more.content ?? 'content');
  const { endpoint, diary, files } = memoryService(service);
  const ended = await runAll([transferOf(path, 'mem://there/x', { expected: more.expected ?? [] })], {
    options: need('none', wanted),
    open: ({ location }) => (location.scheme === 'mem' ? endpoint : undefined),
  });
  return { ...ended, diary, stored: files.get('/x')?.toString() };
}

const flip = (bytes: Buffer) => Buffer.from(bytes.toString().replace('c', 'C'));
const refuse = async () => {
  throw new TransferError('permission-denied', 'read `x`: only the owner may');
};

describe('the destination', () => {
  test('P3 is read back before it is visible, where that can be', async () => {
    const { outcome, diary } = await upload({ isStaged: true }, 'server');
    expect(outcome.destinationVerification).toMatchObject({
      grade: 'server',
      algorithm: 'sha256',
      by: 'read-back',
    });
    expect(diary).toEqual(['read staged', 'commit']);
  });

  test('P1 P3 that stores something else is never visible then', async () => {
    const { outcome, diary, stored } = await upload({ isStaged: true, spoil: flip }, 'server');
    expect(outcome.failure?.code).toBe('digest-mismatch');
    expect(diary).not.toContain('commit');
    expect(stored).toBeUndefined();
  });

  test('P3 is read back once it is visible, where it can be read no sooner', async () => {
    const { outcome, diary } = await upload({}, 'server');
    expect(outcome).toMatchObject({ status: 'done', destinationVerification: { by: 'read-back' } });
    expect(diary).toEqual(['commit', 'read']);
  });

  test('P1 P3 that is found wrong then is removed, and that it could be seen is said', async () => {
    const { outcome, stored } = await upload({ spoil: flip }, 'server');
    expect(outcome).toMatchObject({ failure: { code: 'digest-mismatch' }, wasVisible: true });
    expect(stored).toBeUndefined();
  });

  test.each<[string, MemoryOptions, string[]]>([
    ['the service proves every byte', { stored: () => ({ isProven: true }) }, ['commit']],
    [
      'the service tells a digest on commit',
      { stored: (bytes) => ({ digests: [sha256Of(bytes)] }) },
      ['commit'],
    ],
    ['the service tells a digest when asked', { digest: (bytes) => [sha256Of(bytes)] }, ['commit', 'digest']],
  ])('P3 is not read back when %s', async (_, service, diary) => {
    const ended = await upload(service, 'server');
    expect(ended.outcome).toMatchObject({
      status: 'done',
      destinationVerification: { grade: 'server', by: 'service' },
    });
    expect(ended.diary).toEqual(diary);
  });

  test('P3 that cannot be read back fails at once, is removed, and says why', async () => {
    const { outcome, stored, waited } = await upload({ read: refuse }, 'server');
    expect(outcome).toMatchObject({
      status: 'unsupported',
      wasVisible: true,
      failure: {
        code: 'unsupported',
        message:
          'verify `mem://there/x`: the destination reaches grade `size`, `server` is required (read `x`: only the owner may)',
      },
    });
    expect(outcome.failure?.hint).toContain('--verify-written');
    expect(outcome.attempts).toHaveLength(1);
    expect(waited).toBe(0);
    expect(stored).toBeUndefined();
  });

  test('P3 P6 is sent again when reading it back breaks off', async () => {
    let count = 0;
    const read: NonNullable<MemoryOptions['read']> = async () => {
      count += 1;
      if (count === 1) throw new TransferError('unavailable', 'read `x`: busy');
      return {
        type: 'file',
        bytes: (async function* () {
          yield Buffer.from('content');
        })(),
      };
    };
    const { outcome } = await upload({ read }, 'server');
    expect(outcome.status).toBe('done');
    expect(outcome.attempts).toHaveLength(2);
  });

  test('P3 is asked for its size when it told none', async () => {
    const { outcome, diary } = await upload({ stored: () => ({ size: undefined }) }, 'size');
    expect(outcome).toMatchObject({ status: 'done', destinationVerification: { grade: 'size' } });
    expect(diary).toEqual(['commit', 'stat']);
  });

  test('P3 without an expected digest is never end-to-end: nothing is sent', async () => {
    const { outcome, diary } = await upload({ isStaged: true }, 'end-to-end');
    expect(outcome.failure?.hint).toContain('no digest is expected of this file');
    expect(diary).toEqual([]);
  });

  test('P3 with an expected digest is end-to-end by what was read back', async () => {
    const expected = [sha256Of(Buffer.from('content'))];
    const { outcome, diary } = await upload({ isStaged: true }, 'end-to-end', { expected });
    expect(outcome.destinationVerification).toEqual({ grade: 'end-to-end', ...expected[0], by: 'read-back' });
    expect(diary).toEqual(['read staged', 'commit']);
  });

  test('P3 on this machine is `server` by the kernel, for a digest that is taken on the way', async () => {
    const directory = scratch();
    writeFileSync(join(directory, 'a'), 'content');
    const { outcome } = await runAll([transferOf(join(directory, 'a'), join(directory, 'b'))], {
      options: need('none', 'server'),
    });
    expect(outcome).toMatchObject({
      route: 'stream',
      destinationVerification: { grade: 'server', by: 'kernel', ...sha256Of(Buffer.from('content')) },
    });
  });
});

describe('what no bytes pass through us for', () => {
  function files() {
    const directory = scratch();
    const [a, b] = [join(directory, 'a'), join(directory, 'b')];
    writeFileSync(a, 'content');
    return { a, b };
  }

  test('P3 a link that nobody looked at proves nothing', async () => {
    const { a, b } = files();
    const { outcome } = await runAll([transferOf(a, b)], { options: { symlink: true } });
    expect(outcome).toMatchObject({
      route: 'link',
      sourceVerification: { grade: 'none' },
      destinationVerification: { grade: 'none' },
    });
  });

  test.each<[string, string]>([
    ['link', 'symlink:'],
    ['move', 'moveto:'],
  ])('P3 a %s is proven by reading what it leads to', async (route, scheme) => {
    const { a, b } = files();
    const { outcome } = await runAll([transferOf(a, `${scheme}//${b}`)], { options: need('size', 'server') });
    expect(outcome).toMatchObject({
      route,
      sourceVerification: { grade: 'size' },
      destinationVerification: { grade: 'server', by: 'read-back', ...sha256Of(Buffer.from('content')) },
    });
  });

  test('P3 a move whose source falls short is not made', async () => {
    const { a, b } = files();
    const { outcome } = await runAll([transferOf(a, `moveto://${b}`)], { options: need('server', 'none') });
    expect(outcome.failure?.code).toBe('unsupported');
    expect(readFileSync(a, 'utf8')).toBe('content');
    expect(existsSync(b)).toBe(false);
  });

  test.each<[string, MemoryOptions, Grade, string]>([
    ['whose digests agree', { told: (bytes) => ({ digests: [sha256Of(bytes)] }) }, 'server', 'done'],
    ['of which only sizes are known', {}, 'size', 'done'],
  ])('P3 a copy by the service %s is `%s`', async (_, service, grade, status) => {
    const { endpoint, files: stored } = memoryService(service);
    stored.set('/a', Buffer.from('content'));
    const copying = {
      ...endpoint,
      copy: async (from: string, to: string) => ({
        commit: async () => {
          const bytes = stored.get(from) ?? Buffer.alloc(0);
          stored.set(to, bytes);
          return { size: bytes.length, digests: service.told?.(bytes).digests ?? [] };
        },
        abort: async () => undefined,
      }),
    };
    const { outcome } = await runAll([transferOf('mem://h/a', 'mem://h/b')], { open: () => copying });
    expect(outcome).toMatchObject({
      status,
      route: 'copy',
      sourceVerification: { grade },
      destinationVerification: { grade },
    });
  });

  test('P2 P3 a copy by the service that has another digest has failed', async () => {
    const { endpoint, files: stored } = memoryService({ told: (bytes) => ({ digests: [sha256Of(bytes)] }) });
    stored.set('/a', Buffer.from('content'));
    const copying = {
      ...endpoint,
      copy: async () => ({
        commit: async () => ({ size: 7, digests: [sha256Of(Buffer.from('another'))] }),
        abort: async () => undefined,
      }),
    };
    const { outcome } = await runAll([transferOf('mem://h/a', 'mem://h/b')], { open: () => copying });
    expect(outcome).toMatchObject({ failure: { code: 'digest-mismatch' }, wasVisible: true });
    expect(stored.has('/b')).toBe(false);
  });

  test('P3 what is left alone by size and time only is sent again when more is required', async () => {
    const when = new Date(1_600_000_000_000);
    const { endpoint, files: stored, diary } = memoryService({ told: () => ({ modified: when }) });
    for (const name of ['/a', '/b']) stored.set(name, Buffer.from('content'));
    const run = (options: object) =>
      runAll([transferOf('mem://h/a', 'mem://h/b')], {
        options: { update: true, ...options },
        open: () => endpoint,
      });
    expect((await run({})).outcome).toMatchObject({ route: 'none', sourceVerification: { grade: 'size' } });
    expect(diary).not.toContain('commit');
    expect((await run(need('size', 'server'))).outcome).toMatchObject({
      route: 'stream',
      destinationVerification: { grade: 'server' },
    });
  });
});

test('a requirement is a grade for one side or both; the last word for a side counts', () => {
  const all = ['server', 'source=none', 'destination=end-to-end'].reduce(
    (sum, text) => parseRequirement(text, sum) ?? sum,
    NO_REQUIREMENT,
  );
  expect(all).toEqual({ source: 'none', destination: 'end-to-end' });
  fc.assert(
    fc.property(fc.string(), (text) => {
      const parsed = parseRequirement(text, NO_REQUIREMENT);
      if (parsed) for (const grade of Object.values(parsed)) expect(GRADES).toContain(grade);
    }),
  );
});

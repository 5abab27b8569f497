import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Event } from '../../src/outcome.ts';
import {
  digestAt,
  expectNoNewDescriptors,
  leftBehind,
  MIB,
  misbehaving,
  openDescriptors,
  type RunMore,
  runAll,
  scratch,
  sha256,
  transferOf,
  watchFile,
} from './scene.ts';

/** Both ways for local bytes to go: copied, and streamed because a digest is asked for. */
const WAYS: [string, RunMore][] = [
  ['copied', {}],
  ['streamed', { options: { checksums: ['sha256'] } }],
];

function scene(content: string | Uint8Array = 'new') {
  const directory = scratch();
  const [from, to] = [join(directory, 'from'), join(directory, 'sub', 'to')];
  fs.mkdirSync(join(directory, 'sub'));
  fs.writeFileSync(from, content);
  return { directory, from, to };
}

describe.each(WAYS)('L4 a destination that exists, bytes %s', (_, more) => {
  test('L4 a file is replaced and keeps its permissions', async () => {
    const { directory, from, to } = scene();
    fs.writeFileSync(to, 'old');
    fs.chmodSync(to, 0o640);
    const { outcome } = await runAll([transferOf(from, to)], more);
    expect(outcome.status).toBe('done');
    expect(fs.readFileSync(to, 'utf8')).toBe('new');
    expect(fs.statSync(to).mode & 0o7777).toBe(0o640);
    expect(leftBehind(directory)).toEqual([]);
  });

  test('L4 a read-only file is replaced and stays read-only', async () => {
    const { from, to } = scene();
    fs.writeFileSync(to, 'old');
    fs.chmodSync(to, 0o444);
    expect((await runAll([transferOf(from, to)], more)).outcome.status).toBe('done');
    expect(fs.readFileSync(to, 'utf8')).toBe('new');
    expect(fs.statSync(to).mode & 0o777).toBe(0o444);
  });

  test('L4 a directory is refused at once and stays as it is', async () => {
    const { directory, from, to } = scene();
    fs.mkdirSync(to);
    fs.writeFileSync(join(to, 'inside'), 'kept');
    const { outcome, waited } = await runAll([transferOf(from, to)], more);
    expect(outcome.failure?.code).toBe('already-exists');
    expect(outcome.attempts).toHaveLength(1);
    expect(waited).toBe(0);
    expect(fs.readFileSync(join(to, 'inside'), 'utf8')).toBe('kept');
    expect(leftBehind(directory)).toEqual([]);
  });

  test('L4 S3 a symlink to outside is replaced, not followed', async () => {
    const { directory, from, to } = scene();
    const outside = join(directory, 'outside');
    fs.writeFileSync(outside, 'precious');
    fs.symlinkSync(outside, to);
    expect((await runAll([transferOf(from, to)], more)).outcome.status).toBe('done');
    expect(fs.lstatSync(to).isFile()).toBe(true);
    expect(fs.readFileSync(to, 'utf8')).toBe('new');
    expect(fs.readFileSync(outside, 'utf8')).toBe('precious');
  });

  test('L4 a dangling symlink is replaced, and nothing appears where it pointed', async () => {
    const { directory, from, to } = scene();
    fs.symlinkSync(join(directory, 'nowhere'), to);
    expect((await runAll([transferOf(from, to)], more)).outcome.status).toBe('done');
    expect(fs.readFileSync(to, 'utf8')).toBe('new');
    expect(fs.existsSync(join(directory, 'nowhere'))).toBe(false);
  });

  test('L4 a FIFO is refused and stays', async () => {
    const { from, to } = scene();
    execFileSync('mkfifo', [to]);
    const { outcome } = await runAll([transferOf(from, to)], more);
    expect(outcome.failure?.code).toBe('already-exists');
    expect(fs.lstatSync(to).isFIFO()).toBe(true);
  });

  test('L4 the source itself is left alone', async () => {
    const { from } = scene('myself');
    const { outcome } = await runAll([transferOf(from, from)], more);
    expect(outcome).toMatchObject({ status: 'done', route: 'none' });
    expect(fs.readFileSync(from, 'utf8')).toBe('myself');
  });

  test('S6 setuid and setgid bits never come along', async () => {
    const { from, to } = scene();
    fs.chmodSync(from, 0o6755);
    expect((await runAll([transferOf(from, to)], more)).outcome.status).toBe('done');
    expect(fs.statSync(to).mode & 0o7000).toBe(0);
    expect(fs.statSync(to).mode & 0o100).toBe(0o100);
  });

  test('S6 setuid bits do not come along with `--preserve` either, the time does', async () => {
    const { from, to } = scene();
    fs.chmodSync(from, 0o4755);
    fs.utimesSync(from, 1_000_000, 1_000_000);
    await runAll([transferOf(from, to)], { options: { ...more.options, preserve: true } });
    expect(fs.statSync(to).mode & 0o7000).toBe(0);
    expect(fs.statSync(to).mtimeMs).toBe(1_000_000_000);
  });

  test('S6 a setuid file that is replaced is not setuid any more', async () => {
    const { from, to } = scene();
    fs.writeFileSync(to, 'old');
    fs.chmodSync(to, 0o4755);
    await runAll([transferOf(from, to)], more);
    expect(fs.statSync(to).mode & 0o7777).toBe(0o755);
  });
});

describe.each(WAYS)('L6 a source that is no file, bytes %s', (_, more) => {
  test.each<[string, (path: string) => void]>([
    ['a directory', (path) => fs.mkdirSync(path)],
    ['a FIFO', (path) => void execFileSync('mkfifo', [path])],
    ['a symlink to a device', (path) => fs.symlinkSync('/dev/zero', path)],
    ['a symlink to a directory', (path) => fs.symlinkSync('/proc', path)],
  ])('L6 %s is refused at once, without hanging', async (_, make) => {
    const { directory, from, to } = scene();
    fs.rmSync(from);
    make(from);
    const { outcome, waited } = await runAll([transferOf(from, to)], more);
    expect(outcome.failure?.code).toBe('invalid-request');
    expect(outcome.attempts).toHaveLength(1);
    expect(waited).toBe(0);
    expect(digestAt(to)).toBe('absent');
    expect(leftBehind(directory)).toEqual([]);
  });

  test('L6 P6 one that is absent costs one look and no waiting', async () => {
    const { directory, from, to } = scene();
    fs.rmSync(from);
    const { outcome, waited } = await runAll([transferOf(from, to)], more);
    expect(outcome.failure?.code).toBe('not-found');
    expect(outcome.attempts).toHaveLength(1);
    expect(waited).toBe(0);
    expect(leftBehind(directory)).toEqual([]);
  });

  test('L6 one that appears late is waited for when that is asked for', async () => {
    const { from, to } = scene();
    fs.rmSync(from);
    const options = { ...more.options, retryNotFoundSeconds: 30 };
    const late = (event: Event) => {
      if (event.type === 'retry-scheduled' && event.round === 5) fs.writeFileSync(from, 'at last');
    };
    const { outcome } = await runAll([transferOf(from, to)], { options, onEvent: late });
    expect(outcome.status).toBe('done');
    expect(outcome.attempts).toHaveLength(5);
    expect(fs.readFileSync(to, 'utf8')).toBe('at last');
  });
});

/** Runs `work` as a user that is not root, so that permissions mean something. */
async function unprivileged<T>(directory: string, work: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return work();
  fs.chmodSync(directory, 0o777);
  fs.chmodSync(join(directory, 'sub'), 0o777);
  process.setegid?.(65534);
  process.seteuid?.(65534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

describe.each(WAYS)('permissions, bytes %s', (_, more) => {
  test('L6 an unreadable source is `permission-denied`, once', async () => {
    const { directory, from, to } = scene();
    fs.chmodSync(from, 0o000);
    const { outcome, waited } = await unprivileged(directory, () => runAll([transferOf(from, to)], more));
    expect(outcome.failure?.code).toBe('permission-denied');
    expect(waited).toBe(0);
    expect(digestAt(to)).toBe('absent');
  });

  test('L6 a read-only source is copied by a user who may only read it', async () => {
    const { directory, from, to } = scene();
    fs.chmodSync(from, 0o444);
    const { outcome } = await unprivileged(directory, () => runAll([transferOf(from, to)], more));
    expect(outcome.failure).toBeUndefined();
    expect(fs.readFileSync(to, 'utf8')).toBe('new');
    expect(leftBehind(directory)).toEqual([]);
  });

  test('L3 a directory that is not writable fails its item alone', async () => {
    const { directory, from, to } = scene();
    const closed = join(directory, 'closed');
    fs.mkdirSync(closed, { mode: 0o555 });
    const requests = [transferOf(from, to), { ...transferOf(from, join(closed, 'x')), index: 1 }];
    const { outcomes } = await unprivileged(directory, () => runAll(requests, more));
    const failed = outcomes.find(({ index }) => index === 1);
    expect(failed?.failure?.code).toBe('permission-denied');
    expect(outcomes.find(({ index }) => index === 0)?.status).toBe('done');
  });
});

describe('L5 a source that changes while it is read', () => {
  const size = 20 * MIB;
  const CHANGES: [string, (path: string) => void][] = [
    ['shrinks', (path) => fs.truncateSync(path, MIB)],
    ['grows', (path) => fs.appendFileSync(path, 'more')],
    ['is rewritten in place', (path) => fs.writeSync(fs.openSync(path, 'r+'), 'changed', 12 * MIB)],
  ];

  test.each(CHANGES)('L5 a streamed source that %s is never taken for whole', async (_, change) => {
    const { directory, from, to } = scene(Buffer.alloc(size, 1));
    fs.writeFileSync(to, 'old');
    const before = openDescriptors().concat(from);
    const watch = watchFile(to);
    let changes = 0;
    const onEvent = (event: Event) => {
      watch.look();
      if (event.type !== 'progress' || event.bytes < 0 || changes === 1) return;
      changes += 1;
      change(from);
    };
    const { outcome } = await runAll([transferOf(from, to)], { options: { checksums: ['sha256'] }, onEvent });
    expect(outcome.attempts.map(({ failure }) => failure?.code ?? 'ok')).toEqual(['changed', 'ok']);
    watch.look();
    expect([...watch.seen]).toEqual([sha256(Buffer.from('old')), digestAt(from)]);
    expect(leftBehind(directory)).toEqual([]);
    await expectNoNewDescriptors(before);
  });

  test.each(CHANGES)('L5 a source that %s during every attempt fails as `changed`', async (_, change) => {
    const { directory, from, to } = scene(Buffer.alloc(size, 1));
    fs.writeFileSync(to, 'old');
    const onEvent = (event: Event) => {
      if (event.type === 'progress' && event.bytes > 0) change(from);
    };
    const options = { checksums: ['sha256' as const], attempts: 1 };
    const { outcome } = await runAll([transferOf(from, to)], { options, onEvent });
    expect(outcome.failure?.code).toBe('changed');
    expect(fs.readFileSync(to, 'utf8')).toBe('old');
    expect(leftBehind(directory)).toEqual([]);
  });

  test.each(CHANGES)('L5 a source that %s while it is copied is copied again', async (_, change) => {
    const { directory, from, to } = scene(Buffer.alloc(64 * MIB, 1));
    fs.writeFileSync(to, 'old');
    const watch = watchFile(to);
    let changes = 0;
    const onEvent = (event: Event) => {
      if (event.type !== 'item-size' || changes === 1) return;
      changes += 1;
      whenPartial(join(directory, 'sub'), () => change(from));
    };
    const { outcome } = await runAll([transferOf(from, to)], { onEvent });
    expect(outcome).toMatchObject({ status: 'done', route: 'copy' });
    expect(outcome.attempts[0]?.failure?.code).toBe('changed');
    expect(digestAt(to)).toBe(digestAt(from));
    for (const state of watch.seen) expect([sha256(Buffer.from('old')), digestAt(from)]).toContain(state);
    expect(leftBehind(directory)).toEqual([]);
  });
});

/** Calls `then` as soon as a partial file is in `directory`. */
function whenPartial(directory: string, then: () => void): void {
  const look = () => {
    if (leftBehind(directory).some((name) => name.endsWith('.part'))) then();
    else setImmediate(look);
  };
  look();
}

test('L3 P5 one destination of a thousand that cannot be written fails alone, and is named', async () => {
  const directory = scratch();
  const from = join(directory, 'from');
  fs.writeFileSync(from, 'content');
  fs.writeFileSync(join(directory, 'a-file'), '');
  const requests = Array.from({ length: 1000 }, (_, index) => ({
    ...transferOf(from, join(directory, index === 500 ? 'a-file/x' : `to-${index}`)),
    index,
  }));
  const { summary, outcomes, waited } = await runAll(requests);
  expect(summary).toMatchObject({ done: 999, failed: 1 });
  expect(outcomes.find(({ status }) => status === 'failed')).toMatchObject({ index: 500 });
  expect(outcomes.find(({ index }) => index === 500)?.failure?.message).toContain('a-file');
  expect(waited).toBe(0);
  expect(leftBehind(directory)).toEqual([]);
});

const NAMES = [
  'with spaces  and\ttab',
  `quotes ' " \``,
  'new\nline',
  '#hash',
  '%2F%00',
  'question?mark=1&x',
  'emoji 🦜',
  'e\u0301 and é',
  'x'.repeat(255),
  '-rf',
  '...',
  '$HOME ; rm',
  'back\\slash',
  '.bridle',
];

test.each(WAYS)('L14 names with anything in them are kept to the byte, bytes %s', async (_, more) => {
  const directory = scratch();
  fs.mkdirSync(join(directory, 'to'));
  const requests = NAMES.map((name, index) => {
    fs.writeFileSync(join(directory, name), name);
    return { ...transferOf(join(directory, name), join(directory, 'to', name)), index };
  });
  const { summary } = await runAll(requests, more);
  expect(summary.done).toBe(NAMES.length);
  expect(fs.readdirSync(join(directory, 'to')).sort()).toEqual([...NAMES].sort());
  for (const name of NAMES) expect(fs.readFileSync(join(directory, 'to', name), 'utf8')).toBe(name);
});

test('L14 a name of 256 bytes is refused by name, without waiting', async () => {
  const { from, to } = scene();
  const { outcome, waited } = await runAll([transferOf(from, `${to}${'x'.repeat(256)}`)]);
  expect(outcome.failure?.code).toBe('invalid-request');
  expect(outcome.failure?.message).toContain('name too long');
  expect(waited).toBe(0);
});

describe('S3 the folder for partials', () => {
  test.each(WAYS)('S3 a symlink planted in its place is refused, bytes %s', async (_, more) => {
    const { directory, from, to } = scene();
    const elsewhere = join(directory, 'elsewhere');
    fs.mkdirSync(elsewhere);
    fs.symlinkSync(elsewhere, join(directory, 'sub', `.bridle-${process.getuid?.()}`));
    const { outcome } = await runAll([transferOf(from, to)], more);
    expect(outcome.failure?.code).toBe('permission-denied');
    expect(fs.readdirSync(elsewhere)).toEqual([]);
    expect(digestAt(to)).toBe('absent');
  });

  test.each(WAYS)('S3 one that everybody may write to is refused, bytes %s', async (_, more) => {
    const { directory, from, to } = scene();
    const planted = join(directory, 'sub', `.bridle-${process.getuid?.()}`);
    fs.mkdirSync(planted);
    fs.chmodSync(planted, 0o777);
    const { outcome } = await runAll([transferOf(from, to)], more);
    expect(outcome.failure?.code).toBe('permission-denied');
    expect(outcome.failure?.message).toContain(to);
    expect(digestAt(to)).toBe('absent');
  });

  test('S3 is private to its user', async () => {
    const { directory, from, to } = scene(Buffer.alloc(9 * MIB));
    const modes: number[] = [];
    const onEvent = (event: Event) => {
      if (event.type !== 'progress') return;
      for (const name of leftBehind(directory)) modes.push(fs.statSync(name).mode & 0o077);
    };
    await runAll([transferOf(from, to)], { options: { checksums: ['sha256'] }, onEvent });
    expect(modes.length).toBeGreaterThan(0);
    const folder = modes[0];
    expect(folder).toBe(0);
  });
});

test('L7 a hard link to the source is the same file: nothing is moved, nothing is lost', async () => {
  const { from, to } = scene('one file');
  fs.linkSync(from, to);
  const { outcome } = await runAll([transferOf(from, to)]);
  expect(outcome).toMatchObject({ status: 'done', route: 'none' });
  expect(fs.readFileSync(to, 'utf8')).toBe('one file');
});

test('L12 a clock that is set back during a run changes nothing', async () => {
  const { from, to } = scene();
  const epoch = Date.now;
  let now = epoch();
  Date.now = () => {
    now -= 3_600_000;
    return now;
  };
  try {
    const server = await misbehaving({ script: 'F11', times: 1 });
    const { systemClock } = await import('../../src/clock.ts');
    const requests = [transferOf(from, to), { ...transferOf(server.url, `${to}-2`), index: 1 }];
    const { outcomes } = await runAll(requests, { clock: systemClock });
    for (const { status, seconds, attempts } of outcomes) {
      expect(status).toBe('done');
      expect(seconds).toBeGreaterThanOrEqual(0);
      for (const attempt of attempts) expect(attempt.seconds).toBeGreaterThanOrEqual(0);
    }
  } finally {
    Date.now = epoch;
  }
});

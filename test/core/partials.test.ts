import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { TransferError } from '../../src/errors.ts';
import { copyStaged } from '../../src/local/copy.ts';
import { syncDirectory } from '../../src/local/directory-sync.ts';
import { diskCalls } from '../../src/local/disk.ts';
import { linkAtomically } from '../../src/local/link.ts';
import {
  claimPartial,
  closeFolders,
  dropPartial,
  inPartialFolder,
  isPartialFolder,
  keepPartial,
  newPartial,
  partialFolder,
  partialFolderName,
  releasePartial,
} from '../../src/local/partials.ts';
import { publish, writeStaged } from '../../src/local/sink.ts';
import { writerId, writerLives } from '../../src/local/writer.ts';
import { fileVersion } from '../../src/regular-file.ts';
import { afterwards, leftBehind, scratch } from '../faults/scene.ts';

const KEY = '0123456789abcdef0123456789abcdef';
/** A process that cannot be alive: pid 1 did not start at tick 0xdead. */
const DEAD = `${writerId().slice(0, 8)}-00000001-00000000dead`;

afterEach(closeFolders);

function folderOf(directory: string): string {
  const folder = join(directory, partialFolderName());
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

async function* oneChunk(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

describe('writers', () => {
  test('this process lives, and knows itself', () => {
    expect(writerId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}$/);
    expect(writerLives(writerId(), 0, Date.now())).toBe(true);
  });

  test('a process with the same pid that started at another time is another one', () => {
    expect(writerLives(DEAD, Date.now(), Date.now())).toBe(false);
    const reborn = writerId().replace(/.{12}$/, '000000000001');
    expect(writerLives(reborn, Date.now(), Date.now())).toBe(false);
  });

  test('L10 a process that was killed is dead, also before its parent noticed', async () => {
    const child = spawn('sleep', ['60']);
    afterwards(() => child.kill('SIGKILL'));
    const stat = fs.readFileSync(`/proc/${child.pid}/stat`, 'latin1');
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
    const hex = (value: number, width: number) => value.toString(16).padStart(width, '0');
    const writer = `${writerId().slice(0, 8)}-${hex(child.pid ?? 0, 8)}-${hex(ticks, 12)}`;
    expect(writerLives(writer, 0, Date.now())).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(writerLives(writer, 0, Date.now())).toBe(false);
  });

  test('a writer on another machine lives as long as its partial is touched', () => {
    const foreign = `ffffffff${DEAD.slice(8)}`;
    const now = Date.now();
    expect(writerLives(foreign, now - 60_000, now)).toBe(true);
    expect(writerLives(foreign, now - 60 * 60_000, now)).toBe(false);
  });

  test('a name of another shape has no writer', () => {
    expect(writerLives('', Date.now(), Date.now())).toBe(false);
    expect(writerLives('../../etc/passwd', Date.now(), Date.now())).toBe(false);
  });
});

describe('partials', () => {
  test('P9 what a dead writer left with a journal is taken over, once', async () => {
    const directory = scratch();
    const left = join(folderOf(directory), `${KEY}-${DEAD}-1.part`);
    fs.writeFileSync(left, 'so far');
    fs.writeFileSync(`${left}.journal`, 'journal');
    const place = await partialFolder(directory);
    const [one, other] = [await claimPartial(place, KEY), await claimPartial(place, KEY)];
    expect(other).toBeUndefined();
    expect(fs.readFileSync(one ?? '', 'utf8')).toBe('so far');
    expect(fs.readFileSync(`${one}.journal`, 'utf8')).toBe('journal');
    expect(one).toContain(writerId());
    expect(fs.existsSync(left)).toBe(false);
    await dropPartial(place, one ?? '');
  });

  test('P9 what a dead writer left without a journal is removed', async () => {
    const directory = scratch();
    const folder = folderOf(directory);
    const names = [
      `${KEY}-${DEAD}-1.part`,
      `${KEY}-${DEAD}-2.link`,
      `${'f'.repeat(32)}-${DEAD}-3.part.journal`,
    ];
    for (const name of names) fs.writeFileSync(join(folder, name), '');
    const place = await partialFolder(directory);
    expect(fs.readdirSync(folder)).toEqual([]);
    expect(await claimPartial(place, KEY)).toBeUndefined();
  });

  test('L13 what a live writer works on is left alone', async () => {
    const directory = scratch();
    const foreign = `ffffffff${DEAD.slice(8)}`;
    const left = join(folderOf(directory), `${KEY}-${foreign}-1.part`);
    fs.writeFileSync(left, 'still going');
    fs.writeFileSync(`${left}.journal`, 'journal');
    const place = await partialFolder(directory);
    expect(await claimPartial(place, KEY)).toBeUndefined();
    expect(fs.existsSync(left)).toBe(true);
  });

  test('files of other names are left alone', async () => {
    const directory = scratch();
    const folder = folderOf(directory);
    fs.writeFileSync(join(folder, 'my-notes.txt'), 'mine');
    await partialFolder(directory);
    expect(fs.readdirSync(folder)).toEqual(['my-notes.txt']);
  });

  test('P4 what an attempt kept is found by the next one, and by the next run', async () => {
    const directory = scratch();
    const place = await partialFolder(directory);
    const partial = newPartial(place, KEY);
    fs.writeFileSync(partial, 'kept');
    fs.writeFileSync(`${partial}.journal`, 'journal');
    keepPartial(place, KEY, partial);
    await closeFolders();
    const again = await partialFolder(directory);
    const claimed = await claimPartial(again, KEY);
    expect(fs.readFileSync(claimed ?? '', 'utf8')).toBe('kept');
    await dropPartial(again, claimed ?? '');
    await closeFolders();
    expect(leftBehind(directory)).toEqual([]);
  });

  test('L13 a folder that another process removed, empty just then, is made again', async () => {
    const directory = scratch();
    const from = join(directory, 'from');
    fs.writeFileSync(from, 'content');
    const call = { signal: new AbortController().signal, key: KEY };
    for (const name of ['a', 'b']) {
      await partialFolder(directory);
      fs.rmdirSync(join(directory, partialFolderName()));
      await (await copyStaged(from, join(directory, name), call)).commit(call.signal);
      fs.rmdirSync(join(directory, partialFolderName()));
      await linkAtomically(from, join(directory, `${name}-link`), { kind: 'symbolic', key: KEY });
      expect(fs.readFileSync(join(directory, `${name}-link`), 'utf8')).toBe('content');
    }
  });

  test('L13 a folder that processes remove which all end at the same time is made again each time', async () => {
    const directory = scratch();
    let left = 40;
    const made = await inPartialFolder(directory, async ({ folder }) => {
      if (left-- > 0) fs.rmdirSync(folder);
      fs.writeFileSync(join(folder, 'work'), '');
      return join(folder, 'work');
    });
    expect(fs.existsSync(made)).toBe(true);
    fs.rmSync(made);
  });

  test.each([
    ['is a change', {}, 'changed'],
    ['is none where links are to be expected', { mayBeLinked: true }, undefined],
  ])('P1 a link that is made to a file while it is copied %s', async (_, more, code) => {
    expect(await copyWhile((from) => fs.linkSync(from, `${from}-link`), more)).toBe(code);
  });

  test('P1 a write to a file while it is copied is a change where links are to be expected, too', async () => {
    expect(
      await copyWhile((from) => fs.writeFileSync(from, 'x', { flag: 'r+' }), { mayBeLinked: true }),
    ).toBe('changed');
  });

  /** The code of the error with which a copy ends, when something happens to its source between two pieces. */
  async function copyWhile(happens: (from: string) => void, more: object): Promise<string | undefined> {
    const directory = scratch();
    const from = join(directory, 'from');
    fs.writeFileSync(from, Buffer.alloc(4_000_000));
    fs.utimesSync(from, 1, 1);
    let isFirst = true;
    const progress = () => {
      if (isFirst) happens(from);
      isFirst = false;
    };
    const call = { signal: new AbortController().signal, key: KEY, progress, ...more };
    try {
      const staged = await copyStaged(from, join(directory, 'to'), call);
      await staged.abort();
      return isFirst ? 'nothing happened' : undefined;
    } catch (error) {
      return (error as TransferError).code;
    }
  }

  test('P9 the folder of a write that goes on while a thousand are closed goes with a later call', async () => {
    const directory = scratch();
    const place = await partialFolder(join(directory, 'busy'));
    const partial = newPartial(place, KEY);
    fs.writeFileSync(partial, '');
    for (let at = 0; at < 1100; at += 1) await partialFolder(join(directory, `${at}`));
    await closeFolders();
    expect(fs.existsSync(partial)).toBe(true);
    await dropPartial(place, partial);
    await closeFolders();
    expect(fs.existsSync(place.folder)).toBe(false);
  });

  test('P9 a folder that still holds the journal of a file just published goes with the next call', async () => {
    const directory = scratch();
    const place = await partialFolder(directory);
    const partial = newPartial(place, KEY);
    fs.writeFileSync(`${partial}.journal`, 'journal');
    releasePartial(partial);
    await closeFolders();
    const closing = closeFolders();
    fs.rmSync(`${partial}.journal`);
    await Promise.all([closing, closeFolders()]);
    expect(leftBehind(directory)).toEqual([]);
  });

  test('P9 a folder that is opened while others are being closed is closed by the next call', async () => {
    const directory = scratch();
    for (let round = 0; round < 20; round += 1) {
      const place = join(directory, `${round}`);
      await partialFolder(join(directory, 'first'));
      const closing = [closeFolders(), closeFolders()];
      await Promise.all([partialFolder(place), ...closing]);
      await closeFolders();
      expect(fs.readdirSync(place)).toEqual([]);
    }
  });

  test('P9 a commit takes the journal along, so that nothing outlives it in the folder', async () => {
    const path = join(scratch(), 'file');
    const staged = await writeStaged(path, oneChunk('content'), {
      key: KEY,
      signal: new AbortController().signal,
      retry: (unit) => unit(new AbortController().signal),
      onPartial: (handle) => fs.writeFileSync(`${handle}.journal`, 'journal'),
    });
    await staged.commit(new AbortController().signal);
    expect(fs.readdirSync(join(dirname(path), partialFolderName()))).toEqual([]);
  });

  test('two new partials never have the same name', async () => {
    const place = await partialFolder(scratch());
    const names = Array.from({ length: 100 }, () => newPartial(place, KEY));
    expect(new Set(names).size).toBe(100);
    for (const name of names) await dropPartial(place, name);
  });

  test('the folder has a name that no listing shows', () => {
    expect(isPartialFolder(partialFolderName())).toBe(true);
    expect(isPartialFolder('.bridle')).toBe(false);
    expect(isPartialFolder('.bridle-1x')).toBe(false);
  });
});

describe('publishing', () => {
  async function finished() {
    const directory = scratch();
    const place = await partialFolder(directory);
    const partial = newPartial(place, KEY);
    fs.writeFileSync(partial, 'new');
    const fd = fs.openSync(partial, 'r');
    afterwards(() => fs.closeSync(fd));
    const failing = (rename: (from: string, to: string) => void) => ({
      place: { ...place, calls: { ...diskCalls('disk'), rename } },
      partial,
      fd,
    });
    return { path: join(directory, 'final'), failing };
  }
  const lost = () => Object.assign(new Error('no such file'), { code: 'ENOENT' });

  test('L8 a rename that was done, and whose answer was lost, is a success', async () => {
    const { path, failing } = await finished();
    const file = failing((from, to) => {
      fs.renameSync(from, to);
      throw lost();
    });
    await publish(file, path);
    expect(fs.readFileSync(path, 'utf8')).toBe('new');
  });

  test('L8 a rename that was not done is a failure, though another file has the name', async () => {
    const { path, failing } = await finished();
    fs.writeFileSync(path, 'old');
    const file = failing(() => {
      throw lost();
    });
    await expect(publish(file, path)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(fs.readFileSync(path, 'utf8')).toBe('old');
  });

  test('L8 another failure of the rename is one, whatever stands there', async () => {
    const { path, failing } = await finished();
    const file = failing((from, to) => {
      fs.renameSync(from, to);
      throw Object.assign(new Error('i/o'), { code: 'EIO' });
    });
    await expect(publish(file, path)).rejects.toMatchObject({ code: 'EIO' });
  });
});

describe('syncing directories', () => {
  /** Counts fsyncs, each of which ends when it is told to. */
  function heldSyncs() {
    const open = fs.promises.open;
    const ends: (() => void)[] = [];
    let count = 0;
    const spy = vi.spyOn(fs.promises, 'open').mockImplementation(async (...args) => {
      const handle = await open(...args);
      handle.sync = () => {
        count += 1;
        return new Promise((resolve) => ends.push(resolve));
      };
      return handle;
    });
    afterwards(() => spy.mockRestore());
    return { count: () => count, end: () => ends.shift()?.() };
  }

  test('one fsync serves every rename that was made before it began, and none that was made after', async () => {
    const directory = scratch();
    const { count, end } = heldSyncs();
    const first = syncDirectory(directory, 'disk');
    await vi.waitFor(() => expect(count()).toBe(1));
    const later = [1, 2, 3].map(() => syncDirectory(directory, 'disk'));
    let served = 0;
    for (const one of later) Promise.resolve(one).then(() => (served += 1));
    end();
    await first;
    await vi.waitFor(() => expect(count()).toBe(2));
    expect(served).toBe(0);
    end();
    await Promise.all(later);
    expect(count()).toBe(2);
  });

  test('in memory nothing needs to be synced', () => {
    expect(syncDirectory('/dev/shm', 'memory')).toBeUndefined();
  });

  test('a directory that is gone rejects, and the next call is not caught up in it', async () => {
    const directory = join(scratch(), 'gone');
    await expect(syncDirectory(directory, 'disk')).rejects.toMatchObject({ code: 'ENOENT' });
    fs.mkdirSync(directory);
    await syncDirectory(directory, 'disk');
  });
});

describe('L7 the version of a local file', () => {
  test('L7 differs between file systems that use the same inode number', () => {
    const stat = fs.statSync('/proc/self/exe', { bigint: true });
    const other = Object.assign(Object.create(Object.getPrototypeOf(stat)), stat, { dev: stat.dev + 1n });
    expect(fileVersion(other)).not.toBe(fileVersion(stat));
  });

  test.each<[string, (path: string) => void]>([
    ['its bytes', (path) => fs.writeFileSync(path, 'other')],
    ['its times', (path) => fs.utimesSync(path, 1, 1)],
    ['its permissions', (path) => fs.chmodSync(path, 0o600)],
    ['its inode', (path) => execFileSync('sh', ['-c', 'cp -p "$0" "$0.2" && mv "$0.2" "$0"', path])],
  ])('P4 differs when %s change', (_, change) => {
    const path = join(scratch(), 'x');
    fs.writeFileSync(path, 'first');
    fs.chmodSync(path, 0o644);
    const before = fileVersion(fs.statSync(path, { bigint: true }));
    change(path);
    expect(fileVersion(fs.statSync(path, { bigint: true }))).not.toBe(before);
  });
});

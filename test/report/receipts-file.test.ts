import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readReceipts } from '../../src/integrity/receipts.ts';
import { openTrusted } from '../../src/integrity/trusted.ts';
import { writerId } from '../../src/local/writer.ts';
import { fileVersion } from '../../src/regular-file.ts';
import { withLock } from '../../src/report/lock-file.ts';
import { receiptsFile } from '../../src/report/receipts-file.ts';
import { at, failed, MISSING, NOON, outcome } from './script.ts';

/** Of this machine, and no process that lives. */
const DEAD = `${writerId().slice(0, 8)}-ffffffff-000000000000`;

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bridle-receipts-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const path = () => join(directory, 'done.jsonl');
const lock = () => `${path()}.lock`;
const patient = { longest: 60_000, now: Date.now };

/** A clock on which a minute passes between two looks. */
function hurried() {
  let now = NOON;
  return () => {
    now += 60_000;
    return now;
  };
}

async function open(now = Date.now) {
  const told: string[] = [];
  const consumer = await receiptsFile({
    path: path(),
    version: '1.2.3',
    now,
    warn: (text) => told.push(text),
  });
  const done = (name: string) =>
    consumer.event({
      type: 'item-ended',
      outcome: outcome({ destination: at(`https://data.example/${name}`) }),
    });
  return { consumer, told, done };
}

const destinations = () =>
  [...readReceipts(readFileSync(path()))].map(({ receipt, problem }) => problem ?? receipt?.destination);

describe('the lock beside a file', () => {
  test('is held by one at a time', async () => {
    let inside = 0;
    const most: number[] = [];
    await Promise.all(
      Array.from({ length: 8 }, () =>
        withLock(lock(), patient, async () => {
          inside += 1;
          most.push(inside);
          await new Promise((resolve) => setImmediate(resolve));
          inside -= 1;
        }),
      ),
    );
    expect(most).toEqual(Array(8).fill(1));
    expect(readdirSync(directory)).toEqual([]);
  });

  test('P9 is taken over from the dead, also from one who died while taking it over', async () => {
    symlinkSync(DEAD, lock());
    symlinkSync(DEAD, `${lock()}.down`);
    const found = await withLock(lock(), patient, async () => readdirSync(directory));
    expect(found).toEqual(['done.jsonl.lock']);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('is left to a writer that lives, and let go of after a failure', async () => {
    symlinkSync(writerId(), lock());
    const wait = { longest: 0, now: Date.now };
    await expect(withLock(lock(), wait, async () => 1)).rejects.toMatchObject({ code: 'timed-out' });
    expect(lstatSync(lock()).isSymbolicLink()).toBe(true);
    rmSync(lock());
    await expect(withLock(lock(), wait, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(readdirSync(directory)).toEqual([]);
  });
});

test('a lock that another machine took over meanwhile is left to it', async () => {
  await withLock(lock(), patient, async () => {
    rmSync(lock());
    symlinkSync('00000000-00000001-000000000000', lock());
  });
  expect(readdirSync(directory)).toEqual(['done.jsonl.lock']);
});

describe('the file of receipts', () => {
  test('has what is done, in order, over many batches, and nothing else', async () => {
    const { consumer, told, done } = await open();
    const names = Array.from({ length: 600 }, (_, index) => `f${index}`);
    for (const name of names) done(name);
    consumer.event({ type: 'item-ended', outcome: failed(MISSING) });
    consumer.event({ type: 'item-ended', outcome: outcome({ status: 'skipped' }) });
    consumer.event({ type: 'item-ended', outcome: outcome({ kind: 'mkdir' }) });
    await consumer.close();
    expect(destinations()).toEqual(names.map((name) => `https://data.example/${name}`));
    expect(told).toEqual([]);
  });

  test('two writers within one process keep one chain', async () => {
    const [one, other] = [await open(), await open()];
    for (let index = 0; index < 600; index += 1) (index % 2 ? one : other).done(`f${index}`);
    await Promise.all([one.consumer.close(), other.consumer.close()]);
    expect(destinations()).toHaveLength(600);
    expect(destinations().filter((text) => !text?.startsWith('https://'))).toEqual([]);
  });

  test('is not written without the lock, which is told at once and at the end', async () => {
    const first = await open();
    first.done('a');
    await first.consumer.close();
    const before = readFileSync(path(), 'utf8');
    const { consumer, told, done } = await open(hurried());
    symlinkSync(writerId(), lock());
    for (let index = 0; index < 300; index += 1) done(`f${index}`);
    await expect(consumer.close()).rejects.toMatchObject({
      code: 'timed-out',
      message: expect.stringMatching(/another process holds it; 300 files that are done have no receipt$/),
    });
    expect(told).toEqual([expect.stringMatching(/^warning: receipts are not written: /)]);
    expect(readFileSync(path(), 'utf8')).toBe(before);
  });

  test('is not appended to when somebody else has written to it meanwhile', async () => {
    const { consumer, done } = await open();
    writeFileSync(path(), 'something else\n');
    done('a');
    await expect(consumer.close()).rejects.toMatchObject({ code: 'invalid-request' });
    expect(readFileSync(path(), 'utf8')).toBe('something else\n');
  });

  test('has lines longer than what is read at a time', async () => {
    for (const name of ['a'.repeat(40_000), 'b'.repeat(16_384), 'c']) {
      const { consumer, done } = await open();
      done(name);
      await consumer.close();
    }
    expect(destinations().map((text) => text?.slice(0, 22))).toEqual(
      ['a', 'b', 'c'].map((letter) => `https://data.example/${letter}`),
    );
  });

  test('can be relied on for a file of this very moment, however early timers end', async () => {
    const file = join(directory, 'a');
    writeFileSync(file, 'a');
    const consumer = await receiptsFile({
      path: path(),
      version: '1.2.3',
      now: Date.now,
      warn: () => undefined,
      // Looks at the clock before the time that was told, each time.
      sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds - 2)),
    });
    const versions = { destination: fileVersion(statSync(file, { bigint: true })) };
    consumer.event({
      type: 'item-ended',
      outcome: outcome({ destination: at(`file://${file}`), versions }),
    });
    await consumer.close();
    const trusted = openTrusted([path()], { isSlow: () => false });
    expect(trusted.find(file, ['sha256'])).toMatchObject({ size: 1 });
  });
});

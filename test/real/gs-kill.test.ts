import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { makeContent } from '../../fixtures/misbehaving/content.ts';
import { startGcsEmulator } from '../../fixtures/servers/gcs/emulator.ts';
import { isPartialName } from '../../src/partial-name.ts';
import { listRemoteJournals } from '../../src/remote-journals.ts';
import { afterwards, MIB, scratch } from '../faults/scene.ts';
import { addBucket, BUCKET, contentOf } from '../gcs-subject.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/bridle.js', import.meta.url));
const SIZE = 40 * MIB + 5;
const KILLS = 4;

test('L10 P1 P4 P9 an upload that is killed is never seen, and the next run goes on behind what the service has', async () => {
  const emulator = await startGcsEmulator();
  afterwards(() => emulator.close());
  addBucket(emulator, BUCKET);
  const directory = scratch();
  const content = randomBytes(SIZE);
  const [local, report, state] = ['from', 'report', 'state'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  fs.writeFileSync(local, content);
  const start = (...more: string[]) =>
    spawn(process.execPath, [PROGRAM, 'cp', '--quiet', ...more, local, `gs://${BUCKET}/file`], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        PATH: process.env.PATH,
        HOME: directory,
        BRIDLE_STATE: state,
        STORAGE_EMULATOR_HOST: emulator.origin,
      },
    });
  /** Bytes that the upload under way has at the service. */
  const stored = () => Math.max(0, ...[...emulator.sessions.values()].map(({ size }) => size));

  for (let kill = 1; kill <= KILLS; kill += 1) {
    const before = stored();
    const child = start('--bwlimit', '60M');
    afterwards(() => child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    // At least one chunk, then at some moment; not a wait for anything, so nothing depends on it.
    await vi.waitFor(
      () => expect(stored()).toBeGreaterThan(kill === KILLS ? before : Math.min(before, 8 * MIB)),
      {
        timeout: 60_000,
        interval: 5,
      },
    );
    await delay(kill * 23);
    child.kill('SIGKILL');
    await ended;
    const seen = contentOf(emulator, 'file');
    expect(seen === undefined || seen.equals(content)).toBe(true);
    if (seen) break;
    // A kill between two renames leaves a handle without its journal.
    const left = listRemoteJournals(state).flatMap(({ destination }) => destination ?? []);
    expect(left).toEqual([`gs://${BUCKET}/file`]);
  }

  const had = stored();
  const wasWhole = contentOf(emulator, 'file') !== undefined;
  const [status] = await once(start('--report', report), 'exit');
  expect(status).toBe(0);
  expect(contentOf(emulator, 'file')?.equals(content)).toBe(true);
  expect(listRemoteJournals(state)).toEqual([]);
  const text = fs.readFileSync(report, 'utf8');
  // What was on its way when the kill came may have arrived after we looked.
  const resumed = Number(/resumed at byte (\d+)/.exec(text)?.[1] ?? 0);
  if (!wasWhole) expect(resumed).toBeGreaterThanOrEqual(had);
  // One session from the first run to the last.
  expect(emulator.sessions.size).toBe(wasWhole ? 2 : 1);
});

/** The least that goes up by components is 256 MiB; each of these has 16 MiB. */
const LARGE = 264 * MIB + 11;

test('L10 P1 P4 P9 an upload by components that is killed is never seen, is gone on with, and what it left is found by clean', async () => {
  const emulator = await startGcsEmulator();
  afterwards(() => emulator.close());
  addBucket(emulator, BUCKET);
  const directory = scratch();
  const content = makeContent(LARGE, 7);
  const [local, report, state] = ['from', 'report', 'state'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  for (const block of content.blocks()) fs.appendFileSync(local, block);
  const run = (...args: string[]) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        PATH: process.env.PATH,
        HOME: directory,
        BRIDLE_STATE: state,
        BRIDLE_GS_PARALLEL: '4',
        STORAGE_EMULATOR_HOST: emulator.origin,
      },
    });
    afterwards(() => child.kill('SIGKILL'));
    return { child, ended: once(child, 'exit') };
  };
  const copy = (...more: string[]) => run('cp', '--quiet', ...more, local, `gs://${BUCKET}/dir/file`);
  const names = () => [...(emulator.store.buckets.get(BUCKET)?.objects.keys() ?? [])];

  /** A run that is killed once so many components are there; gives what it left. */
  async function killAt(count: number): Promise<readonly string[]> {
    const { child, ended } = copy('--bwlimit', '100M');
    const options = { timeout: 60_000, interval: 5 };
    await vi.waitFor(() => expect(names().length).toBeGreaterThanOrEqual(count), options);
    child.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(contentOf(emulator, 'dir/file')).toBeUndefined();
    expect(names().filter((name) => !isPartialName(name.replace('dir/', '')))).toEqual([]);
    return names();
  }

  const isWhole = () => {
    const stored = contentOf(emulator, 'dir/file');
    return stored && createHash('sha256').update(stored).digest('hex') === content.digest('sha256');
  };

  expect(await killAt(3)).not.toEqual([]);
  expect(await killAt(8)).not.toEqual([]);
  expect(await copy('--report', report).ended).toEqual([0, null]);
  expect(isWhole()).toBe(true);
  expect(names()).toEqual(['dir/file']);
  expect(listRemoteJournals(state)).toEqual([]);
  const resumed = Number(/resumed at byte (\d+)/.exec(fs.readFileSync(report, 'utf8'))?.[1] ?? 0);
  // Of eight that are there four may have been behind a gap.
  expect(resumed).toBeGreaterThanOrEqual(4 * 16 * MIB);

  emulator.store.buckets.get(BUCKET)?.objects.clear();
  expect(await killAt(3)).not.toEqual([]);
  const cleaned = await run('clean', '--older-than', '0s', `gs://${BUCKET}/dir/`).ended;
  expect(cleaned).toEqual([0, null]);
  expect(names()).toEqual([]);
  expect(listRemoteJournals(state)).toEqual([]);
  expect(await copy().ended).toEqual([0, null]);
  expect(isWhole()).toBe(true);
});

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { startGcsEmulator } from '../../fixtures/servers/gcs/emulator.ts';
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

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeContent, numbersFrom } from '../../fixtures/misbehaving/content.ts';
import type { RunningDav } from '../../fixtures/servers/dav.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { keyOfPartial } from '../../src/partial-name.ts';
import { bridle, ended, scratch, start } from '../commands/run-command.ts';
import { digestAt } from '../faults/scene.ts';

const MIB = 1024 * 1024;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
process.stdout.write(`webdav-kill: seed ${seed} (SEED)\n`);
const next = numbersFrom(seed);
/** From 0 to 1. */
const random = () => next() / 2 ** 32;

let apache: RunningDav;
beforeAll(async () => {
  apache = await startServer('apache-dav');
});
afterAll(() => apache?.stop());

function contentAt(path: string, size: number): Buffer {
  const content = Buffer.concat([...makeContent(size, seed).blocks()]);
  fs.writeFileSync(path, content);
  return content;
}

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('L10 P1 P9 an upload that is killed at any moment leaves the old file or the new one, and at most a partial that is known by its name', async () => {
  const cwd = scratch();
  const content = contentAt(join(cwd, 'new'), 16 * MIB);
  const folder = join(apache.dav, 'up');
  const place = `${apache.http.replace('http', 'dav')}/open/up/f`;
  fs.mkdirSync(folder);
  fs.chmodSync(folder, 0o777);
  const whole = ['cp', '--bwlimit', '32M', 'new', place];
  const began = performance.now();
  expect(await bridle(whole, { cwd })).toMatchObject({ status: 0 });
  const undisturbed = performance.now() - began;

  const old = Buffer.from('old');
  // Absent is what Apache shows for a moment between the old file and the new one.
  const known = new Set([digestOf(old), digestOf(content), 'absent']);
  for (let kill = 0; kill < 8; kill++) {
    fs.writeFileSync(join(folder, 'f'), old);
    const child = start(whole, { cwd });
    const end = ended(child);
    await delay(random() * undisturbed * 1.1);
    child.kill('SIGKILL');
    await end;
    const left = fs.readdirSync(folder);
    expect(known.has(digestAt(join(folder, 'f'))), `kill ${kill}`).toBe(true);
    // Apache's own unfinished files are Apache's to clear away.
    const ours = left.filter((name) => name !== 'f' && !name.startsWith('.davfs.tmp'));
    expect(
      ours.filter((name) => keyOfPartial(name) === undefined),
      `kill ${kill}`,
    ).toEqual([]);
  }
  expect(await bridle(whole, { cwd })).toMatchObject({ status: 0 });
  expect(digestOf(fs.readFileSync(join(folder, 'f')))).toBe(digestOf(content));
  expect(await bridle(['clean', '--older-than', '0s', place], { cwd })).toMatchObject({ status: 0 });
  const left = fs.readdirSync(folder).filter((name) => !name.startsWith('.davfs.tmp'));
  expect(left).toEqual(['f']);
});

test('L10 P1 P4 a download that is killed is gone on with by the next run, by range and If-Match', async () => {
  const cwd = scratch();
  const path = join(apache.dav, 'down');
  // Long enough under the limit that it cannot end before it is killed.
  const content = contentAt(path, 64 * MIB);
  const old = new Date(Date.now() - 3600_000);
  fs.utimesSync(path, old, old);
  const list = JSON.stringify([
    {
      type: 'transfer',
      lfn: 'f',
      linkage: 'input',
      src_urls: [{ site_label: 'remote', url: `${apache.http.replace('http', 'dav')}/open/down` }],
      dest_urls: [{ site_label: 'local', url: `file://${cwd}/f` }],
    },
  ]);
  const child = start(['transfer', '--bwlimit', '8M', '--checksum', 'sha256'], { cwd });
  const end = ended(child);
  child.stdin?.end(list);
  // Two blocks of the journal are enough to go on from.
  for (;;) {
    const partial = fs
      .readdirSync(cwd, { recursive: true, encoding: 'utf8' })
      .find((name) => name.endsWith('.part'));
    const size =
      partial === undefined ? 0 : (fs.statSync(join(cwd, partial), { throwIfNoEntry: false })?.size ?? 0);
    if (size >= 10 * MIB || child.exitCode !== null) break;
    await delay(10);
  }
  child.kill('SIGKILL');
  await end;
  expect(fs.existsSync(join(cwd, 'f'))).toBe(false);
  const again = await bridle(['transfer', '--report', 'report.json'], { cwd, input: list });
  expect(again).toMatchObject({ status: 0 });
  const { outcomes } = JSON.parse(fs.readFileSync(join(cwd, 'report.json'), 'utf8'));
  expect(outcomes[0].resumedFrom).toBeGreaterThanOrEqual(4 * MIB);
  expect(digestOf(fs.readFileSync(join(cwd, 'f')))).toBe(digestOf(content));
});

describe.each([
  ['Apache, which stores ranges, goes on', 'apache-dav', true],
  ['nginx, which refuses them, starts over', 'nginx-dav', false],
] as const)('an upload to %s', (_, name, goesOn) => {
  test('L10 P1 P4 P9 when it was killed, and leaves nothing beside the file that clean does not find', async () => {
    const server = await startServer(name);
    try {
      const cwd = scratch();
      const content = contentAt(join(cwd, 'new'), 64 * MIB);
      const folder = join(server.dav, 'up-again');
      fs.mkdirSync(folder);
      fs.chmodSync(folder, 0o777);
      const list = JSON.stringify([
        {
          type: 'transfer',
          lfn: 'f',
          linkage: 'output',
          src_urls: [{ site_label: 'local', url: `file://${cwd}/new` }],
          dest_urls: [{ site_label: 'remote', url: `${server.http.replace('http', 'dav')}/open/up-again/f` }],
        },
      ]);
      const options = ['--events', 'events', '--checksum', 'sha256'];
      const child = start(['transfer', '--bwlimit', '8M', ...options], { cwd });
      const end = ended(child);
      child.stdin?.end(list);
      // nginx keeps what it has not got whole elsewhere, so that only our own count tells how far it is.
      for (;;) {
        const moved = eventsIn(join(cwd, 'events')).reduce((sum, { bytes = 0 }) => sum + bytes, 0);
        if (moved >= 10 * MIB || child.exitCode !== null) break;
        await delay(10);
      }
      child.kill('SIGKILL');
      await end;
      expect(fs.existsSync(join(folder, 'f'))).toBe(false);
      const again = await bridle(['transfer', '--report', 'report.json'], { cwd, input: list });
      expect(again).toMatchObject({ status: 0 });
      const { outcomes } = JSON.parse(fs.readFileSync(join(cwd, 'report.json'), 'utf8'));
      if (goesOn) expect(outcomes[0].resumedFrom).toBeGreaterThanOrEqual(4 * MIB);
      else expect(outcomes[0].resumedFrom).toBe(0);
      expect(digestOf(fs.readFileSync(join(folder, 'f')))).toBe(digestOf(content));
      if (goesOn) expect(fs.readdirSync(folder)).toEqual(['f']);
      // What the first run tried ranges with.
      else expect(fs.readdirSync(folder)).toHaveLength(2);
      const place = `${server.http.replace('http', 'dav')}/open/up-again`;
      expect(await bridle(['clean', '--older-than', '0s', place], { cwd })).toMatchObject({ status: 0 });
      expect(fs.readdirSync(folder)).toEqual(['f']);
    } finally {
      await server.stop();
    }
  });
});

/** Progress as far as it is written down. */
function eventsIn(path: string): readonly { readonly type: string; readonly bytes?: number }[] {
  if (!fs.existsSync(path)) return [];
  const lines = fs.readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line)).filter(({ type }) => type === 'progress');
}

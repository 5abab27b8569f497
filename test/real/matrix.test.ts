import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { transfer } from '../../src/index.ts';
import { ended } from '../commands/run-command.ts';
import { type MatrixPlace, PLACES } from './matrix-subjects.ts';

const MIB = 1024 * 1024;
const NAMES = Object.keys(PLACES);
const PAIRS = NAMES.flatMap((from) => NAMES.map((to) => [from, to] as const));
/** Each as a source once, and as a destination once. */
const SOME = PAIRS.filter(([from, to]) => from === 'file' || to === 'file');
const BRIDLE = fileURLToPath(new URL('../../bin/bridle', import.meta.url));
const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));

/** A few chunks and a rest that fills none. */
const CONTENT = randomBytes(3 * MIB + 4321);
const SHA256 = createHash('sha256').update(CONTENT).digest('hex');

/** The peak of the process, whatever the file's size. */
const PEAK = 150 * MIB;
const LARGE = 256;

const places = new Map<string, MatrixPlace>();
/** Nothing but what this test is about shall be written here. */
let scratch = '';
let temporary: string | undefined;

function place(name: string): MatrixPlace {
  const found = places.get(name);
  if (!found) throw new Error(`${name} did not start`);
  return found;
}

beforeAll(async () => {
  await Promise.all(NAMES.map(async (name) => places.set(name, await PLACES[name]!())));
  scratch = fs.mkdtempSync(join(tmpdir(), 'bridle-matrix-tmp-'));
  temporary = process.env.TMPDIR;
  process.env.TMPDIR = scratch;
});

afterAll(async () => {
  if (temporary === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = temporary;
  await Promise.all([...places.values()].map((one) => one.stop()));
  fs.rmSync(scratch, { recursive: true, force: true });
});

/** Names that appear in the directory for temporary files, also those that are gone again. */
function watchTemporary(): { readonly seen: Set<string>; close(): void } {
  const seen = new Set<string>();
  const watcher = fs.watch(scratch, (_, name) => void seen.add(String(name)));
  return { seen, close: () => watcher.close() };
}

function entry(from: string, to: string, more: object = {}) {
  return {
    type: 'transfer' as const,
    src_urls: [{ site_label: 'from', url: from }],
    dest_urls: [{ site_label: 'to', url: to }],
    ...more,
  };
}

describe('every source to every destination', () => {
  test.each(PAIRS)(
    '%s → %s: every byte, counted and digested, in one pass and without a temporary file',
    async (from, to) => {
      const [source, destination] = [place(from), place(to)];
      const [here, there] = [`from-${from}-${to}.bin`, `deep/er/to-${from}-${to}.bin`];
      await source.put(here, CONTENT);
      const watch = watchTemporary();
      const env = { HOME: scratch, ...source.env, ...destination.env };
      const request = entry(source.url(here), destination.url(there), {
        checksum: { sha256: SHA256 },
        size: CONTENT.length,
      });
      const { outcomes } = await transfer([request], { env, ca: [readCertificate('ca.pem')] });
      watch.close();
      expect(outcomes[0]).toMatchObject({ status: 'done', route: 'stream', bytes: CONTENT.length });
      expect(outcomes[0]?.attempts).toHaveLength(1);
      expect(outcomes[0]?.digests).toMatchObject({ sha256: SHA256 });
      const stored = await destination.look(there);
      expect(stored?.length).toBe(CONTENT.length);
      expect(createHash('sha256').update(stored!).digest('hex')).toBe(SHA256);
      expect([...watch.seen]).toEqual([]);
    },
  );

  test.each(SOME)('%s → %s: a wrong digest never becomes visible (P1)', async (from, to) => {
    const [source, destination] = [place(from), place(to)];
    const [here, there] = [`from-${from}-${to}.bin`, `wrong-${from}-${to}.bin`];
    await source.put(here, CONTENT);
    const env = { HOME: scratch, ...source.env, ...destination.env };
    const request = entry(source.url(here), destination.url(there), { checksum: { sha256: '0'.repeat(64) } });
    const { outcomes } = await transfer([request], { env, ca: [readCertificate('ca.pem')] });
    expect(outcomes[0]).toMatchObject({ status: 'failed', failure: { code: 'digest-mismatch' } });
    expect(await destination.look(there)).toBeUndefined();
  });
});

test(`P11 ${LARGE} MiB from ftp to http take less than ${PEAK / MIB} MiB of memory`, async () => {
  const [source, destination] = [place('ftp'), place('http')];
  const block = randomBytes(MIB);
  const digest = createHash('sha256');
  const whole = Buffer.alloc(LARGE * MIB);
  for (let at = 0; at < whole.length; at += MIB) whole.set(block, at);
  digest.update(whole);
  await source.put('large.bin', whole);

  const peak = join(scratch, 'peak');
  const report = join(scratch, 'report.mjs');
  fs.writeFileSync(
    report,
    // Of this program alone: what getrusage(2) tells begins with the size of whoever started it.
    `import { readFileSync, writeFileSync } from 'node:fs';
process.on('exit', () => writeFileSync(${JSON.stringify(peak)}, readFileSync('/proc/self/status')));`,
  );
  const url = destination.url('large.bin');
  const child = spawn(BRIDLE, ['cp', '--ca', CA, '--checksum', 'sha256', source.url('large.bin'), url], {
    cwd: dirname(report),
    env: { PATH: process.env.PATH ?? '', HOME: scratch, NODE_OPTIONS: `--import ${report}` },
  });
  const { status, stderr } = await ended(child);
  expect(stderr).toMatch(/sha256|1 file|done/);
  expect(status).toBe(0);
  const stored = await destination.look('large.bin');
  expect(createHash('sha256').update(stored!).digest('hex')).toBe(digest.digest('hex'));
  const kibibytes = Number(/^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync(peak, 'utf8'))?.[1]);
  process.stdout.write(`peak memory of ${LARGE} MiB: ${Math.round(kibibytes / 1024)} MiB\n`);
  expect(kibibytes * 1024).toBeLessThan(PEAK);
});

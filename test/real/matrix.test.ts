import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { makeContent } from '../../fixtures/misbehaving/content.ts';
import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { type Entry, transfer } from '../../src/index.ts';
import { digestAt } from '../places/digest-at.ts';
import type { StoragePlace } from '../places/place.ts';
import { PLACES, type PlaceName } from '../places/places.ts';
import { copyMeasured, MOST_MEMORY } from '../torture/memory.ts';

const MIB = 1024 * 1024;
const NAMES = Object.keys(PLACES) as PlaceName[];
const PAIRS = NAMES.flatMap((from) => NAMES.map((to) => [from, to] as const));
/** Each as a source once, and as a destination once. */
const SOME = PAIRS.filter(([from, to]) => from === 'file' || to === 'file');

/** A few chunks and a rest that fills none. */
const CONTENT = randomBytes(3 * MIB + 4321);
const SHA256 = createHash('sha256').update(CONTENT).digest('hex');

const places = new Map<PlaceName, StoragePlace>();
/** Nothing at all shall be written to `temporary` and to `state`. */
let [home, temporary, state] = ['', '', ''];
let before: string | undefined;

function place(name: PlaceName): StoragePlace {
  const found = places.get(name);
  if (!found) throw new Error(`${name} did not start`);
  return found;
}

beforeAll(async () => {
  const started = NAMES.map(async (name) => places.set(name, await PLACES[name]()));
  const failed = (await Promise.allSettled(started)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  home = fs.mkdtempSync(join(tmpdir(), 'bridle-matrix-home-'));
  [temporary, state] = [join(home, 'tmp'), join(home, 'state')];
  for (const folder of [temporary, state]) fs.mkdirSync(folder);
  before = process.env.TMPDIR;
  process.env.TMPDIR = temporary;
  await Promise.all(NAMES.map((name) => place(name).put('source.bin', [CONTENT])));
}, 150_000);

afterAll(async () => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  await Promise.all([...places.values()].map((one) => one.stop()));
  fs.rmSync(home, { recursive: true, force: true });
});

/** Names that appear in a directory from now on, also those that are gone again. */
function watchDirectory(directory: string): () => Promise<readonly string[]> {
  const seen = new Set<string>();
  const watcher = fs.watch(directory, (_, name) => void seen.add(String(name)));
  return async () => {
    // Told in order: what was there before this mark has been told when it is.
    const mark = `mark-${seen.size}`;
    fs.writeFileSync(join(directory, mark), '');
    await vi.waitFor(() => expect(seen).toContain(mark));
    watcher.close();
    fs.rmSync(join(directory, mark));
    return [...seen].filter((name) => name !== mark);
  };
}

/** One transfer of the content that is there, with the credentials of both sides. */
async function move(from: PlaceName, to: PlaceName, name: string, sha256: string) {
  const [source, destination] = [place(from), place(to)];
  const env = { HOME: home, ...source.env, ...destination.env };
  const request: Entry = {
    type: 'transfer',
    src_urls: [{ site_label: 'from', url: source.url('source.bin') }],
    dest_urls: [{ site_label: 'to', url: destination.url(name) }],
    checksum: { sha256 },
    size: CONTENT.length,
  };
  const { outcomes } = await transfer([request], { env, state, ca: [readCertificate('ca.pem')] });
  return outcomes[0];
}

describe('every source to every destination', () => {
  test.each(PAIRS)(
    '%s → %s: every byte, counted and digested, in one pass and without a temporary file',
    async (from, to) => {
      const name = `deep/er/from-${from}.bin`;
      const seen = [temporary, state].map(watchDirectory);
      const outcome = await move(from, to, name, SHA256);
      expect(outcome).toMatchObject({ status: 'done', route: 'stream', bytes: CONTENT.length });
      expect(outcome?.attempts).toHaveLength(1);
      expect(outcome?.digests).toMatchObject({ sha256: SHA256 });
      expect(await digestAt(place(to), name)).toEqual({ size: CONTENT.length, sha256: SHA256 });
      expect(await Promise.all(seen.map((names) => names()))).toEqual([[], []]);
      expect((await place(to).names()).filter((one) => !one.endsWith('.bin'))).toEqual([]);
      expect(await place(to).uploads()).toEqual([]);
    },
  );

  test.each(SOME)('%s → %s: a wrong digest never becomes visible (P1)', async (from, to) => {
    const name = `wrong-from-${from}.bin`;
    const outcome = await move(from, to, name, '0'.repeat(64));
    expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'digest-mismatch' } });
    expect(await digestAt(place(to), name)).toBeUndefined();
  });
});

test.each([
  ['s3', 'dav', 512],
  ['sftp', 's3', 256],
] as const)(
  `P11 %s → %s: %i MiB take less than ${MOST_MEMORY / MIB} MiB of memory, and no temporary disk`,
  async (from, to, size) => {
    const copied = await copyMeasured(place(from), place(to), makeContent(size * MIB, size));
    process.stdout.write(`peak memory of ${size} MiB: ${Math.round(copied.peak / MIB)} MiB\n`);
    expect(copied.violations).toEqual([]);
  },
);

import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openCache } from '../../src/cache/cache.ts';
import { systemClock } from '../../src/clock.ts';
import { proveOnceAWeek } from '../../src/image/proven-before.ts';
import { scratch } from '../faults/scene.ts';

const DAY = 86_400_000;
const CONTENT = randomBytes(5000);
const subject = {
  digest: { algorithm: 'sha256', value: createHash('sha256').update(CONTENT).digest('hex') },
} as const;
const { signal } = new AbortController();

/** A cache with the content in it, and a way to use it that tells whether it was compared. */
async function scene() {
  const directory = join(scratch(), 'cache');
  const bounds = { mostBytes: 1e12, mostAge: 1e12 };
  const cache = openCache({ directory, bounds, clock: systemClock, patience: 60_000 });
  const place = scratch();
  let links = 0;
  async function* fetch() {
    yield CONTENT;
  }
  async function use(now = Date.now()): Promise<boolean> {
    const obtained = await cache.obtain({ subject, name: 'it', fetch: async () => fetch() }, { signal });
    let isCompared = false;
    await proveOnceAWeek({ obtained, cache, subject, now }, async () => {
      isCompared = true;
    });
    links += 1;
    fs.linkSync(obtained.path, join(place, String(links)));
    obtained.close();
    return isCompared;
  }
  return {
    use,
    linked: () => join(place, '1'),
    path: join(directory, 'content', `sha256-${subject.digest.value}`),
  };
}

describe('content of the cache that is used again', () => {
  test('is not read again while nobody has written to it, whatever links there are', async () => {
    const { use, linked } = await scene();
    expect([await use(), await use()]).toEqual([false, false]);
    // As every job does at its end.
    fs.rmSync(linked());
    expect(await use()).toBe(false);
  });

  test('F26 is read again after a week, and once then', async () => {
    const { use } = await scene();
    await use();
    const later = Date.now() + 8 * DAY;
    expect([await use(later), await use(later + DAY)]).toEqual([true, false]);
  });

  test('is read again when the clock has gone back', async () => {
    const { use } = await scene();
    await use();
    expect(await use(Date.now() - DAY)).toBe(true);
  });

  test('P1 L4 is fetched again when somebody has written to it', async () => {
    const { use, linked, path } = await scene();
    await use();
    fs.chmodSync(linked(), 0o600);
    fs.writeFileSync(linked(), 'x');
    expect(await use()).toBe(false);
    expect(fs.readFileSync(path).equals(CONTENT)).toBe(true);
  });
});
